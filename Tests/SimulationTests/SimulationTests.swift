import Simulation
import Testing

/// Goal: the fast share of the simulator. Fixed seeds, so that a failure here is one for everybody; `make simulate` runs many more, in an
/// optimized build, which is some thirty times as fast.
@Suite("Simulation")
struct SimulationTests {
    /// Few and small, so that the whole suite takes less than a minute in a debug build.
    private static let seeds: [UInt64] = [1, 2, 3, 5, 6]
    private static let payments = Set(0..<12)
    private static let steps = 1500

    @Test("Goal: all invariants hold in these worlds", arguments: seeds)
    func worlds(seed: UInt64) {
        let result = Simulation(
            SimulationOptions(seed: seed, stepsMax: Self.steps, payments: Self.payments)
        ).run()
        let violation = result.violation.map { "\($0.invariant.rawValue): \($0.message)" } ?? ""
        #expect(result.violation == nil, "seed \(seed): \(violation)")
        #expect(result.steps > 500, "nothing happened")
    }

    @Test("Goal: a seed decides everything")
    func repeatable() {
        let options = SimulationOptions(seed: 14, stepsMax: 600, payments: Self.payments)
        let first = Simulation(options).run()
        let second = Simulation(options).run()
        #expect(first.digest == second.digest)
        #expect(first.steps == second.steps)
    }

    @Test(
        "Goal: a world that breaks its promises is found out and made smaller",
        arguments: SimulationOptions.Control.allCases)
    func controls(control: SimulationOptions.Control) throws {
        var options = SimulationOptions(seed: 1, stepsMax: Self.steps, payments: Self.payments, control: control)
        while Simulation(options).run().violation == nil {
            options.seed += 1
            try #require(options.seed <= 200, "nothing was found in 200 seeds")
        }
        let found = try #require(Minimiser.minimise(options, runsMax: 8))
        let violation = try #require(found.result.violation)
        #expect(found.options.stepsMax <= options.stepsMax)
        #expect(found.result.trace.contains { $0.contains("VIOLATION of \(violation.invariant.rawValue)") })
        #expect(found.options.command.contains("--control \(control.rawValue)"))
        // The command that is printed shows the same again.
        #expect(Simulation(found.options).run().violation?.invariant == violation.invariant)
    }
}
