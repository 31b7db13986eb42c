import ArgumentParser
import BenchmarkKit

/// The whole protocol over two databases.
struct TwoDatabasesBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "two-databases",
        abstract:
            "The whole protocol on two databases, against what PostgreSQL can do without a log, and against Bitronix.",
        discussion: """
            Every payment has its row in one database and its merchant's entry in the other, by turns. The ceiling is a client \
            that prepares and commits the same rows in both databases and keeps no log. With --bitronix a transaction manager in \
            Java makes them too; scripts/bitronix check says whether it is installed.
            """)

    @OptionGroup var common: CommonOptions

    @Flag(help: "Measures Bitronix as well, after a warm-up.")
    var bitronix = false

    @Option(help: "How long each measurement takes, seconds.")
    var seconds: Double?

    @Option(help: "How long Bitronix is warmed up, seconds.")
    var warmUp: Double?

    @Option(help: "PostgreSQL clusters: 1 with both databases, which share its write-ahead log, or 2 with one each.")
    var clusters = 1

    @Option(parsing: .upToNextOption, help: "Payments of ours in flight, for each level.")
    var inFlight = [1, 8, 32, 64, 256]

    @Option(help: "Connections of ours to each database.")
    var connections = 16

    @Flag(help: "Leaves the others out: for a look at ours with a profiler.")
    var alone = false

    /// Transactions in flight of the client without a log, threads of Bitronix.
    private static let ceiling = [1, 8, 16, 32, 64]
    private static let threads = [16, 32, 64]
    private static let secondsDefault = 4.0
    private static let secondsQuick = 0.5
    private static let warmUpDefault = 25.0
    private static let warmUpQuick = 2.0

    /// What is wanted of the ratios.
    private static let ceilingFloor = 0.65
    private static let ceilingGoal = 0.80
    private static let bitronixFloor = 2.5
    /// In microseconds, with what they are called.
    private static let quantities = [
        ("p50", "p50"), ("p99", "p99"), ("cpu", "own CPU a payment"), ("postgresql_cpu", "PostgreSQL's CPU a payment"),
    ]

    func validate() throws {
        guard (1...2).contains(clusters) else { throw ValidationError("--clusters is 1 or 2") }
        guard !inFlight.isEmpty, inFlight.allSatisfy({ (1...512).contains($0) }) else {
            throw ValidationError("--in-flight is from 1 to 512")
        }
        guard (1...160).contains(connections) else { throw ValidationError("--connections is from 1 to 160") }
        guard !(alone && bitronix) else { throw ValidationError("--alone leaves Bitronix out") }
        guard (0.1...600).contains(measured) else { throw ValidationError("--seconds is from 0.1 to 600") }
        guard (0...600).contains(warming) else { throw ValidationError("--warm-up is from 0 to 600") }
    }

    private var measured: Double { seconds ?? (common.quick ? Self.secondsQuick : Self.secondsDefault) }
    private var warming: Double { warmUp ?? (common.quick ? Self.warmUpQuick : Self.warmUpDefault) }

    func run() throws {
        if bitronix, let obstacle = try BitronixPeer.obstacle() { throw BenchmarkFailure(obstacle) }
        let workspace = try Workspace(in: common.directory)
        defer { workspace.remove() }
        var report = common.report("two-databases")
        let started = try startClusters(in: workspace)
        defer { for cluster in started { cluster.stop() } }
        let uris = started.flatMap(\.uris)
        let words = Words()
        // First of all: it makes the tables.
        let node = try BenchNode(
            directory: workspace.path + "/state", databases: uris, connections: connections,
            inFlight: inFlight.max() ?? 1)
        defer { node.close() }
        let peer =
            bitronix
            ? try BitronixPeer(in: workspace, uris: uris, threadsMax: Self.threads.max() ?? 1, words: words) : nil
        defer { peer?.stop() }
        if let peer {
            Progress.note("warming Bitronix up for \(warming) s")
            _ = try peer.run(threads: Self.threads.max() ?? 1, seconds: max(0.1, warming))
        }

        let books = Books(started)
        let standings = try contest(node, RawClient(uris: uris, words: words), peer, books).run()
        tell(standings, in: &report)
        report.notes = notes
        try common.finish(report)
    }

    private func startClusters(in workspace: Workspace) throws -> [Cluster] {
        // Room for everybody's connections, and nothing that strikes one contestant and not the other.
        let settings = [
            "max_connections": "500", "max_wal_size": "16GB", "min_wal_size": "2GB", "checkpoint_timeout": "1h",
            "autovacuum": "off",
        ]
        return try (1...clusters).map { number in
            let cluster = try Cluster(
                in: workspace, name: "postgresql-\(number)", databases: clusters == 1 ? 2 : 1, settings: settings)
            try cluster.makeSegments(common.quick ? 8 : 64)
            return cluster
        }
    }

    private func contest(
        _ node: BenchNode, _ ceiling: RawClient, _ peer: BitronixPeer?, _ books: Books
    ) -> Contest {
        var contest = Contest(rounds: common.roundCount)
        func add(
            _ contestant: Contestant, _ count: Int, cpu: @escaping () -> Double = CPUTime.own,
            _ measure: @escaping () throws -> Throughput
        ) {
            contest.add(contestant.name(count)) { try books.audit(cpu: cpu, measure) }
        }
        for inFlight in alone ? [] : Self.ceiling {
            add(.ceiling, inFlight) { try ceiling.run(inFlight: inFlight, seconds: measured) }
        }
        for inFlight in inFlight {
            add(.holdfast, inFlight) { Throughput(try node.run(inFlight: inFlight, seconds: measured)) }
        }
        if let peer {
            for threads in Self.threads {
                add(.bitronix, threads, cpu: { peer.cpuMicroseconds }) {
                    try peer.run(threads: threads, seconds: measured)
                }
            }
        }
        return contest
    }

    private func tell(_ standings: Standings, in report: inout Report) {
        let counts: [(Contestant, [Int])] = [
            (.holdfast, inFlight), (.ceiling, alone ? [] : Self.ceiling), (.bitronix, bitronix ? Self.threads : []),
        ]
        var best: [Contestant: Series] = [:]
        for (contestant, counts) in counts {
            let throughput = counts.map { count in
                standings.series(
                    contestant.name(count), "1/s", label: "\(contestant.rawValue) payments", unit: "1/s",
                    parameters: ["in_flight": "\(count)"])
            }
            best[contestant] = Series.best(of: throughput)
            report.series += throughput
            for (quantity, name) in Self.quantities {
                report.series += counts.compactMap { count in
                    let name = "\(contestant.rawValue) \(name)"
                    let series = standings.series(
                        contestant.name(count), quantity, label: name, unit: "us", parameters: ["in_flight": "\(count)"]
                    )
                    return series.values.isEmpty ? nil : series
                }
            }
        }
        guard let ours = best[.holdfast] else { return }
        if let ceiling = best[.ceiling] {
            report.ratios.append(
                Ratio(
                    "at best, to the ceiling", of: ours.values, to: ceiling.values, floor: Self.ceilingFloor,
                    goal: Self.ceilingGoal))
        }
        if let peer = best[.bitronix] {
            report.ratios.append(
                Ratio("at best, to Bitronix", of: ours.values, to: peer.values, floor: Self.bitronixFloor))
        }
    }

    private var notes: [String] {
        [
            "\(clusters) PostgreSQL cluster\(clusters == 1 ? "" : "s"), \(connections) connections of ours to each database; tables "
                + "emptied before each measurement; \(measured) s a measurement; every payment has a branch in each database",
            "a payment's latency: ours to the answer, the others' to the second COMMIT PREPARED; throughput counts until the last "
                + "delivery",
        ] + (bitronix ? ["Bitronix: journal forced on the same disk, warmed up for \(warming) s"] : [])
    }

    private enum Contestant: String {
        case ceiling = "no log"
        case holdfast
        case bitronix

        func name(_ count: Int) -> String { "\(rawValue) at \(count)" }
    }
}

/// What is in both databases before and after a measurement.
private struct Books {
    private let clusters: [Cluster]

    init(_ clusters: [Cluster]) { self.clusters = clusters }

    /// Empties the tables, so that nobody finds larger indexes than another, and looks afterwards at what was made of the payments.
    ///
    /// - Returns: the quantities of what was measured, with the processor time of PostgreSQL and of who made the payments, in
    ///   microseconds a payment.
    func audit(cpu: () -> Double, _ measure: () throws -> Throughput) throws -> [String: Double] {
        for cluster in clusters {
            for database in cluster.databases {
                try cluster.query("TRUNCATE transactions, merchant_entries RESTART IDENTITY", database: database)
            }
            try cluster.query("CHECKPOINT", database: "postgres")
        }
        let before = (own: cpu(), postgresql: postgreSQL)
        let measured = try measure()
        let used = cpu() - before.own
        let payments = Double(max(1, try check()))
        // Now backends that are closed have ended and count among what the postmaster's children used.
        let usedByPostgreSQL = postgreSQL - before.postgresql
        var quantities = measured.quantities
        quantities["cpu"] = used / payments
        quantities["postgresql_cpu"] = usedByPostgreSQL / payments
        return quantities
    }

    private var postgreSQL: Double { clusters.reduce(0) { $0 + $1.cpuMicroseconds } }

    /// Nothing may be left prepared, and nothing of a payment may be in one database only.
    /// - Returns: how many payments were made.
    private func check() throws -> Int {
        var rows = 0
        var entries = 0
        for cluster in clusters {
            let left = try cluster.query("SELECT count(*) FROM pg_prepared_xacts", database: "postgres")
            guard left == "0" else { throw BenchmarkFailure("\(left) branches are left prepared") }
            for database in cluster.databases {
                rows += Int(try cluster.query("SELECT count(*) FROM transactions", database: database)) ?? 0
                entries += Int(try cluster.query("SELECT count(*) FROM merchant_entries", database: database)) ?? 0
            }
        }
        guard rows == entries, rows > 0 else {
            throw BenchmarkFailure("\(rows) payments and \(entries) entries: something was committed by half")
        }
        return rows
    }
}
