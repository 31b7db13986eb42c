import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A database whose clock is not ours, or is set while it runs.
    @Suite struct DatabaseClockTests {
        private static let beyond = Duration.seconds(25 * 3600)
        private static let month = Duration.seconds(31 * 24 * 3600)

        @Test(
            "Goal: payments are answered by their deadlines while the database's clock is set, also one that waits for a lock"
        )
        func setWhileRunning() throws {
            try Self.run(environment: ["LOCK_TIMEOUT_MS": "1000", "TWOPC_PREPARE_TIMEOUT": "2"]) { world, clock in
                try world.start()
                for (number, offset) in [Self.beyond, -Self.beyond, Self.month, .zero].enumerated() {
                    try clock.set(ahead: offset)
                    #expect(try world.pay(Payment(requestID: "free-\(number)")).status == .approved)
                }
                // PostgreSQL's own timeouts are by the time of day: set back, they do not come.
                let lock = try Session(locking: "transactions", at: world.databases[0])
                let payment = Payment(requestID: "locked")
                let client = try world.server().client()
                try client.send(payment)
                _ = try world.waitingBackend(for: "relation")
                try clock.set(ahead: -Self.beyond)
                let answer = try client.answer(within: .seconds(5))
                world.ledger.note(payment, .answer(answer))
                #expect(answer.status != .approved, "\(answer)")
                try lock.end()
                _ = try world.finalAnswer(to: payment)
                try world.finish()
            }
        }

        @Test(
            "Goal: a start beside a database with another clock serves, repeats its answers, and says that the clocks differ"
        )
        func anotherClock() throws {
            try Self.run { world, clock in
                let payment = Payment(requestID: "made")
                try world.start()
                let made = try world.pay(payment)
                try world.stop("a")
                for offset in [-Self.beyond, Self.beyond] {
                    try clock.set(ahead: offset)
                    let server = try world.start()
                    let again = try world.pay(payment)
                    #expect(again.isIdempotent && again.transactionID == made.transactionID)
                    try Wait.until("the readiness names the clock", within: Limits.answer) {
                        try HTTPConnection.once(port: server.configuration.port, "GET", "/readyz?verbose").text
                            .contains("db1: its clock")
                    }
                    #expect(server.errors.contains("db1: its clock"), "an alarm")
                    try world.stop("a")
                }
                try clock.set(ahead: .zero)
                try world.finish()
            }
        }

        @Test("Goal: what a lost tail held is found in the rows although the database's clock is a month ahead by now")
        func reconciliation() throws {
            try Self.run { world, clock in
                try world.start()
                #expect(try world.pay(Payment(requestID: "before")).status == .approved)
                let backup = world.directory + "/backup"
                let result = try world.recover().run("backup", backup)
                #expect(result.status == .code(0), "\(result)")
                try world.stop("a")
                // Committed in the database; neither client nor network has been told.
                try world.start(fault: "first-database-committed:1:kill")
                try world.payIntoTheCrash(Payment(requestID: "tail"))
                try world.waitUntilBackendsAreGone()
                try FileManager.default.removeItem(atPath: world.stateDirectory(of: "a"))
                try clock.set(ahead: Self.month)
                let restored = try world.recover().run("restore", backup)
                #expect(restored.status == .code(0), "\(restored)")
                try world.start()
                try world.waitUntilConfirmed(Payment(requestID: "tail"))
                try clock.set(ahead: .zero)
                try world.finish()
            }
        }

        /// Lends a world whose database sees a clock of the test's.
        private static func run(
            environment: [String: String] = [:], _ body: (World, FakeClock) throws -> Void
        ) throws {
            let cluster = try PrivateCluster(name: "clock-\(number())", preparedTransactionsMax: 64)
            let clock = try FakeClock(in: cluster.directory)
            try cluster.restart(under: clock)
            defer {
                do { try cluster.stop(.immediate) } catch { print("the cluster did not stop: \(error)") }
            }
            try World.run(environment: environment, cluster: cluster) { try body($0, clock) }
        }

        private static func number() -> Int { Int.random(in: 0..<1_000_000_000) }
    }
}
