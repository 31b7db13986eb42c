import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A participant that is down never keeps the server from starting.
    @Suite struct StartTests {
        @Test("Goal: with the network dead at the start the port opens in time, and payments work when it comes")
        func networkDead() throws {
            try World.run { world in
                world.simulator.crash()
                let server = try world.launch()
                #expect(try server.waitUntilListening() <= Limits.assertedStart)
                let ready = try server.ask("GET /readyz")
                // The database is there; whether the network is, only a payment tells.
                #expect(["OK", "NOT_READY"].contains(ready))
                #expect(try world.pay(Payment(requestID: "in-vain")).status == .declined)
                try world.simulator.start()
                try server.waitUntilReady()
                var number = 0
                try Wait.until("payments work", within: .seconds(30), every: .milliseconds(200)) {
                    number += 1
                    return try world.pay(Payment(requestID: "when-it-came-\(number)")).status == .approved
                }
                try world.finish()
            }
        }

        @Test("Goal: with the database dead at the start the port opens in time, the server is not ready and refuses")
        func databaseDead() throws {
            try World.run(behindProxy: true) { world in
                let proxy = try #require(world.proxy)
                try proxy.set(.cut)
                let server = try world.launch()
                let early = try expectRefusal(server, in: world)
                try proxy.set(.forwarding)
                try server.waitUntilReady()
                #expect(try world.pay(early).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: likewise with a database that accepts connections and never answers")
        func databaseSilent() throws {
            try World.run(behindProxy: true) { world in
                let proxy = try #require(world.proxy)
                try proxy.set(.silent)
                let server = try world.launch()
                let early = try expectRefusal(server, in: world)
                try proxy.set(.cut)
                Wait.sleep(.milliseconds(100))
                try proxy.set(.forwarding)
                try server.waitUntilReady()
                #expect(try world.pay(early).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: what a crash left is finished although the database comes back only after the start")
        func databaseComesLate() throws {
            try World.run(behindProxy: true) { world in
                let proxy = try #require(world.proxy)
                try world.start(fault: CrashPoint.decisionDurable.fault(.kill))
                let payment = Payment(requestID: "late")
                try world.payIntoTheCrash(payment)
                try proxy.set(.cut)
                let server = try world.launch()
                #expect(try server.waitUntilListening() <= Limits.assertedStart)
                // The decision is known, the row is not there yet: not refused, at the most PENDING.
                let early = try world.pay(payment)
                #expect(early.status != .declined, "\(early)")
                try proxy.set(.forwarding)
                try server.waitUntilReady()
                try Wait.until("the payment is approved", within: Limits.pending, every: .milliseconds(100)) {
                    try world.pay(payment).status == .approved
                }
                try world.finish()
            }
        }

        /// Gives the payment that was refused.
        private func expectRefusal(
            _ server: ServerProcess, in world: World, sourceLocation: SourceLocation = #_sourceLocation
        ) throws -> Payment {
            let took = try server.waitUntilListening()
            #expect(took <= Limits.assertedStart, sourceLocation: sourceLocation)
            #expect(try server.ask("GET /readyz") == "NOT_READY", sourceLocation: sourceLocation)
            let early = Payment(requestID: "early")
            let refusal = try world.pay(early)
            #expect(refusal.isRefusal("db_error"), "\(refusal)", sourceLocation: sourceLocation)
            #expect(try world.simulator.book().isEmpty, sourceLocation: sourceLocation)
            return early
        }
    }
}
