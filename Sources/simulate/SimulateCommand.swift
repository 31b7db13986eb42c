public import ArgumentParser
public import Simulation

/// `simulate`: the coordinator in seeded worlds where everything goes wrong that may.
@main
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run the real coordinator in simulated worlds, and check what must always hold.",
        discussion: """
            A seed decides everything: the faults, the sizes, the times and the order of every step. A failure prints the seed, what was \
            broken, the command that shows it again, and the smallest world in which it still happens.
            """)

    @Option(help: "Run this seed alone.")
    var seed: UInt64?
    @Option(help: "The seeds to run, as A..B, or how many from 1 on.")
    var seeds = SeedRange(first: 1, last: 1000)
    @Option(help: "Steps with faults in each world; then everything is mended and has to come to rest.")
    var steps = 20_000
    @Option(help: "Stop after so many seconds.")
    var seconds: Double?
    @Option(help: "Faults that do not happen, separated by commas.")
    var without: FaultList = FaultList(kinds: [])
    @Option(help: "The numbers of the payments that are made, separated by commas; all if it is not given.")
    var payments: NumberList?
    @Option(
        help:
            "Break a promise to the server, to see that it is noticed: \(SimulationOptions.Control.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var control: SimulationOptions.Control?
    @Flag(help: "Print everything that happens. For a single seed.")
    var trace = false
    @Flag(help: "Stop at the first seed that fails, and do not make it smaller.")
    var stopAtFirst = false
    @Flag(help: "Do not make what fails smaller.")
    var asItIs = false
    @Flag(
        inversion: .prefixedNo,
        help: "Fail if \(RequiredCoverage.seedsMin) seeds or more did not try what has to be tried.")
    var coverage = true
    @Flag(help: "Print everything that was tried, and how often.")
    var tried = false
    @Flag(help: "Print one JSON object instead of text.")
    var json = false

    func validate() throws {
        guard steps >= 0 else { throw ValidationError("--steps is 0 or more") }
    }

    func run() throws {
        CrashNotice.install()
        if let seed { return try runOne(seed) }
        let progress = ProgressLine(isShown: !json)
        var campaign = Campaign()
        let watch = Stopwatch()
        for seed in seeds.first...seeds.last {
            CrashNotice.seed = seed
            let result = campaign.run(options(seed))
            progress.show(campaign, of: seeds.last - seeds.first + 1, watch.seconds)
            if result.violation != nil, stopAtFirst { break }
            if let seconds, watch.seconds >= seconds { break }
        }
        progress.clear()
        let isLong = campaign.seeds >= RequiredCoverage.seedsMin
        let missing = coverage && isLong ? RequiredCoverage.missing(in: campaign.coverage) : []
        let report = Report(campaign: campaign, seconds: watch.seconds, missing: missing, range: seeds)
        let smallest =
            stopAtFirst || asItIs ? nil : campaign.failures.first.flatMap { Minimiser.minimise(options($0.seed)) }
        print(json ? report.json(smallest) : report.text(smallest))
        if tried { print(report.tried) }
        guard report.isGood else { throw ExitCode(1) }
    }

    private func options(_ seed: UInt64) -> SimulationOptions {
        SimulationOptions(
            seed: seed, stepsMax: steps, without: without.kinds, payments: payments.map { Set($0.numbers) },
            keepsTrace: false, control: control)
    }

    private func runOne(_ seed: UInt64) throws {
        CrashNotice.seed = seed
        var options = options(seed)
        options.keepsTrace = true
        let simulation = Simulation(options)
        let result = simulation.run()
        let isRepeatable = Simulation(options).run().digest == result.digest
        if trace { for line in result.trace { print(line) } }
        print(Report.summary(of: result, isRepeatable: isRepeatable, json: json))
        guard result.violation == nil else {
            if !asItIs, !json, let found = Minimiser.minimise(self.options(seed)) { print(Report.text(found)) }
            throw ExitCode(1)
        }
        guard isRepeatable else { throw ExitCode(1) }
    }
}

/// `A..B`, or `N` for 1..N.
struct SeedRange: ExpressibleByArgument {
    let first: UInt64
    let last: UInt64

    init(first: UInt64, last: UInt64) {
        self.first = first
        self.last = last
    }

    init?(argument: String) {
        if let dots = argument.firstRange(of: "..") {
            guard let first = UInt64(argument[..<dots.lowerBound]), let last = UInt64(argument[dots.upperBound...]),
                first <= last
            else { return nil }
            self.init(first: first, last: last)
        } else {
            guard let count = UInt64(argument), count > 0 else { return nil }
            self.init(first: 1, last: count)
        }
    }

    var defaultValueDescription: String { "\(first)..\(last)" }
}

/// Names of faults, separated by commas.
struct FaultList: ExpressibleByArgument {
    let kinds: Set<FaultKind>

    init(kinds: Set<FaultKind>) { self.kinds = kinds }

    init?(argument: String) {
        let names = argument.split(separator: ",")
        let kinds = names.compactMap { FaultKind(rawValue: String($0)) }
        guard kinds.count == names.count else { return nil }
        self.init(kinds: Set(kinds))
    }

    var defaultValueDescription: String { "none" }
}

/// Numbers, separated by commas.
struct NumberList: ExpressibleByArgument {
    let numbers: [Int]

    init?(argument: String) {
        let parts = argument.split(separator: ",")
        numbers = parts.compactMap { Int($0) }
        guard numbers.count == parts.count else { return nil }
    }
}

extension SimulationOptions.Control: ExpressibleByArgument {}
