import ArgumentParser
import BenchmarkKit

/// The log: small appends and whole BEGINs, against a loop that syncs as many bytes in batches of the same size.
struct LogBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Appends and whole BEGINs a second through the log, against plain fdatasync.",
        discussion: """
            A small append is an acknowledgement of a payment that is under way: one record, and the payment's state anew. A BEGIN \
            writes the record, the state and the request_id, among as many request_ids as --present says. "waiting" is how many \
            wait for their durability at once; each begins the next when it is told of the last.

            The reference writes, for each level, as many bytes a batch as the log wrote, in a file that has its blocks, and calls \
            fdatasync once a batch; as many appends count as the log had in a batch.
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: "How many are waiting at once, for each level.")
    var waiting = [1, 8, 64, 256]

    @Option(help: "How long each measurement takes, seconds.")
    var seconds: Double?

    @Option(help: "How many request_ids the log has when the BEGINs come.")
    var present: Int?

    func validate() throws {
        guard !waiting.isEmpty, waiting.allSatisfy({ (1...4096).contains($0) }) else {
            throw ValidationError("--waiting is from 1 to 4096")
        }
        guard (0.01...600).contains(seconds ?? 1) else { throw ValidationError("--seconds is from 0.01 to 600") }
        guard (0...100_000_000).contains(present ?? 0) else { throw ValidationError("--present is too large") }
    }

    private enum Kind: String, CaseIterable {
        case append, begin
    }

    func run() throws {
        let workspace = try Workspace(in: common.directory)
        defer { workspace.remove() }
        let seconds = seconds ?? (common.quick ? 0.2 : 1.5)
        let present = present ?? (common.quick ? 20_000 : 1_000_000)
        var report = common.report("log")
        let bench = try LogBench(directory: try workspace.folder("state"))
        defer { bench.close() }
        let filled = Monotonic.now()
        try bench.fill(present)
        Progress.note("\(present) finished payments: \(Double((Monotonic.now() - filled) / 1_000_000) / 1000) s")
        let reference = try SyncLoop(path: workspace.path + "/reference", bytes: common.quick ? 16 << 20 : 128 << 20)
        defer { reference.close() }

        var contest = Contest(rounds: common.roundCount)
        var shapes: [String: LogBench.BatchShape] = [:]
        for kind in Kind.allCases {
            for level in waiting {
                let name = "\(kind) \(level)"
                shapes[name] = try measure(kind, level, min(seconds, 0.3), bench).shape
                contest.add("log \(name)") {
                    let measured = try measure(kind, level, seconds, bench)
                    shapes[name] = measured.shape
                    return measured.values
                }
                contest.add("fdatasync \(name)") {
                    guard let shape = shapes[name] else { return [:] }
                    return try reference.run(shape, seconds: seconds)
                }
            }
        }
        tell(try contest.run(), shapes, &report)
        report.notes.append("\(present) request_ids were in the log before the first BEGIN.")
        try common.finish(report)
    }

    private func measure(
        _ kind: Kind, _ level: Int, _ seconds: Double, _ bench: LogBench
    ) throws -> (values: [String: Double], shape: LogBench.BatchShape) {
        switch kind {
        case .append: try bench.measureAppends(waiting: level, seconds: seconds)
        case .begin: try bench.measureBegins(waiting: level, seconds: seconds)
        }
    }

    private func tell(_ standings: Standings, _ shapes: [String: LogBench.BatchShape], _ report: inout Report) {
        for kind in Kind.allCases {
            let what = kind == .append ? "small appends" : "whole BEGINs"
            for who in ["log", "fdatasync"] {
                for level in waiting {
                    let parameters = ["waiting": "\(level)"]
                    for (quantity, unit) in [("rate", "1/s"), ("p50", "us"), ("p99", "us")] {
                        let label = "\(who) \(what)" + (quantity == "rate" ? "" : " \(quantity)")
                        report.series.append(
                            standings.series(
                                "\(who) \(kind) \(level)", quantity, label: label, unit: unit, parameters: parameters))
                    }
                }
            }
            for level in waiting {
                let (ours, reference) = ("log \(kind) \(level)", "fdatasync \(kind) \(level)")
                report.ratios.append(
                    Ratio(
                        "\(what) at \(level) to fdatasync", of: standings.values(ours, "rate"),
                        to: standings.values(reference, "rate")))
                let shape = shapes["\(kind) \(level)"]
                report.notes.append(
                    "\(what) at \(level): \(Table.number(shape?.steps ?? .nan)) a commit, "
                        + "\(Table.number(shape?.bytes ?? .nan)) bytes written a commit.")
            }
            if let most = waiting.last {
                let goal = kind == .append ? 150_000.0 : 25_000.0
                report.ratios.append(
                    Ratio(
                        "\(what) a second at \(most), of the goal of \(Int(goal))",
                        values: standings.values("log \(kind) \(most)", "rate").map { $0 / goal }, goal: 1))
            }
        }
    }
}
