import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A participant is away. New payments are refused before anything is begun; what was begun is brought to its end.
    @Suite struct OutageTests {
        @Test("Goal: with the database away payments are refused before any hold, and work again when it is back")
        func databaseAway() throws {
            try World.run(behindProxy: true) { world in
                let server = try world.start()
                try world.pay(Payment(requestID: "before"))
                let proxy = try #require(world.proxy)
                try proxy.set(.cut)
                try Wait.until("the server notices", within: .seconds(15)) {
                    try server.ask("GET /readyz") == "NOT_READY"
                }
                #expect(try server.ask("GET /healthz") == "OK")

                let holds = try world.simulator.book().count
                let refused = (0..<5).map { Payment(requestID: "away-\($0)") }
                for payment in refused {
                    let answer = try world.pay(payment)
                    #expect(answer.isRefusal("db_error"), "\(answer)")
                }
                #expect(try world.simulator.book().count == holds, "nobody asked the network for a hold")

                try proxy.set(.forwarding)
                try server.waitUntilReady()
                for payment in refused {
                    let answer = try world.pay(payment)
                    #expect(answer.status == .approved && !answer.isIdempotent, "\(answer)")
                }
                try world.finish()
            }
        }

        @Test(
            "Goal: payments in flight when the database goes away end truly, whichever way it goes",
            arguments: [true, false])
        func databaseLostUnderLoad(isCut: Bool) throws {
            try World.run(behindProxy: true) { world in
                let server = try world.start()
                let proxy = try #require(world.proxy)
                let load = Load(LoadPlan(connections: 16, prefix: "db"), port: server.configuration.port)
                for _ in 1...3 {
                    let before = load.answers
                    try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= before + 100 }
                    try proxy.set(isCut ? .cut : .silent)
                    Wait.sleep(.seconds(1))
                    try proxy.set(.forwarding)
                    try server.waitUntilReady(within: Limits.settle)
                }
                load.stop()
                world.ledger.add(try load.finish(within: .seconds(90)))
                #expect(world.ledger.all.contains { $0.answers.last?.status == .approved })
                try world.finish()
            }
        }

        @Test(
            "Goal: while the breaker is open payments are refused at once, nothing is claimed, and they work afterwards"
        )
        func breakerOpen() throws {
            let breaker = ["CLEARING_CB_FAILS": "2", "CLEARING_CB_OPEN_SECS": "2", "CLEARING_RETRY_MAX": "0"]
            try World.run(environment: breaker) { world in
                let server = try world.start()
                try world.pay(Payment(requestID: "before"))
                try world.simulator.set(Faults(isOut: true))
                try world.openTheBreaker()

                let payment = Payment(requestID: "short-circuited")
                var refusal: Answer?
                let took = try Wait.measure { refusal = try world.pay(payment) }
                let answer = try #require(refusal)
                #expect(answer.isRefusal("clearing_unavailable"), "\(answer)")
                #expect(took < .milliseconds(500))
                #expect(try server.transaction("short-circuited")["status"] == "NOT_FOUND")
                #expect(try server.metrics()["clearing_cb_short_circuit"] ?? 0 >= 1)

                try world.simulator.set(.none)
                var last = answer
                try Wait.until("the breaker closes: \(last)", within: .seconds(20), every: .milliseconds(200)) {
                    last = try world.pay(payment)
                    return last.status == .approved
                }
                try world.finish()
            }
        }

        @Test("Goal: the network dies and comes back with its books: every hold is settled or released")
        func simulatorCrash() throws {
            try World.run { world in
                let server = try world.start()
                try world.simulator.set(Faults(latencyMilliseconds: 10))
                let load = Load(LoadPlan(connections: 16, prefix: "net"), port: server.configuration.port)
                for _ in 1...3 {
                    let before = load.answers
                    try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= before + 100 }
                    world.simulator.crash()
                    Wait.sleep(.milliseconds(500))
                    try world.simulator.start()
                }
                load.stop()
                world.ledger.add(try load.finish(within: .seconds(90)))
                try world.finish()
            }
        }

        @Test(
            "Goal: a network that is slower than the deadline does not make the client wait, and its hold is released")
        func slowNetwork() throws {
            let impatient = ["TWOPC_PREPARE_TIMEOUT": "1", "CLEARING_TIMEOUT": "1"]
            try World.run(environment: impatient) { world in
                try world.start()
                try world.simulator.set(Faults(latencyMilliseconds: 3000))
                let payment = Payment(requestID: "slow")
                var first: Answer?
                let took = try Wait.measure { first = try world.pay(payment) }
                let answer = try #require(first)
                #expect(answer.isFinalRefusal || answer.status == .pending, "\(answer)")
                // The deadline of 1 s, and time for a debug build to write the decision down.
                #expect(took < .seconds(3))
                try world.simulator.set(.none)
                try Wait.until("the answer is final", within: Limits.pending, every: .milliseconds(100)) {
                    try world.pay(payment).isFinalRefusal
                }
                try world.finish()
            }
        }

        @Test(
            "Goal: reversals outlive the server: an abort that the network never heard of is told it after the restart")
        func reversalsAreKept() throws {
            try World.run { world in
                try world.start()
                // It holds, and nobody learns of it; then it is away for everything.
                try world.simulator.set(Faults(lostReplyRate: 1))
                let payments = (0..<5).map { Payment(requestID: "reversed-\($0)") }
                for payment in payments { #expect(try world.pay(payment).isFinalRefusal) }
                try world.simulator.set(Faults(isOut: true))
                try world.server().crash()
                try world.start()
                try world.simulator.set(.none)
                try world.finish()
                #expect(try world.rows() == [])
                #expect(try world.simulator.book().allSatisfy { $0.state == .released || $0.state == .tombstone })
            }
        }
    }
}
