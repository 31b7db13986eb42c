import Testing

@testable import Harness

extension Integration {
    /// Many payments at once, with a network that fails and a server that is killed.
    @Suite struct LoadTests {
        @Test("Goal: with lost replies, errors and latency at the network every answer is true and nothing is left")
        func faults() throws {
            try World.run(databases: 2) { world in
                try world.start()
                try world.simulator.set(Faults(errorRate: 0.05, lostReplyRate: 0.05, latencyMilliseconds: 20))
                let load = Load(
                    LoadPlan(payments: Settings.loadPayments, prefix: "f"), port: try world.server().configuration.port)
                let limit = Duration.seconds(60) + .milliseconds(20) * Settings.loadPayments
                let took = try Wait.measure { world.ledger.add(try load.finish(within: limit)) }

                let answers = world.ledger.all.compactMap(\.answers.last)
                let approved = answers.count { $0.status == .approved }
                print(
                    "\(Settings.loadPayments) payments in \(took), \(approved) approved, others: \(Self.reasons(answers))"
                )
                #expect(answers.count == Settings.loadPayments)
                // A payment fails only if three attempts in a row do: one in a thousand.
                #expect(approved * 100 >= Settings.loadPayments * 95, "\(Self.reasons(answers))")
                let errors = try world.simulator.book().filter { $0.prepares > 1 }
                #expect(!errors.isEmpty, "the faults must have had an effect")
                try world.finish()
            }
        }

        @Test(
            "Goal: kill -9 again and again under load loses nothing, and each start serves in time", arguments: [1, 2])
        func kills(databases: Int) throws {
            try World.run(databases: databases) { world in
                var server = try world.start()
                try world.simulator.set(Faults(errorRate: 0.02, lostReplyRate: 0.02, latencyMilliseconds: 10))
                let load = Load(LoadPlan(prefix: "k"), port: server.configuration.port)
                defer { load.stop() }
                var starts: [Duration] = []
                for kill in 1...max(1, Settings.kills) {
                    let before = load.answers
                    try Wait.until("payments are answered before kill \(kill)", within: .seconds(30)) {
                        load.answers >= before + 100
                    }
                    server.crash()
                    server = try world.launch()
                    starts.append(try server.waitUntilReady())
                }
                load.stop()
                world.ledger.add(try load.finish(within: Limits.reconnect + Limits.pending))

                let exchanges = world.ledger.all
                let lost = exchanges.count { $0.outcomes.contains { if case .lost = $0 { true } else { false } } }
                let slowest = starts.max() ?? .zero
                print(
                    "\(exchanges.count) payments, \(lost) with a lost answer; starts: \(starts.map { $0.milliseconds }) ms"
                )
                #expect(lost > 0, "no kill met a payment in flight")
                #expect(slowest <= Limits.assertedStart, "promised are \(Limits.promisedStart) in a release build")
                try world.finish()
            }
        }

        private static func reasons(_ answers: [Answer]) -> [String: Int] {
            answers.filter { $0.status != .approved }.reduce(into: [:]) {
                $0[$1.reason ?? $1.status.rawValue, default: 0] += 1
            }
        }
    }
}
