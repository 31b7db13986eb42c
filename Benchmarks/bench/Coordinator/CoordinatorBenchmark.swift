import ArgumentParser
import BenchmarkKit

/// The whole protocol in one process, against pgbench with the same SQL.
struct CoordinatorBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "The whole protocol on one database, against pgbench with the same SQL.",
        discussion: """
            The coordinator with its log and its connections, put together as a node does it; the clearing network alone is answered \
            in this process, at once. Each payment: BEGIN forced, prepare, decision forced, commit, END with a later batch. "in \
            flight" is how many payments are open at once; each answer is followed by the next payment.

            pgbench writes the same rows with the same statements: BEGIN, two INSERTs, PREPARE TRANSACTION, COMMIT PREPARED, with no \
            log of its own. Both use the same cluster in turn, each measurement with emptied tables.
            """)

    @OptionGroup var common: CommonOptions

    @Option(parsing: .upToNextOption, help: "Payments in flight, for each level.")
    var inFlight = [1, 8, 32, 64, 256]

    @Option(parsing: .upToNextOption, help: "Clients of pgbench, for each level.")
    var clients = [1, 8, 16, 32, 64]

    @Option(help: "How long each measurement takes, seconds.")
    var seconds: Double?

    @Option(help: "Connections of the coordinator.")
    var connections = 32

    @Option(parsing: .upToNextOption, help: "Settings of PostgreSQL beyond the usual, as name=value.")
    var set: [String] = []

    @Flag(help: "Leaves pgbench out: for a look at the coordinator with a profiler.")
    var alone = false

    @Flag(help: "Measures pgbench with BEGIN, INSERTs and PREPARE TRANSACTION in one message, too.")
    var combined = false

    func validate() throws {
        guard (inFlight + clients).allSatisfy({ (1...512).contains($0) }) else {
            throw ValidationError("--in-flight and --clients are from 1 to 512")
        }
        guard (0.1...600).contains(seconds ?? 1) else { throw ValidationError("--seconds is from 0.1 to 600") }
        guard (1...160).contains(connections) else { throw ValidationError("--connections is from 1 to 160") }
        guard set.allSatisfy({ $0.contains("=") }) else { throw ValidationError("--set takes name=value") }
    }

    func run() throws {
        let workspace = try Workspace(in: common.directory)
        defer { workspace.remove() }
        var report = common.report("coordinator")
        let cluster = try Cluster(in: workspace, maxPrepared: 1000, settings: try settings())
        defer { cluster.stop() }
        let seconds = seconds ?? (common.quick ? 1 : 5)
        try cluster.makeSegments(common.quick ? 8 : 64)
        let pgbench = try Pgbench(cluster, folder: workspace.folder("pgbench"))
        let stand = CoordinatorStand(cluster, folder: try workspace.folder("states"), connections: connections)
        // Makes the tables, and shows that everything works.
        _ = try stand.measure(inFlight: 8, seconds: 0.3)

        var contest = Contest(rounds: common.roundCount)
        let clients = alone ? [] : clients
        for (place, level) in inFlight.enumerated() {
            contest.add("holdfast \(level)") { try stand.measure(inFlight: level, seconds: seconds) }
            guard place < clients.count else { continue }
            add(clients[place], pgbench, seconds, to: &contest)
        }
        for level in clients.dropFirst(inFlight.count) { add(level, pgbench, seconds, to: &contest) }
        tell(try contest.run(), &report)
        let further = set.isEmpty ? "" : "; " + set.joined(separator: ", ")
        report.notes.append("The coordinator has \(connections) connections; autovacuum is off\(further).")
        try common.finish(report)
    }

    private func add(_ level: Int, _ pgbench: Pgbench, _ seconds: Double, to contest: inout Contest) {
        for form in forms {
            contest.add("\(form.name) \(level)") { try pgbench.measure(form, clients: level, seconds: seconds) }
        }
    }

    private var forms: [Pgbench.Form] { combined ? Pgbench.Form.allCases : [.separate] }

    /// What would strike one of them and not the other by chance is kept away.
    private func settings() throws -> [String: String] {
        var settings = ["autovacuum": "off", "max_wal_size": "8GB", "min_wal_size": "2GB", "checkpoint_timeout": "1h"]
        for text in set {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            settings[String(parts[0])] = String(parts[1])
        }
        return settings
    }

    private func tell(_ standings: Standings, _ report: inout Report) {
        func add(_ contestant: String, _ label: String, _ parameters: [String: String]) {
            let quantities = [
                ("rate", "payments", "1/s"), ("p50", "p50", "us"), ("p99", "p99", "us"),
                ("latency", "mean latency", "us"),
                ("cpu", "own CPU a payment", "us"), ("postgresql_cpu", "PostgreSQL's CPU a payment", "us"),
                ("steps", "log steps a commit", "1"),
            ]
            for (quantity, name, unit) in quantities where !standings.values(contestant, quantity).isEmpty {
                report.series.append(
                    standings.series(
                        contestant, quantity, label: "\(label) \(name)", unit: unit, parameters: parameters))
            }
        }
        for level in inFlight { add("holdfast \(level)", "holdfast", ["in_flight": "\(level)"]) }
        for level in alone ? [] : clients {
            for form in forms { add("\(form.name) \(level)", form.name, ["in_flight": "\(level)"]) }
        }
        func rates(_ who: String, _ levels: [Int]) -> [Series] {
            levels.map { standings.series("\(who) \($0)", "rate", label: "\($0)", unit: "1/s") }
        }
        guard !alone, let ours = Series.best(of: rates("holdfast", inFlight)),
            let theirs = Series.best(of: rates(Pgbench.Form.separate.name, clients))
        else { return }
        report.notes.append("Best: \(ours.label) in flight, and pgbench with \(theirs.label) clients.")
        report.ratios.append(
            Ratio(
                "coordinator at its best in-flight count to pgbench's best", of: ours.values, to: theirs.values,
                floor: 0.80, goal: 0.95))
        if combined, let combined = Series.best(of: rates(Pgbench.Form.combined.name, clients)) {
            report.ratios.append(
                Ratio(
                    "the same to pgbench's best with all up to PREPARE TRANSACTION in one message", of: ours.values,
                    to: combined.values))
        }
        if inFlight.contains(64) {
            report.ratios.append(
                Ratio(
                    "coordinator at 64 in flight to pgbench's best", of: standings.values("holdfast 64", "rate"),
                    to: theirs.values, floor: 0.75, goal: 0.90))
        }
        if inFlight.contains(1), clients.contains(1) {
            report.ratios.append(
                Ratio(
                    "coordinator at 1 in flight to pgbench with 1 client", of: standings.values("holdfast 1", "rate"),
                    to: standings.values("pgbench 1", "rate"), floor: 0.40, goal: 0.50))
        }
    }
}
