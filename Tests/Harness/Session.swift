import Foundation

/// A session of somebody at a database that does its work while the test goes on.
final class Session {
    private let process: ChildProcess
    private let database: Database
    /// Its server process.
    let pid: pid_t

    /// Begins, and returns when the session waits: for time to pass, a lock, or the like.
    ///
    /// - Parameters:
    ///   - script: for psql.
    ///   - role: who it is opened as.
    ///   - name: its application_name; no other session of the database has the same name and role.
    ///   - event: the wait event to wait for, as `pg_stat_activity` names it.
    init(
        at database: Database, as role: String = PrivateCluster.superuser, name: String, waitingFor event: String,
        _ script: String
    ) throws {
        self.database = database
        process = try database.cluster.startScript(script, database: database.name, role: role, applicationName: name)
        var found: pid_t?
        try Wait.until("the session \(name) of \(role) waits for \(event)", within: Limits.answer) {
            found = try database.query(
                """
                SELECT pid FROM pg_stat_activity WHERE datname = '\(database.name)' AND usename = '\(role)'
                AND application_name = '\(name)' AND wait_event = '\(event)'
                """
            ).first.flatMap { Int32($0[0]) }
            return found != nil
        }
        pid = found ?? 0
    }

    /// A session that only sleeps.
    convenience init(sleepingAt database: Database, as role: String, name: String) throws {
        try self.init(at: database, as: role, name: name, waitingFor: "PgSleep", "SELECT pg_sleep(120);")
    }

    /// A session that lets nobody write to a table until it ends; all may read.
    convenience init(locking table: String, at database: Database) throws {
        try self.init(
            at: database, name: "holder of \(table)", waitingFor: "PgSleep",
            "BEGIN; LOCK TABLE \(table) IN SHARE MODE; SELECT pg_sleep(120);")
    }

    /// A session that has inserted a request_id and does not commit, so that whoever inserts it too must wait.
    convenience init(claiming requestID: String, at database: Database) throws {
        try self.init(
            at: database, name: "holder of \(requestID)", waitingFor: "PgSleep",
            "BEGIN; INSERT INTO transactions (request_id) VALUES ('\(requestID)'); SELECT pg_sleep(120);")
    }

    /// Whether its server process is there.
    func isAlive() throws -> Bool {
        try database.cluster.query("SELECT 1 FROM pg_stat_activity WHERE pid = \(pid)").isEmpty == false
    }

    /// Ends it, with whatever transaction it has.
    func end() throws {
        try database.cluster.query("SELECT pg_terminate_backend(\(pid))")
        process.kill()
        try Wait.until("session \(pid) is gone", within: Limits.answer) { try !isAlive() }
    }

    /// How psql ended, once it has done all.
    func finish(within limit: Duration = Limits.answer) throws -> ExitStatus { try process.wait(within: limit) }
}
