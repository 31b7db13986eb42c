import Simulation
import Testing

/// Goal: the fast share of the simulator. Fixed seeds, so that a failure here is one for everybody; `make simulate` runs many more.
@Suite("Simulation")
struct SimulationTests {
    /// The whole suite is to take less than a minute in a debug build.
    private static let seeds: ClosedRange<UInt64> = 1...40
    private static let steps = 4000

    @Test("Goal: all invariants hold in these worlds", arguments: stride(from: 1, through: 40, by: 8).map { $0 })
    func worlds(first: UInt64) {
        for seed in first..<first + 8 {
            let result = Simulation(SimulationOptions(seed: seed, stepsMax: Self.steps)).run()
            #expect(
                result.violation == nil,
                "seed \(seed): \(result.violation.map { "\($0.invariant.rawValue): \($0.message)" } ?? "")")
        }
    }

    @Test("Goal: a seed decides everything", arguments: [3, 14, 27] as [UInt64])
    func repeatable(seed: UInt64) {
        let options = SimulationOptions(seed: seed, stepsMax: Self.steps)
        let first = Simulation(options).run()
        let second = Simulation(options).run()
        #expect(first.digest == second.digest)
        #expect(first.steps == second.steps)
    }

    @Test(
        "Goal: a world that breaks its promises is found out and made smaller",
        arguments: SimulationOptions.Control.allCases)
    func controls(control: SimulationOptions.Control) throws {
        let found = try #require(
            (1...60).lazy.compactMap { seed -> Minimiser.Found? in
                Minimiser.minimise(SimulationOptions(seed: UInt64(seed), stepsMax: Self.steps, control: control))
            }.first, "nothing was found")
        let violation = try #require(found.result.violation)
        #expect(found.options.stepsMax <= Self.steps)
        #expect(found.options.without.count > 0, "no fault could be switched off")
        #expect(found.result.trace.contains { $0.contains("VIOLATION of \(violation.invariant.rawValue)") })
        #expect(found.options.command.contains("--control \(control.rawValue)"))
        // The command that is printed shows the same again.
        #expect(Simulation(found.options).run().violation?.invariant == violation.invariant)
    }
}
