import Foundation
import Glibc
import Synchronization

/// A private PostgreSQL cluster in a temporary folder. It ends with this process, however that ends: the shell that owns it waits
/// for the end of its standard input.
final class PostgresCluster: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static let binaries = "/usr/lib/postgresql/15/bin"
    /// Prepared transactions that ``shared`` takes.
    static let preparedMax = 64

    /// For all tests that can live with the others' settings; each takes a database of its own.
    static let shared = Result { try PostgresCluster(settings: ["max_prepared_transactions = \(preparedMax)"]) }

    let folder: String
    let port: UInt16
    private let commands: Pipe
    private let replies: FileHandle
    private let databases = Atomic(0)

    init(settings: [String]) throws {
        var template = Array("/tmp/holdfast-pg-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Failure(description: "mkdtemp: \(errno)") }
        folder = String(cString: made)
        port = try Self.freePort()
        // Commands come by the standard input; its end ends the cluster. The server inherits what its starter has open, so
        // that only this shell, for whose end nobody waits, may start it.
        let script = """
            cd "$1" || exit 1
            control() { "$bin/pg_ctl" -s -w -D "$PWD/data" -l log "$@" < /dev/null > /dev/null 2>&1; }
            bin=$2
            "$bin/initdb" -N --auth trust -U postgres -D data > initdb.log 2>&1 || exit 1
            printf '%s\\n' "$3" >> data/postgresql.conf
            control start && echo ok || exit 1
            while read -r arguments; do
                control $arguments && echo ok || echo failed
            done
            control -m immediate stop
            cd / && rm -rf "$1"
            """
        let configuration =
            settings + [
                "port = \(port)", "listen_addresses = '127.0.0.1'", "unix_socket_directories = '\(folder)'",
                "fsync = off",
                "max_connections = 60", "log_min_messages = warning", "restart_after_crash = on",
            ]
        if geteuid() == 0 { try Self.run(["/bin/chown", "postgres", folder]) }
        let shell = Process()
        let output = Pipe()
        commands = Pipe()
        let command =
            Self.asServer + [
                "/bin/sh", "-c", script, "sh", folder, Self.binaries, configuration.joined(separator: "\n"),
            ]
        shell.executableURL = URL(fileURLWithPath: command[0])
        shell.arguments = Array(command.dropFirst())
        shell.standardInput = commands
        shell.standardOutput = output
        try shell.run()
        replies = output.fileHandleForReading
        try awaitReply()
    }

    /// Ends it now.
    func stop() { try? commands.fileHandleForWriting.close() }

    /// PostgreSQL refuses to run as root.
    private static var asServer: [String] {
        geteuid() == 0 ? ["/usr/sbin/runuser", "-u", "postgres", "--"] : ["/usr/bin/env"]
    }

    /// A port that nobody listens on, below the range from which clients' own ports come: a client that tries a closed port
    /// of that range again and again may end up connected to itself, and hold it.
    private static func freePort() throws -> UInt16 {
        for _ in 0..<100 {
            let port = UInt16.random(in: 15_000..<30_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let code = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    bind(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if code == 0 { return port }
        }
        throw Failure(description: "no free port")
    }

    // MARK: Control

    enum Stop: String {
        case fast
        case immediate
    }

    func restart(_ mode: Stop) throws { try control("-m \(mode.rawValue) restart") }
    func shutDown(_ mode: Stop) throws { try control("-m \(mode.rawValue) stop") }
    func startUp() throws { try control("start") }

    private func control(_ arguments: String) throws {
        try commands.fileHandleForWriting.write(contentsOf: Data((arguments + "\n").utf8))
        try awaitReply()
    }

    /// pg_ctl waits for a minute at most.
    private func awaitReply() throws {
        let reply = String(decoding: replies.availableData, as: UTF8.self)
        guard reply == "ok\n" else { throw Failure(description: "pg_ctl: \(reply); see \(folder)") }
    }

    /// Makes an empty database and gives its URI.
    func makeDatabase() throws -> Database {
        let name = "test_\(databases.add(1, ordering: .relaxed).newValue)"
        try Database(cluster: self, name: "postgres").run("CREATE DATABASE \(name)")
        return Database(cluster: self, name: name)
    }

    struct Database: Sendable {
        let cluster: PostgresCluster
        let name: String

        var uri: String { uri(user: "postgres") }

        var uriOverUnixSocket: String { "postgresql://postgres@/\(name)?host=\(cluster.folder)&port=\(cluster.port)" }

        func uri(user: String) -> String { "postgresql://\(user)@127.0.0.1:\(cluster.port)/\(name)" }

        /// Runs SQL in one session, each statement in a transaction of its own, and gives the rows as psql prints them.
        @discardableResult
        func run(_ statements: String...) throws -> String {
            let commands = statements.flatMap { ["-c", $0] }
            return try PostgresCluster.run(
                ["\(PostgresCluster.binaries)/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", uri]
                    + commands)
        }

        /// Prepares a foreign transaction that holds a request_id, so that an insert of it waits.
        func hold(_ request: String) throws {
            try run(
                "BEGIN; INSERT INTO transactions (request_id, status) VALUES ('\(request)', 'APPROVED'); "
                    + "PREPARE TRANSACTION 'holder \(request)'")
        }

        /// - Parameter how: COMMIT or ROLLBACK.
        func letGo(_ request: String, _ how: String = "ROLLBACK") throws {
            try run("\(how) PREPARED 'holder \(request)'")
        }

        /// Makes every commit of the cluster wait for a standby that there is not; to be taken back with ``waitForNobody()``.
        func waitForMissingStandby() throws {
            try run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
            // What a session shows says nothing: that commits wait is noted by the checkpointer, whenever it comes to it.
            try eventually {
                try run(
                    "SET statement_timeout = '200ms'",
                    "DO 'BEGIN COMMENT ON SCHEMA public IS ''waits''; COMMIT; END'"
                ).contains("canceling wait for synchronous replication")
            }
        }

        /// Whatever waits goes on.
        func waitForNobody() throws {
            try run("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        }

        func count(_ table: String, where condition: String = "true") throws -> Int {
            try Int(run("SELECT count(*) FROM \(table) WHERE \(condition)")) ?? -1
        }
    }

    /// Runs a program to its end, within a minute.
    @discardableResult
    static func run(_ command: [String]) throws -> String {
        let process = Process()
        let output = Pipe()
        let ended = DispatchSemaphore(value: 0)
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        guard ended.wait(timeout: .now() + 60) == .success else {
            process.terminate()
            throw Failure(description: "no end within a minute: \(command)")
        }
        guard process.terminationStatus == 0 else {
            throw Failure(description: "\(command) ended with \(process.terminationStatus): \(text)")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

/// A value that another thread gives, waited for within bounds.
final class Awaited<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let semaphore = DispatchSemaphore(value: 0)

    func set(_ new: Value) {
        value.withLock { $0 = new }
        semaphore.signal()
    }

    /// - Throws: if nothing comes within `seconds`.
    func get(within seconds: Double = 20) throws -> Value {
        guard semaphore.wait(timeout: .now() + seconds) == .success, let value = value.withLock({ $0 }) else {
            throw PostgresCluster.Failure(description: "no answer within \(seconds) s")
        }
        return value
    }
}

/// Looks again and again until `condition` holds.
func eventually(within seconds: Double = 20, _ condition: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while try !condition() {
        guard Date() < deadline else { throw PostgresCluster.Failure(description: "not so within \(seconds) s") }
        Thread.sleep(forTimeInterval: 0.02)
    }
}
