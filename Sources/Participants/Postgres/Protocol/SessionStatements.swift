import Coordinator

/// The SQL about sessions: their settings, which database this is, and which backends there are.
enum SessionStatements {
    /// What each new connection sets; parameters of the startup packet would not survive a pooler, and its refusal would not
    /// say so.
    static func settings(_ configuration: PostgresConfiguration, serverVersion: Int) -> Statement {
        var settings = [
            ("lock_timeout", "\(configuration.lockTimeout.count)"),
            ("statement_timeout", "\(configuration.statementTimeout.count)"),
            // Our transactions never wait for us: one that does was left behind.
            ("idle_in_transaction_session_timeout", "\(configuration.statementTimeout.count)"),
            ("standard_conforming_strings", "on"), ("DateStyle", "ISO, YMD"), ("TimeZone", "UTC"),
            ("default_transaction_isolation", "read committed"),
        ]
        if serverVersion >= PostgresLimits.serverVersionClientCheck, configuration.clientCheckInterval > .zero {
            settings.append(("client_connection_check_interval", "\(configuration.clientCheckInterval.count)"))
        }
        let calls = settings.map { "pg_catalog.set_config('\($0.0)', '\($0.1)', false)" }
        return .query("SELECT " + calls.joined(separator: ", "))
    }

    static let facts = Statement.query(
        """
        SELECT pg_catalog.pg_backend_pid()::text, \
        (SELECT backend_start::text FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())), \
        pg_catalog.pg_is_in_recovery()::text, \
        (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), \
        (SELECT oid::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), \
        pg_catalog.current_setting('max_prepared_transactions'), \
        \(positionColumns)
        """)

    static let position = Statement.query("SELECT \(positionColumns)", endsSegment: true)

    /// The timeline and the end of the write-ahead log that is on the disk, which no crash takes back; NULL in recovery.
    private static let positionColumns = """
        CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL \
        ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END, \
        CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL \
        ELSE pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0')::text END
        """

    /// - Parameter columns: the last two of ``facts``, or those of ``position``.
    static func readPosition(_ columns: ArraySlice<String?>) -> DatabasePosition? {
        guard columns.count == 2, let timeline = columns.first?.flatMap({ UInt32($0, radix: 16) }),
            let bytes = columns.last?.flatMap({ UInt64($0) })
        else { return nil }
        return DatabasePosition(timeline: timeline, walBytes: bytes)
    }

    static func fenceRow(of log: LogID, endsSegment: Bool = false) -> Statement {
        .query(
            "SELECT epoch::text, incarnation, database::text FROM holdfast_fence WHERE log_id = $1",
            Parameters(log.description), endsSegment: endsSegment)
    }

    static func readFence(_ row: [String?]) -> FenceJudgement.Row? {
        guard row.count == 3, let epoch = row[0].flatMap({ UInt64($0) }),
            let incarnation = row[1].flatMap({ Incarnation($0) }), let database = row[2].flatMap({ UInt8($0) })
        else { return nil }
        return FenceJudgement.Row(
            pair: FencePair(epoch: Epoch(rawValue: epoch), incarnation: incarnation),
            database: DatabaseIndex(rawValue: database))
    }

    /// Replaces the pair that was seen, or puts the first one there; the command's tag says whether it did.
    ///
    /// The transaction is flushed whatever the role's `synchronous_commit` is: a fence that a crash undoes is none.
    static func swapFence(_ seen: FencePair?, to owner: FencePair, log: LogID, database: DatabaseIndex) -> [Statement] {
        let change: Statement
        if let seen {
            change = .command(
                "UPDATE holdfast_fence SET epoch = $1::numeric, incarnation = $2, fenced_at = pg_catalog.now() "
                    + "WHERE log_id = $3 AND epoch = $4::numeric AND incarnation = $5",
                Parameters(
                    owner.epoch.description, owner.incarnation.description, log.description, seen.epoch.description,
                    seen.incarnation.description), tag: "UPDATE 1")
        } else {
            change = .command(
                "INSERT INTO holdfast_fence (log_id, epoch, incarnation, database) "
                    + "VALUES ($1, $2::numeric, $3, $4::smallint) ON CONFLICT (log_id) DO NOTHING",
                Parameters(
                    log.description, owner.epoch.description, owner.incarnation.description,
                    String(database.rawValue)), tag: "INSERT 0 1")
        }
        return [
            .command("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", tag: "BEGIN"), flushAlways, change,
            .command("COMMIT", tag: "COMMIT", endsSegment: true),
        ]
    }

    static let flushAlways = Statement.query(
        """
        SELECT pg_catalog.set_config('synchronous_commit', 'on', true) \
        WHERE pg_catalog.current_setting('synchronous_commit') = 'off'
        """)

    /// The backends of this log, of every epoch, in every database of the cluster, and whether each has our own role.
    ///
    /// The role is the one that the session was opened with, whatever either side has set since.
    static func backends(of log: LogID) -> Statement {
        .query(
            "SELECT pid::text, backend_start::text, application_name, usename, (usename = session_user)::text "
                + "FROM pg_catalog.pg_stat_activity WHERE pg_catalog.starts_with(application_name, $1)",
            Parameters(applicationNamePrefix(of: log)), endsSegment: true)
    }

    /// Terminates a backend if it is still the one that was meant. No row: it is gone. That it can be terminated is
    /// checked at once, that it is gone only by asking again.
    static func terminate(_ backend: Backend) -> Statement {
        .query(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                + "WHERE pid = $1::integer AND backend_start::text = $2",
            Parameters(String(backend.pid), backend.start), endsSegment: true)
    }

    static func applicationNamePrefix(of log: LogID) -> String { "holdfast/\(log)/" }

    static func applicationName(of log: LogID, _ epoch: Epoch) -> String { applicationNamePrefix(of: log) + "\(epoch)" }

    /// The backends of epochs before `epoch` among the rows of ``backends(of:)``.
    ///
    /// Only the exact name that ``applicationName(of:_:)`` gives is ours.
    static func olderBackends(_ rows: [[String?]], log: LogID, than epoch: Epoch) -> OlderBackends {
        let prefix = applicationNamePrefix(of: log)
        var older = OlderBackends()
        for row in rows {
            guard row.count == 5, let pid = row[0].flatMap({ Int32($0) }), let name = row[2], name.hasPrefix(prefix),
                let number = UInt64(name.dropFirst(prefix.count)), number < epoch.rawValue,
                name == applicationName(of: log, Epoch(rawValue: number))
            else { continue }
            // The start is hidden from us if the backend has another role.
            let backend = Backend(pid: pid, start: row[1] ?? "")
            if row[4] == "true" {
                older.own.append(backend)
            } else {
                older.others.append(.init(pid: pid, role: row[3] ?? "unknown"))
            }
        }
        return older
    }
}

/// Backends of older epochs of this log, by their names.
struct OlderBackends: Equatable {
    /// One with our name and another role.
    struct Other: Hashable {
        let pid: Int32
        let role: String
    }

    /// Of our own role: they are ended.
    var own: [Backend] = []
    /// Of other roles: never ended by us, even where we could, since somebody else may have taken the name. What they prepare would
    /// be ours by its name all the same, so they are waited for.
    var others: [Other] = []

    var isEmpty: Bool { own.isEmpty && others.isEmpty }
}

/// What a connection was told about the server behind it.
struct ServerFacts: Equatable {
    let backend: Backend
    let isInRecovery: Bool
    let identity: DatabaseIdentity
    let preparedTransactionsMax: Int
    /// `nil` in recovery.
    let position: DatabasePosition?

    /// - Parameter row: as ``SessionStatements/facts`` asks for it.
    init?(_ row: [String?]?) {
        guard let row, row.count == 8, let pid = row[0].flatMap({ Int32($0) }), let start = row[1],
            let system = row[3].flatMap({ Int64($0) }), let oid = row[4].flatMap({ UInt32($0) }),
            let prepared = row[5].flatMap({ Int($0) })
        else { return nil }
        backend = Backend(pid: pid, start: start)
        isInRecovery = row[2] != "false"
        // SQL has no unsigned numbers.
        identity = DatabaseIdentity(systemIdentifier: UInt64(bitPattern: system), databaseOID: oid)
        preparedTransactionsMax = prepared
        position = SessionStatements.readPosition(row[6...])
    }
}
