import Foundation
import Synchronization

/// A PostgreSQL cluster of our own on a port of loopback.
///
/// One serves the whole run; a test that needs other settings, or that stops its cluster, makes its own.
final class PrivateCluster: Sendable {
    /// Owns the databases and is what the servers connect as: not a superuser, as in production.
    static let serverRole = "payments"
    static let superuser = "postgres"
    private static let shared = Mutex<PrivateCluster?>(nil)

    let port: UInt16
    let directory: String
    let dataDirectory: String
    private let preparedTransactionsMax: Int
    private let settings: [String]
    private let databases = Atomic<Int>(0)
    private let scripts = Atomic<Int>(0)
    let tools: Tools

    /// The cluster of the run, made when it is first asked for.
    static func forRun() throws -> PrivateCluster {
        try shared.withLock { shared in
            if let shared { return shared }
            let made = try PrivateCluster(name: "postgres", preparedTransactionsMax: 200)
            shared = made
            return made
        }
    }

    /// - Parameters:
    ///   - settings: `name=value`, beyond ours or instead of them.
    ///   - disk: where its files are, if not with the others of the run. It must be stopped before the disk ends.
    init(name: String, preparedTransactionsMax: Int, settings: [String] = [], on disk: SmallDisk? = nil) throws {
        tools = try Tools(entrance: disk?.entrance ?? [])
        port = try Loopback.freePort()
        self.preparedTransactionsMax = preparedTransactionsMax
        self.settings = settings
        if let disk {
            directory = "\(disk.mountPoint)/\(name)"
            try FileManager.default.createDirectory(
                atPath: "\(disk.path)/\(name)", withIntermediateDirectories: false)
            try tools.giveAway("\(disk.path)/\(name)")
        } else {
            directory = try RunDirectory.shared().make(name)
            try tools.giveAway(directory)
        }
        dataDirectory = directory + "/data"
        try tools.run(
            "initdb",
            [
                "--pgdata", dataDirectory, "--auth", "trust", "--username", Self.superuser, "--encoding", "UTF8",
                "--locale", "C", "--no-sync",
            ], within: Limits.clusterStart)
        if disk == nil { try Reaper.shared().adoptCluster(dataDirectory) }
        try start()
        if let disk {
            // Its directory is seen by the disk's processes only.
            let text = try Files.text("\(disk.path)/\(name)/data/postmaster.pid")
            if let pid = text.split(separator: "\n").first.flatMap({ pid_t($0) }) { try Reaper.shared().adopt(pid) }
        }
        try query("CREATE ROLE \(Self.serverRole) LOGIN")
    }

    /// fsync is off: the tests end processes, never the machine, and what a process has written outlives it in the kernel's
    /// cache. The log of the server under test is synced nevertheless.
    func start() throws { try start(dataDirectory, port: port, log: logFile) }

    /// - Parameter further: settings beyond those that every server of the tests has.
    func start(_ dataDirectory: String, port: UInt16, log: String, with further: [String] = []) throws {
        let settings = [
            "port=\(port)", "listen_addresses=127.0.0.1", "unix_socket_directories=\(directory)",
            "max_prepared_transactions=\(preparedTransactionsMax)", "max_connections=300", "shared_buffers=128MB",
            "fsync=off", "full_page_writes=off", "log_min_messages=warning", "log_line_prefix='%m [%p] %a '",
        ]
        // The last one counts.
        let options = (settings + self.settings + further).map { "-c \($0)" }.joined(separator: " ")
        try tools.run(
            "pg_ctl", ["start", "--wait", "--pgdata", dataDirectory, "--log", log, "--options", options],
            within: Limits.clusterStart)
    }

    /// SIGKILL to the postmaster; its backends notice and end. ``startAgain()`` is to follow.
    func killPostmaster() throws {
        let lines = try Files.text(dataDirectory + "/postmaster.pid").split(separator: "\n")
        guard let pid = lines.first.flatMap({ Int32($0) }), pid > 1 else {
            throw HarnessError("no postmaster in \(dataDirectory)")
        }
        kill(pid, SIGKILL)
    }

    /// Starts it as soon as the backends of a postmaster that was killed are gone, which hold its memory.
    func startAgain() throws {
        let deadline = Deadline(in: Limits.clusterStart)
        while true {
            do {
                return try start()
            } catch {
                guard !deadline.hasPassed else { throw error }
                Wait.sleep(.milliseconds(100))
            }
        }
    }

    enum StopMode: String {
        case fast, immediate
    }

    func stop(_ mode: StopMode) throws { try stop(mode, dataDirectory) }

    func stop(_ mode: StopMode, _ dataDirectory: String) throws {
        try tools.run("pg_ctl", ["stop", "--wait", "--pgdata", dataDirectory, "--mode", mode.rawValue])
    }

    /// What the cluster itself says.
    var logFile: String { directory + "/postgresql.log" }

    /// Where rows are on the disk, and where they were written ahead.
    var storage: [String] { [dataDirectory + "/base", dataDirectory + "/pg_wal", logFile] }

    func makeDatabase() throws -> Database {
        let name = "it_\(databases.add(1, ordering: .relaxed).newValue)"
        try query("CREATE DATABASE \(name) OWNER \(Self.serverRole)")
        return Database(name: name, cluster: self)
    }

    /// Runs one statement (or several that return nothing) as the superuser.
    @discardableResult
    func query(_ sql: String, database: String = "postgres") throws -> [[String]] {
        // Field and record separators that are in no value, so that nothing has to be unquoted.
        let (field, record) = ("\u{1F}", "\u{1E}")
        let output = try Tool.check(
            tools.path("psql"),
            [
                "-X", "-q", "-A", "-t", "-F", field, "-R", record, "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
                "\(port)",
                "-U", Self.superuser, "-d", database, "-f", "-",
            ], environment: ["PGCONNECT_TIMEOUT": "10", "PGOPTIONS": "-c statement_timeout=30s"], input: sql)
        let text = output.hasSuffix("\n") ? String(output.dropLast()) : output
        guard !text.isEmpty else { return [] }
        return text.components(separatedBy: record).map { $0.components(separatedBy: field) }
    }

    /// Starts psql on a script and does not wait for its end; what it says is in the cluster's directory.
    func startScript(_ sql: String, database: String, role: String, applicationName: String) throws -> ChildProcess {
        let number = scripts.add(1, ordering: .relaxed).newValue
        let stem = try RunDirectory.shared().path + "/script-\(port)-\(number)"
        try sql.write(toFile: stem + ".sql", atomically: false, encoding: .utf8)
        return try ChildProcess(
            name: "psql", executable: tools.path("psql"),
            arguments: [
                "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", "\(port)", "-U", role, "-d", database,
                "-f", stem + ".sql",
            ],
            environment: ["PGCONNECT_TIMEOUT": "10", "PGAPPNAME": applicationName], output: stem + ".out",
            errors: stem + ".err")
    }

    /// Everything that is in a database, as text.
    func dump(_ database: String) throws -> String {
        try Tool.check(
            tools.path("pg_dump"), ["-h", "127.0.0.1", "-p", "\(port)", "-U", Self.superuser, database])
    }

    /// The programs of PostgreSQL, and who runs those that refuse root.
    struct Tools: Sendable {
        private let directories: [String]
        /// The user that the cluster runs as if we are root; `nil`: ourselves.
        private let user: String?
        /// What they are started through.
        private let entrance: [String]

        init(entrance: [String] = []) throws {
            self.entrance = entrance
            let versions = try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")
            directories = (versions ?? []).sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }.map {
                "/usr/lib/postgresql/\($0)/bin"
            }
            user = geteuid() == 0 ? (getpwnam("postgres") == nil ? "nobody" : "postgres") : nil
        }

        func path(_ name: String) throws -> String { try Tool.locate(name, alsoIn: directories) }

        func giveAway(_ directory: String) throws {
            guard let user, let entry = getpwnam(user) else { return }
            guard chown(directory, entry.pointee.pw_uid, entry.pointee.pw_gid) == 0 else {
                throw HarnessError("chown \(directory): \(String(cString: strerror(errno)))")
            }
        }

        func run(_ name: String, _ arguments: [String], within limit: Duration = Limits.tool) throws {
            let environment = ["PATH": "/usr/bin:/bin", "LC_ALL": "C"]
            let asUser = try user.map { [try Tool.locate("runuser"), "-u", $0, "--"] } ?? []
            let command = entrance + asUser + [try path(name)] + arguments
            try Tool.check(command[0], Array(command.dropFirst()), environment: environment, within: limit)
        }
    }
}

/// A database of a test.
struct Database: Sendable {
    let name: String
    let cluster: PrivateCluster

    /// What the server gets as `DB_URI`. Another port is that of a proxy in between.
    func uri(port: UInt16? = nil, role: String = PrivateCluster.serverRole) -> String {
        "postgresql://\(role)@127.0.0.1:\(port ?? cluster.port)/\(name)"
    }

    @discardableResult
    func query(_ sql: String) throws -> [[String]] { try cluster.query(sql, database: name) }

    func has(table: String) throws -> Bool {
        try query("SELECT to_regclass('public.\(table)') IS NOT NULL") == [["t"]]
    }

    /// The names of the prepared transactions in this database that look like ours.
    func preparedBranches() throws -> [String] {
        try cluster.query(
            """
            SELECT gid FROM pg_prepared_xacts WHERE gid LIKE 'visa\\_%' AND database = '\(name)' ORDER BY gid
            """
        ).map { $0[0] }
    }

    /// Connections of servers.
    func serverConnections(of role: String = PrivateCluster.serverRole) throws -> Int {
        let rows = try cluster.query(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = '\(name)' AND usename = '\(role)' AND application_name LIKE 'holdfast/%'
            """)
        return rows.first.flatMap { Int($0[0]) } ?? 0
    }

    /// Removes it with whatever is still prepared in it, so that a test which failed does not take the slots of the next.
    func drop() throws {
        for gid in try cluster.query("SELECT gid FROM pg_prepared_xacts WHERE database = '\(name)'").map({ $0[0] }) {
            try query("ROLLBACK PREPARED '\(gid.replacingOccurrences(of: "'", with: "''"))'")
        }
        try cluster.query("DROP DATABASE \(name) WITH (FORCE)")
    }
}
