import BenchmarkKit
import Foundation

/// The programs as a user runs them: server, clearing simulator and load generator, upon a private PostgreSQL.
final class PaymentStack {
    let cluster: Cluster
    let port: Int
    private let clearingPort: Int
    private let adminPort: Int
    private let folder: String
    private let databases: [String]
    private let settings: [String: String]
    private let simulator: BenchProcess
    private var running: BenchProcess?
    /// A server's start writes to a file of its own.
    private var starts = 0
    private var loads = 0

    /// Starts the simulator, with its books in memory, and no server yet.
    ///
    /// - Parameters:
    ///   - databases: the URIs of those that the server uses; `nil` for all of the cluster.
    ///   - settings: of the server, beyond what the benchmarks need.
    init(
        in workspace: Workspace, name: String = "stack", cluster: Cluster, databases: [String]? = nil,
        settings: [String: String] = [:]
    ) throws {
        self.cluster = cluster
        self.databases = databases ?? cluster.uris
        self.settings = settings
        folder = try workspace.folder(name)
        port = try Cluster.freePort()
        adminPort = try Cluster.freePort()
        clearingPort = try Cluster.freePort()
        simulator = try BenchProcess(
            "clearing-sim", executable: Programs.path("clearing-sim"),
            arguments: ["--port", "\(clearingPort)", "--books", "none", "--seed", "1"], errors: folder + "/clearing.log"
        )
        try wait("the clearing simulator listens", within: .seconds(15)) { [simulator, clearingPort, folder] in
            guard simulator.end() == nil else {
                throw BenchmarkFailure("clearing-sim ended: \(SystemFiles.tail(folder + "/clearing.log"))")
            }
            return (try? LineConnection(port: clearingPort)) != nil
        }
    }

    /// Starts a server once on databases that somebody else will use, so that they have its tables.
    static func makeTables(in workspace: Workspace, cluster: Cluster, databases: [String]) throws {
        let maker = try PaymentStack(in: workspace, name: "tables", cluster: cluster, databases: databases)
        defer { maker.end() }
        try maker.startServer()
        try maker.drainServer()
    }

    var stateDirectory: String { folder + "/state" }

    /// The running server.
    func server() throws -> BenchProcess {
        guard let running else { throw BenchmarkFailure("there is no server") }
        return running
    }

    /// The log lines of the server's last start.
    var errorsFile: String { folder + "/server-\(starts).log" }

    private var environment: [String: String] {
        [
            "HOME": folder, "PATH": "/usr/bin:/bin", "PORT": "\(port)", "ADMIN_PORT": "\(adminPort)",
            "DB_URI": databases.joined(separator: ","), "CLEARING_URL": "http://127.0.0.1:\(clearingPort)",
            "TOKEN_KEY_FILE": folder + "/token.key", "RISK_ENABLED": "0",
        ].merging(settings) { $1 }
    }

    /// Starts the server and does not wait for anything.
    ///
    /// - Parameter extra: settings of this start alone.
    func launchServer(with extra: [String: String] = [:]) throws -> BenchProcess {
        guard running?.end() != nil || running == nil else { throw BenchmarkFailure("the server runs already") }
        starts += 1
        let server = try BenchProcess(
            "server", executable: Programs.path("server"), arguments: ["--state-dir", stateDirectory],
            environment: environment.merging(extra) { $1 }, output: errorsFile, errors: errorsFile)
        running = server
        return server
    }

    /// Starts the server and waits until it takes payments.
    func startServer(with extra: [String: String] = [:]) throws {
        let server = try launchServer(with: extra)
        try wait("the server is ready", within: .seconds(60)) { [port, errorsFile] in
            try Self.requireRunning(server, errorsFile)
            guard let connection = try? LineConnection(port: port) else { return false }
            return try connection.ask("GET /readyz") == "OK"
        }
    }

    /// Until something is so that is asked of a server which runs.
    func waitWhileRunning(
        _ what: String, within limit: Duration = .seconds(60), every pause: UInt32 = 500,
        _ condition: () throws -> Bool
    ) throws {
        let server = try server()
        try wait(what, within: limit, every: pause) {
            try Self.requireRunning(server, errorsFile)
            return try condition()
        }
    }

    private static func requireRunning(_ server: BenchProcess, _ errorsFile: String) throws {
        if let end = server.end() {
            throw BenchmarkFailure("the server ended with \(end): \(SystemFiles.tail(errorsFile))")
        }
    }

    /// SIGKILL.
    func killServer() {
        running?.kill()
        running = nil
    }

    /// SIGTERM; must leave nothing.
    func drainServer() throws {
        let server = try server()
        server.send(SIGTERM)
        let end = try server.wait(within: .seconds(120))
        guard end.exitCode == 0 else {
            throw BenchmarkFailure("the server drained with \(end): \(SystemFiles.tail(errorsFile))")
        }
        running = nil
    }

    /// Kills both; the cluster is the caller's.
    func end() {
        killServer()
        simulator.kill()
    }

    /// The counters and gauges of the server.
    func metrics() throws -> Metrics { try Metrics(LineConnection(port: port).ask("GET /metrics")) }

    /// Until every payment is committed everywhere or reversed, so that the next measurement begins with a quiet server.
    func waitUntilFinished(within limit: Duration = .seconds(120)) throws {
        let connection = try LineConnection(port: port)
        try waitWhileRunning("every payment is finished", within: limit) {
            let metrics = try Metrics(connection.ask("GET /metrics"))
            return try metrics.value("unfinished") == 0 && metrics.value("reversals_open") == 0
        }
    }

    /// How long the network takes for an answer from now on.
    func setClearingLatency(milliseconds: Double) throws {
        let status = try LineConnection.post(
            "{\"latency_ms\":\(milliseconds)}", to: "/clearing/faults", port: clearingPort)
        guard status.contains(" 200") else { throw BenchmarkFailure("clearing-sim answered \(status)") }
    }

    /// How many payments the network holds that are neither confirmed nor released.
    func heldCount() throws -> Int {
        let connection = try LineConnection(port: clearingPort)
        try connection.send("GET /clearing/book HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        let book = try connection.rest()
        return book.components(separatedBy: #""state":"held""#).count - 1
    }

    // MARK: Load

    /// Runs the load generator to its end.
    ///
    /// - Parameter arguments: its flags; every load has a prefix of its own.
    func load(_ arguments: [String], within limit: Duration = .seconds(3600)) throws -> LoadResult {
        let load = try startLoad(arguments)
        let end = try load.process.wait(within: limit)
        guard end.exitCode == 0 else {
            throw BenchmarkFailure("loadgen ended with \(end): \(SystemFiles.tail(load.errors))")
        }
        var result = try LoadResult(json: SystemFiles.text(load.output))
        result.processorTime = end.processorTime
        return result
    }

    /// Starts the load generator.
    func startLoad(_ arguments: [String]) throws -> (process: BenchProcess, output: String, errors: String) {
        loads += 1
        let (output, errors) = (folder + "/load-\(loads).json", folder + "/load-\(loads).log")
        let process = try BenchProcess(
            "loadgen", executable: Programs.path("loadgen"),
            arguments: ["--port", "\(port)", "--json", "--prefix", "bench-\(loads)"] + arguments, output: output,
            errors: errors)
        return (process, output, errors)
    }

    /// The processor time of everybody but the load generator, which says its own at its end, microseconds.
    func processorTimes() throws -> ProcessorTimes {
        ProcessorTimes(
            server: CPUTime.ofProcess(try server().pid), postgresql: cluster.cpuMicroseconds,
            simulator: CPUTime.ofProcess(simulator.pid))
    }
}

struct ProcessorTimes {
    var server: Double
    var postgresql: Double
    var simulator: Double
}

/// The counters and gauges that a server tells.
struct Metrics: Equatable {
    private let values: [String: Int]

    /// - Parameter text: the answer to `GET /metrics` on the line protocol: one JSON object.
    init(_ text: String) throws {
        guard let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
            throw BenchmarkFailure("GET /metrics answers \(text.prefix(200))")
        }
        values = object.compactMapValues { ($0 as? NSNumber)?.intValue }
    }

    /// - Throws: if the server has no such metric.
    func value(_ name: String) throws -> Int {
        guard let value = values[name] else { throw BenchmarkFailure("the server has no metric \(name)") }
        return value
    }
}

/// The programs under test: of `HOLDFAST_BIN_DIR`, else those built with this one.
enum Programs {
    static func path(_ name: String) throws -> String {
        let folder: String
        if let chosen = ProcessInfo.processInfo.environment["HOLDFAST_BIN_DIR"], !chosen.isEmpty {
            folder = chosen
        } else {
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            folder = URL(fileURLWithPath: own).deletingLastPathComponent().path
        }
        let path = "\(folder)/\(name)"
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw BenchmarkFailure("\(path) is missing; run make release, or set HOLDFAST_BIN_DIR")
        }
        return path
    }
}

/// Looks again and again.
///
/// - Parameter pause: microseconds between two looks.
func wait(
    _ what: String, within limit: Duration, every pause: UInt32 = 5000, _ condition: () throws -> Bool
) throws {
    let deadline = ContinuousClock.now + limit
    while try !condition() {
        guard ContinuousClock.now < deadline else { throw BenchmarkFailure("not within \(limit): \(what)") }
        usleep(pause)
    }
}
