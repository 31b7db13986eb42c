import Foundation

/// A private PostgreSQL that keeps its promises: fsync is on. Made, started and stopped through scripts/pg-cluster.
public final class Cluster: Sendable {
    public let port: Int
    /// A URI for each database, as the server's setting DB_URI takes them.
    public let uris: [String]
    /// The names of the databases, in the order of ``uris``.
    public let databases: [String]
    /// Owner of the databases.
    public static let role = "holdfast"

    private let script: String
    private let folder: String
    private let socketFolder: String
    private let name: String

    /// Makes and starts one.
    ///
    /// - Parameters:
    ///   - workspace: where its files are.
    ///   - databases: how many databases it has.
    ///   - maxPrepared: max_prepared_transactions.
    ///   - settings: further settings of PostgreSQL, by name.
    public init(
        in workspace: Workspace, name: String = "postgresql", databases: Int = 1, maxPrepared: Int = 1000,
        settings: [String: String] = [:]
    ) throws {
        script = try Tool.checkout() + "/scripts/pg-cluster"
        folder = try workspace.folder(name)
        port = try Self.freePort()
        let arguments = ["start", folder, "\(port)", "\(databases)", "\(maxPrepared)"]
        let (script, folder) = (script, folder)
        self.name = folder
        // Noted first: what has begun is stopped, also if it cannot be started whole.
        Interruption.atEnd(folder) { Self.stop(script, folder) }
        let started = try Interruption.begin { try Tool.run(script, arguments) }
        socketFolder = try String(contentsOfFile: folder + "/pg_socket_dir", encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        uris = started.text.split(separator: "\n").map(String.init)
        self.databases = uris.compactMap { $0.split(separator: "/").last.map(String.init) }
        guard uris.count == databases else { throw BenchmarkFailure("\(script) printed \(started.text)") }
        guard !settings.isEmpty else { return }
        for (setting, value) in settings.sorted(by: { $0.key < $1.key }) {
            _ = try query("ALTER SYSTEM SET \(setting) = '\(value)'", database: "postgres")
        }
        try Interruption.begin {
            _ = try Tool.run(script, ["stop", folder])
            _ = try Tool.run(script, arguments)
        }
    }

    /// What a statement answers as the superuser: a line a row, columns separated by `|`.
    @discardableResult
    public func query(_ sql: String, database: String) throws -> String {
        let arguments = [
            "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", socketFolder, "-p", "\(port)", "-U", "postgres",
            "-d",
            database, "-c", sql,
        ]
        return try Tool.run(Tool.postgres("psql"), arguments).text
    }

    /// Has segments of the write-ahead log made, which are then used again and again, so that none is made while something is measured.
    /// To be called once, with `min_wal_size` large enough to keep them.
    public func makeSegments(_ count: Int) throws {
        let fill = """
            DO $$ BEGIN
                FOR number IN 1..\(count) LOOP
                    PERFORM pg_logical_emit_message(false, 'bench', 'x');
                    PERFORM pg_switch_wal();
                END LOOP;
            END $$
            """
        try query(fill, database: "postgres")
        try query("CHECKPOINT", database: "postgres")
    }

    /// Process ids of the postmaster and its children.
    public func processes() -> [Int32] {
        guard let text = try? String(contentsOfFile: folder + "/pgdata/postmaster.pid", encoding: .utf8),
            let postmaster = text.split(separator: "\n").first.flatMap({ Int32($0) })
        else { return [] }
        let children = try? String(contentsOfFile: "/proc/\(postmaster)/task/\(postmaster)/children", encoding: .utf8)
        return [postmaster] + (children ?? "").split(separator: " ").compactMap { Int32($0) }
    }

    /// Stops it. Its files go with the workspace.
    public func stop() { Interruption.perform(name) }

    private static func stop(_ script: String, _ folder: String) {
        do {
            _ = try Tool.run(script, ["stop", folder], timeout: .seconds(90))
        } catch {
            Progress.note("the cluster in \(folder) was not stopped: \(error)")
        }
    }

    /// A port of loopback that nobody listens on now.
    public static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw BenchmarkFailure("no socket: \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isBound else { throw BenchmarkFailure("no free port: \(String(cString: strerror(errno)))") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
