import Foundation
import Testing

@testable import Harness

extension Integration {
    /// Somebody sets the machine's clock, while the server runs or while it is down: nothing expires, is trimmed or is reversed by it.
    @Suite struct ClockJumpTests {
        /// Beyond the retention, which is a day.
        private static let beyond = Duration.seconds(25 * 3600)
        private static let month = Duration.seconds(31 * 24 * 3600)
        /// From the start until the log has been trimmed for the first time: the interval of the passes, and a margin.
        private static let firstTrim = Duration.seconds(3)

        @Test(
            "What processes with a false clock left behind when they were killed is taken away, what is in use is not")
        func leftovers() throws {
            let gone = Process()
            gone.executableURL = URL(fileURLWithPath: "/bin/true")
            try gone.run()
            gone.waitUntilExit()
            func names(of pid: Int32) -> [String] {
                ["sem.faketime_sem_\(pid)", "faketime_shm_\(pid)"].map { "/dev/shm/" + $0 }
            }
            let (left, used) = (names(of: gone.processIdentifier), names(of: getpid()))
            for path in left + used { #expect(FileManager.default.createFile(atPath: path, contents: nil)) }
            defer { for path in left + used { unlink(path) } }
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent("clock-\(UUID().uuidString)")
                .path
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: directory) }
            _ = try FakeClock(in: directory)
            #expect(!left.contains { FileManager.default.fileExists(atPath: $0) })
            #expect(used.allSatisfy { FileManager.default.fileExists(atPath: $0) })
        }

        @Test("Goal: under load, while the clock is set back and forth, every answer is true and stays the same")
        func load() throws {
            try Self.run { world, clock in
                let server = try world.start()
                try world.simulator.set(Faults(errorRate: 0.05, lostReplyRate: 0.05, declineRate: 0.05))
                let load = Load(LoadPlan(connections: 16, prefix: "clock"), port: server.configuration.port)
                let minutes = Duration.seconds(120)
                for offset in [minutes, -minutes, Self.beyond, -Self.beyond, Self.month, -Self.month, .zero] {
                    let before = load.answers
                    try clock.set(ahead: offset)
                    try Wait.until("payments go on at \(offset)", within: Limits.answer) { load.answers > before + 30 }
                    Wait.sleep(.milliseconds(200))
                }
                // Whoever tells of it has looked at the clock as it is faked, and at timers as they are not.
                try clock.set(ahead: Self.beyond)
                try expectTold("was set: by ", by: server)
                load.stop()
                let exchanges = try load.finish(within: Limits.settle)
                world.ledger.add(exchanges)
                try world.simulator.set(.none)
                for offset in [Self.beyond, -Self.beyond] {
                    try clock.set(ahead: offset)
                    for exchange in exchanges.suffix(30) { try expectTheSame(exchange, in: world) }
                }
                try world.finish()
            }
        }

        @Test("Goal: reversals that wait for the network are sent when it is back, whatever the clock says by then")
        func reversals() throws {
            try Self.run { world, clock in
                try world.start()
                for offset in [Self.beyond, -Self.beyond, Self.month, -Self.month] {
                    try world.simulator.set(Faults(errorRate: 1))
                    let payment = Payment(requestID: "reversed \(offset)".replacing(" ", with: "-"))
                    let answer = try world.pay(payment)
                    #expect(answer.isFinalRefusal, "\(answer)")
                    try clock.set(ahead: offset)
                    try world.simulator.set(.none)
                    let transaction = try #require(answer.transactionID)
                    try Wait.until("\(transaction) is undone", within: .seconds(10)) {
                        try world.simulator.book().first { $0.transactionID == transaction }.map { $0.aborts > 0 }
                            ?? false
                    }
                }
                try world.finish()
            }
        }

        @Test(
            "Goal: a server that is started with the clock beyond the retention forgets no answer, and the next start with the right one is not refused",
            arguments: [beyond])
        func startAhead(_ offset: Duration) throws {
            try Self.run { world, clock in
                let answers = try Answers(in: world)
                try clock.set(ahead: offset)
                try world.start()
                Wait.sleep(Self.firstTrim)
                try answers.expectTheSame("with the clock ahead")
                let later = try Answers(in: world, prefix: "ahead", isRunning: true)
                try clock.set(ahead: .zero)
                try world.start()
                Wait.sleep(Self.firstTrim)
                try answers.expectTheSame("with the right clock")
                try later.expectTheSame("with the right clock, made ahead")
                try world.finish()
            }
        }

        @Test(
            "Goal: what was paid while the clock was behind, or at 1970, is not taken for old when the clock is right")
        func startBehind() throws {
            try Self.run { world, clock in
                try clock.set(ahead: -Self.beyond)
                let dayBefore = try Answers(in: world, prefix: "behind")
                try clock.set(to: 5)
                let epoch = try Answers(in: world, prefix: "epoch")
                try dayBefore.expectTheSame("at 1970", isRunning: false)
                try clock.set(ahead: .zero)
                try world.start()
                Wait.sleep(Self.firstTrim)
                try dayBefore.expectTheSame("with the right clock")
                try epoch.expectTheSame("with the right clock, made at 1970")
                try world.finish()
            }
        }

        @Test("Goal: recover judges the same whatever its clock says", arguments: [beyond, -month])
        func recover(_ offset: Duration) throws {
            try Self.run(environment: ["LOCK_TIMEOUT_MS": "15000", "TWOPC_PREPARE_TIMEOUT": "20"]) { world, clock in
                let payments = (0..<3).map { Payment(requestID: "doubt-\($0)") }
                let transactions = try world.leaveUndecided(payments)
                let plan = try world.recover().plan()
                try clock.set(ahead: offset)
                let later = try world.recover().plan()
                #expect(later.status == plan.status && later.plan == plan.plan, "\(later)")
                let result = try world.recover().run("--wait", "10s")
                #expect(result.status == .code(0), "\(result)")
                #expect(try world.preparedBranches() == [])
                try Wait.until("all are undone", within: Limits.answer) {
                    try world.simulator.book().filter { $0.state == .released }.count == transactions.count
                }
                try clock.set(ahead: .zero)
                try world.start()
                for payment in payments { #expect(try world.finalAnswer(to: payment).isFinalRefusal) }
                try world.finish()
            }
        }

        @Test("Goal: a log that is restored in 1970 is not worked on in an epoch that its database has seen")
        func restoredIn1970() throws {
            try Self.run { world, clock in
                try world.start()
                let made = Payment(requestID: "made")
                #expect(try world.pay(made).status == .approved)
                try world.waitUntilConfirmed(made)
                let backup = world.directory + "/backup"
                let written = try world.recover().run("backup", backup)
                #expect(written.status == .code(0), "\(written)")
                for _ in 0..<8 {
                    try world.server().crash()
                    try world.start()
                }
                let seen = try world.fence().epoch
                try world.server().crash()
                func restore(_ further: String...) throws {
                    try FileManager.default.removeItem(atPath: world.stateDirectory(of: "a"))
                    let restored = try world.recover().run(["restore", backup] + further)
                    #expect(restored.status == .code(0), "\(restored)")
                }
                try clock.set(to: 1)
                try restore()
                let refusal = try world.startRefused("a")
                #expect(refusal.contains("--beyond-epoch \(seen)"), "\(refusal)")
                try restore("--beyond-epoch", "\(seen)")
                try world.start()
                #expect(try world.fence().epoch > seen)
                #expect(try world.pay(Payment(requestID: "after")).status == .approved)
                try clock.set(ahead: .zero)
                try world.finish()
            }
        }

        // MARK: -

        /// Lends a world whose servers and tools see a clock of the test's.
        private static func run(
            environment: [String: String] = [:], _ body: (World, FakeClock) throws -> Void
        ) throws {
            try World.run(environment: environment) { world in
                let clock = try FakeClock(in: world.directory)
                world.environment.merge(clock.environment) { _, new in new }
                try body(world, clock)
            }
        }

        /// Until a log line and the readiness name the clock.
        private func expectTold(_ words: String, by server: ServerProcess) throws {
            try Wait.until("\(words) is told", within: Limits.answer) {
                try HTTPConnection.once(port: server.configuration.port, "GET", "/readyz?verbose").text.contains(words)
                    && server.errors.contains(words)
            }
        }

        private func expectTheSame(_ exchange: Exchange, in world: World) throws {
            guard let last = exchange.answers.last, last.status != .pending, last.transactionID != nil else { return }
            let again = try world.pay(exchange.payment)
            #expect(
                again.status == last.status && again.transactionID == last.transactionID && again.reason == last.reason,
                "\(exchange.payment.requestID ?? ""): \(last), and now \(again)")
        }

        /// A payment that was made and one that was refused, and what they were told.
        private struct Answers {
            private let world: World
            private let payments: [Payment]
            private let told: [Answer]

            /// Has a server make them and stops it.
            init(in world: World, prefix: String = "right", isRunning: Bool = false) throws {
                self.world = world
                payments = ["made", "refused"].map { Payment(requestID: "\(prefix)-\($0)") }
                if !isRunning { try world.start() }
                let made = try world.pay(payments[0])
                #expect(made.status == .approved)
                try world.simulator.set(Faults(declineRate: 1))
                let refused = try world.pay(payments[1])
                #expect(refused.isFinalRefusal)
                try world.simulator.set(.none)
                told = [made, refused]
                try world.waitUntilConfirmed(payments[0])
                try world.stop("a")
            }

            /// Sends both again: the same answers, and the network hears nothing of it.
            func expectTheSame(_ occasion: String, isRunning: Bool = true) throws {
                if !isRunning { try world.start() }
                let asked = try world.simulator.book().map(\.prepares).reduce(0, +)
                for (payment, before) in zip(payments, told) {
                    let again = try world.pay(payment)
                    #expect(
                        again.isIdempotent && again.status == before.status
                            && again.transactionID == before.transactionID
                            && again.reason == before.reason, "\(occasion): \(before), and now \(again)")
                }
                #expect(try world.simulator.book().map(\.prepares).reduce(0, +) == asked, "\(occasion)")
                if !isRunning { try world.stop("a") }
            }
        }
    }
}
