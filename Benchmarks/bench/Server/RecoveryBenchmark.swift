import ArgumentParser
import BenchmarkKit
import Foundation

/// How soon a server that was killed is back.
struct RecoveryBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recovery",
        abstract: "From the start of a process after kill -9 to the open port and to nothing in doubt.",
        discussion: """
            Two scenes, each in a new log and in one with --payments finished payments before it: a server that is killed while it is \
            under load with --in-flight payments, and one that is killed while --in-doubt payments are prepared in the database and \
            undecided. It is started again at once, and asked every half millisecond.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var stackOptions: StackOptions

    @Option(help: "Payments in flight when the server is killed.")
    var inFlight = 32

    @Option(help: "Prepared and undecided payments when the server is killed.")
    var inDoubt = 50

    @Option(help: "Finished payments in the longer log.")
    var payments: Int?

    func validate() throws {
        guard (1...256).contains(inFlight), (1...256).contains(inDoubt) else {
            throw ValidationError("--in-flight and --in-doubt are from 1 to 256")
        }
        guard (0...100_000_000).contains(payments ?? 0) else {
            throw ValidationError("--payments is from 0 to 100000000")
        }
    }

    func run() throws {
        let workspace = try Workspace(in: common.directory)
        defer { workspace.remove() }
        let cluster = try stackOptions.cluster(in: workspace, databases: 2)
        defer { cluster.stop() }
        let past = payments ?? (common.quick ? 20_000 : 1_000_000)
        let scenes = try [0, past].enumerated().map { index, payments in
            try RecoveryScene(
                in: workspace, cluster: cluster, database: index, finished: payments,
                loadSeconds: common.quick ? 0.3 : 1, settings: stackOptions.server.dictionary)
        }
        defer { for scene in scenes { scene.end() } }
        var contest = Contest(rounds: common.roundCount)
        for scene in scenes {
            contest.add(scene.name("in flight")) { try scene.killedUnderLoad(inFlight: inFlight) }
            contest.add(scene.name("in doubt")) { try scene.killedInDoubt(count: inDoubt) }
        }
        let standings = try contest.run()
        var report = common.report("recovery")
        for scene in scenes {
            for kind in ["in flight", "in doubt"] {
                add(kind, of: scene, standings, to: &report)
            }
        }
        report.notes = [
            "Times count from the start of the new process, which follows the kill at once; the old one's backends are still there."
        ]
        report.notes += stackOptions.notes
        try common.finish(report)
    }

    private func add(_ kind: String, of scene: RecoveryScene, _ standings: Standings, to report: inout Report) {
        let name = scene.name(kind)
        let count = kind == "in flight" ? inFlight : inDoubt
        for quantity in RecoveryTimes.Quantity.allCases {
            report.series.append(
                standings.series(
                    name, quantity.rawValue, label: quantity.rawValue, unit: quantity.unit,
                    parameters: ["scene": "\(count) \(kind)", "finished": "\(scene.finished)"]))
        }
        func seconds(_ quantity: RecoveryTimes.Quantity, _ mark: Double) -> Ratio {
            Ratio(
                "\(quantity.rawValue), seconds: \(count) \(kind), \(scene.finished) before",
                values: standings.values(name, quantity.rawValue).map { $0 / 1000 }, floor: mark, isCeiling: true)
        }
        report.ratios += [seconds(.portOpen, 0.3), seconds(.nothingInDoubt, 0.5)]
    }
}

/// What is measured of one start.
struct RecoveryTimes {
    enum Quantity: String, CaseIterable {
        case portOpen = "port open"
        case nothingInDoubt = "nothing in doubt"
        case reversed = "every reversal acknowledged"
        case unfinished = "unfinished at the start"

        var unit: String { self == .unfinished ? "payments" : "ms" }
    }

    /// The number of unfinished transactions that the server's log lines tell at its start; 0 if they tell none.
    static func unfinished(in logLines: String) -> Int {
        for line in logLines.split(separator: "\n") where line.contains(#""event":"recovery""#) {
            guard let start = line.range(of: #""unfinished":"#) else { continue }
            return Int(line[start.upperBound...].prefix { $0.isNumber }) ?? 0
        }
        return 0
    }
}

/// A server with its past, killed and started again and again.
final class RecoveryScene {
    let finished: Int
    private let stack: PaymentStack
    private let cluster: Cluster
    private let database: String
    private let loadSeconds: Double
    private var payments = 0

    private static let lock = "bench_lock"
    /// How long an order to prepare may take to arrive after the network has answered.
    private static let settlingMicroseconds: UInt32 = 200_000

    /// What a server needs so that many payments wait together for as long as it takes.
    private static let patience = [
        "LOCK_TIMEOUT_MS": "120000", "TWOPC_PREPARE_TIMEOUT": "120", "TWOPC_COMMIT_TIMEOUT": "120",
        "CLEARING_TIMEOUT": "30", "RECOVERY_INTERVAL": "60", "HOLDFAST_FAULT": "prepared:1:delay=600000",
    ]

    /// - Parameters:
    ///   - database: which of the cluster's.
    ///   - finished: payments of the past.
    ///   - settings: of the server.
    init(
        in workspace: Workspace, cluster: Cluster, database: Int, finished: Int, loadSeconds: Double,
        settings: [String: String]
    ) throws {
        self.finished = finished
        self.cluster = cluster
        self.database = cluster.databases[database]
        self.loadSeconds = loadSeconds
        let uris = [cluster.uris[database]]
        if finished > 0 { try PaymentStack.makeTables(in: workspace, cluster: cluster, databases: uris) }
        stack = try PaymentStack(
            in: workspace, name: "stack-\(database)", cluster: cluster, databases: uris, settings: settings)
        guard finished > 0 else { return }
        let history = LogHistory(payments: finished)
        let began = ContinuousClock.now
        try history.write(to: stack.stateDirectory)
        Progress.note("a log with \(finished) finished payments: \(ContinuousClock.now - began)")
        try history.insertRows(into: self.database, of: cluster)
        Progress.note("and its rows: \(ContinuousClock.now - began)")
    }

    func name(_ kind: String) -> String { "\(kind), \(finished) before" }

    func end() { stack.end() }

    func killedUnderLoad(inFlight: Int) throws -> [String: Double] {
        try stack.startServer()
        let load = try stack.startLoad(["--connections", "\(inFlight)", "--duration", "600"])
        let watch = try LineConnection(port: stack.port)
        try stack.waitWhileRunning("payments are made", every: 5000) {
            try Metrics(watch.ask("GET /metrics")).value("approved") > 0
        }
        usleep(UInt32(loadSeconds * 1e6))
        // The server first: it must not see its clients go.
        stack.killServer()
        load.process.kill()
        return try startAgain()
    }

    func killedInDoubt(count: Int) throws -> [String: Double] {
        try stack.startServer(with: Self.patience)
        let held = try stack.heldCount()
        // A lock keeps the branches from being prepared until all have been asked for; the first vote then stops the server's loop,
        // while the database goes on. A prepared transaction keeps its locks, and needs no session.
        try cluster.query(
            "BEGIN; LOCK TABLE transactions, merchant_entries IN SHARE MODE; PREPARE TRANSACTION '\(Self.lock)'",
            database: database)
        let client = try LineConnection(port: stack.port)
        for _ in 0..<count {
            payments += 1
            try client.send(
                #"{"pan":"9000000000000001","amount":"12.34","request_id":"doubt-\#(database)-\#(payments)"}"# + "\n")
        }
        try stack.waitWhileRunning("the network holds every payment", every: 20_000) {
            try stack.heldCount() == held + count
        }
        usleep(Self.settlingMicroseconds)
        try cluster.query("ROLLBACK PREPARED '\(Self.lock)'", database: database)
        try stack.waitWhileRunning("every branch is prepared", every: 50_000) { try preparedCount() == count }
        stack.killServer()
        let times = try startAgain()
        guard times[RecoveryTimes.Quantity.unfinished.rawValue] == Double(count) else {
            throw BenchmarkFailure("of \(count) payments in doubt the server found \(times)")
        }
        return times
    }

    private func preparedCount() throws -> Int {
        let text = try cluster.query(
            "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()", database: database)
        guard let count = Int(text) else { throw BenchmarkFailure("PostgreSQL counts \(text) prepared transactions") }
        return count
    }

    /// Starts the server, watches it recover, and ends it.
    private func startAgain() throws -> [String: Double] {
        let server = try stack.launchServer()
        func elapsed() -> Double { (ContinuousClock.now - server.startedAt) / .milliseconds(1) }
        var connection: LineConnection?
        try stack.waitWhileRunning("the port is open") {
            connection = try? LineConnection(port: stack.port)
            return connection != nil
        }
        guard let connection else { throw BenchmarkFailure("there is no connection") }
        let portOpen = elapsed()
        var settled: Double?
        try stack.waitWhileRunning("nothing is in doubt and every reversal is acknowledged") {
            let metrics = try Metrics(connection.ask("GET /metrics"))
            guard try metrics.value("unfinished") == 0 else { return false }
            if settled == nil { settled = elapsed() }
            return try metrics.value("reversals_open") == 0
        }
        let reversed = elapsed()
        let left = try preparedCount()
        guard left == 0 else {
            throw BenchmarkFailure("the server says that nothing is in doubt, PostgreSQL has \(left)")
        }
        let unfinished = RecoveryTimes.unfinished(in: try SystemFiles.text(stack.errorsFile))
        try stack.drainServer()
        let values: [RecoveryTimes.Quantity: Double] = [
            .portOpen: portOpen, .nothingInDoubt: settled ?? reversed, .reversed: reversed,
            .unfinished: Double(unfinished),
        ]
        return Dictionary(uniqueKeysWithValues: values.map { ($0.key.rawValue, $0.value) })
    }
}
