/// Many seeds, one after the other, and what came of them together.
public struct Campaign {
    public private(set) var seeds = 0
    public private(set) var steps = 0
    public private(set) var virtualNanoseconds: UInt64 = 0
    public private(set) var payments = 0
    public private(set) var submissions = 0
    public private(set) var crashes = 0
    public private(set) var answers: [String: Int] = [:]
    public private(set) var failures: [SimulationResult] = []
    /// Seeds that were run twice.
    public private(set) var repeated = 0
    /// Seeds whose second run was another than the first.
    public private(set) var unrepeatable: [UInt64] = []
    public let coverage = Coverage()

    /// Every so many seeds one is run twice, to see that a seed decides everything.
    public static let repeatInterval: UInt64 = 25

    public init() {}

    /// Runs one seed.
    public mutating func run(_ options: SimulationOptions) -> SimulationResult {
        let simulation = Simulation(options)
        let result = simulation.run()
        add(result, simulation.coverage)
        if options.seed % Self.repeatInterval == 0 {
            repeated += 1
            if Simulation(options).run().digest != result.digest { unrepeatable.append(options.seed) }
        }
        return result
    }

    /// Adds what one seed came to.
    private mutating func add(_ result: SimulationResult, _ coverage: Coverage) {
        seeds += 1
        steps += result.steps
        virtualNanoseconds += result.virtualNanoseconds
        payments += result.payments
        submissions += result.submissions
        crashes += result.crashes
        answers.merge(result.answers, uniquingKeysWith: +)
        self.coverage.add(coverage)
        if result.violation != nil { failures.append(result) }
    }
}
