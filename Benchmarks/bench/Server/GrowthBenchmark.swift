import ArgumentParser
import BenchmarkKit

/// Whether anything grows that should not.
struct GrowthBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "growth",
        abstract: "Payments a second, the log's size and the server's memory over two million payments.",
        discussion: """
            The payments are made in --rounds equal parts, one closed loop each; a value a part. Finished payments are kept for \
            --retention seconds, so that the log is trimmed all the time. The last quarter is compared with the second one, by which \
            time trimming has begun: all three should be flat. The database keeps every row, as it does for a user.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var stackOptions: StackOptions

    @Option(help: "Payments in all.")
    var payments: Int?

    @Option(help: "Payments in flight.")
    var inFlight = 64

    @Option(help: "How long finished payments are kept, seconds.")
    var retention = 30

    func validate() throws {
        guard (1000...1_000_000_000).contains(payments ?? 1000) else {
            throw ValidationError("--payments is from 1000 to 1000000000")
        }
        guard (1...10_000).contains(inFlight) else { throw ValidationError("--in-flight is from 1 to 10000") }
        guard (1...86_400).contains(retention) else { throw ValidationError("--retention is from 1 to 86400") }
    }

    private static let contestant = "server"
    private static let partsDefault = 40
    private static let partsQuick = 4

    private enum Quantity: String, CaseIterable {
        case throughput = "holdfast payments"
        case tail = "holdfast p99"
        case logBytes = "log file"
        case anonymous = "memory of the server's own"
        case resident = "resident memory with the mapped log"
        case processorTime = "processor time, server"

        var unit: String {
            switch self {
            case .throughput: "1/s"
            case .tail: "us"
            case .logBytes, .anonymous, .resident: "bytes"
            case .processorTime: "us/payment"
            }
        }
    }

    func run() throws {
        let parts = common.rounds ?? (common.quick ? Self.partsQuick : Self.partsDefault)
        let part = max(1, (payments ?? (common.quick ? 4000 : 2_000_000)) / parts)
        // Now: it says when this began.
        var report = Report(
            benchmark: "growth", machine: .detect(directory: common.directory), rounds: parts, quick: common.quick)
        let workspace = try Workspace(in: common.directory)
        defer { workspace.remove() }
        // As a user's: vacuum and checkpoints are part of a long run.
        let cluster = try Cluster(in: workspace, settings: stackOptions.postgresql.dictionary)
        defer { cluster.stop() }
        // The velocity check looks at every card and refuses none.
        let stack = try PaymentStack(
            in: workspace, cluster: cluster,
            settings: ["LOG_RETENTION": "\(retention)", "RISK_ENABLED": "1", "RISK_VEL_LIMIT": "1000000"]
                .merging(stackOptions.server.dictionary) { $1 })
        defer { stack.end() }
        try stack.startServer()
        var contest = Contest(rounds: parts)
        contest.add(Self.contestant) { try measure(stack, payments: part) }
        let standings = try contest.run()
        report.series = Quantity.allCases.map {
            standings.series(
                Self.contestant, $0.rawValue, label: $0.rawValue, unit: $0.unit)
        }
        report.ratios = ratios(standings)
        report.notes = [
            "Each value is that of \(part) payments, in their order, \(inFlight) in flight; finished payments are kept for \(retention) s."
        ]
        report.notes += stackOptions.notes
        try common.finish(report)
        try stack.drainServer()
    }

    private func measure(_ stack: PaymentStack, payments: Int) throws -> [String: Double] {
        let pid = try stack.server().pid
        let before = CPUTime.ofProcess(pid)
        let load = try stack.load(["--connections", "\(inFlight)", "--requests", "\(payments)"])
        try load.requireAllApproved()
        try stack.waitUntilFinished()
        let memory = try MemoryFacts.of(pid)
        let values: [Quantity: Double] = [
            .throughput: load.answeredPerSecond, .tail: load.quantile("p99"),
            .logBytes: Double(try SystemFiles.allocatedBytes(stack.stateDirectory + "/data.mdb")),
            .anonymous: Double(memory.anonymous), .resident: Double(memory.resident),
            .processorTime: (CPUTime.ofProcess(pid) - before) / Double(load.answered),
        ]
        return Dictionary(uniqueKeysWithValues: values.map { ($0.key.rawValue, $0.value) })
    }

    private func ratios(_ standings: Standings) -> [Ratio] {
        func quarters(_ quantity: Quantity) -> (second: Double, last: Double) {
            Quarters.secondAndLast(standings.values(Self.contestant, quantity.rawValue))
        }
        func ratio(_ name: String, _ quantity: Quantity, _ mark: Double, isCeiling: Bool) -> Ratio {
            let (second, last) = quarters(quantity)
            return Ratio(
                "\(name), last quarter to the second", values: [last / second], floor: mark, isCeiling: isCeiling)
        }
        return [
            ratio("payments a second", .throughput, 0.9, isCeiling: false),
            ratio("log file", .logBytes, 1.1, isCeiling: true),
            ratio("memory of the server's own", .anonymous, 1.1, isCeiling: true),
        ]
    }
}

/// What a long run is judged by.
enum Quarters {
    /// The medians of the second quarter of the values and of the last; not a number if there are fewer than four.
    static func secondAndLast(_ values: [Double]) -> (second: Double, last: Double) {
        let quarter = values.count / 4
        guard quarter > 0 else { return (.nan, .nan) }
        return (
            Statistics.median(Array(values[quarter..<2 * quarter])), Statistics.median(Array(values.suffix(quarter)))
        )
    }
}
