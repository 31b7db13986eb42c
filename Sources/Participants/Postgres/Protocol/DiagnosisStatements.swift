import Coordinator

/// The SQL of a preflight. Each question is a segment of its own, so that one that is not allowed leaves the others alone.
enum DiagnosisStatements {
    /// Those of a server that is too old to know one are missing in the answer.
    private static let settingNames = [
        "client_connection_check_interval", "default_transaction_isolation", "fsync", "full_page_writes",
        "idle_in_transaction_session_timeout", "idle_session_timeout", "lock_timeout", "max_connections",
        "max_prepared_transactions", "reserved_connections", "server_version", "server_version_num",
        "statement_timeout", "superuser_reserved_connections", "synchronous_commit", "synchronous_standby_names",
        "transaction_timeout",
    ]

    private static let settings = Statement.query(
        "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY($1::text[])",
        Parameters("{" + settingNames.joined(separator: ",") + "}"), endsSegment: true)

    private static let role = Statement.query(
        """
        SELECT r.rolname, r.rolsuper::text, r.rolconnlimit::text, d.datconnlimit::text, d.datname, \
        COALESCE(pg_catalog.has_schema_privilege(pg_catalog.current_schema(), 'CREATE'), false)::text, \
        (SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL) \
        FROM pg_catalog.pg_roles r, pg_catalog.pg_database d \
        WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()
        """, endsSegment: true)

    private static let rightsMissing = Statement.query(
        """
        SELECT need.privilege || ' on ' || need.name FROM (VALUES ('transactions', 'SELECT'), ('transactions', 'INSERT'), \
        ('merchant_entries', 'SELECT'), ('merchant_entries', 'INSERT'), ('holdfast_fence', 'SELECT'), \
        ('holdfast_fence', 'INSERT'), ('holdfast_fence', 'UPDATE'), ('holdfast_schema', 'SELECT')) AS need (name, privilege) \
        WHERE NOT pg_catalog.has_table_privilege(pg_catalog.to_regclass(need.name)::oid, need.privilege) \
        UNION ALL SELECT 'USAGE on the sequence of transactions.id' \
        WHERE CASE WHEN pg_catalog.to_regclass('transactions') IS NULL THEN false ELSE NOT \
        pg_catalog.has_sequence_privilege(pg_catalog.pg_get_serial_sequence('transactions', 'id'), 'USAGE') END
        """, endsSegment: true)

    private static let prepared = Statement.query(
        """
        SELECT gid, owner, database, \
        (EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - prepared) * 1000)::bigint::text, \
        pg_catalog.age(transaction)::text, (pg_catalog.age(transaction) >= \(LockStatements.horizonAge))::text \
        FROM pg_catalog.pg_prepared_xacts ORDER BY prepared, gid
        """, endsSegment: true)

    private static func fence(_ log: LogID) -> Statement {
        .query(
            "SELECT epoch::text, incarnation, database::text FROM holdfast_fence WHERE log_id = $1",
            Parameters(log.description), endsSegment: true)
    }

    private static func otherFences(_ log: LogID) -> Statement {
        .query(
            "SELECT pg_catalog.count(*)::text FROM holdfast_fence WHERE log_id <> $1", Parameters(log.description),
            endsSegment: true)
    }

    /// As pg_terminate_backend checks it: members of the session's role, and of pg_signal_backend unless that is a superuser.
    private static func backends(_ log: LogID) -> Statement {
        .query(
            """
            SELECT pg_catalog.count(*)::text, pg_catalog.count(*) FILTER (WHERE NOT may)::text, \
            COALESCE(pg_catalog.string_agg(DISTINCT usename::text, ', ') FILTER (WHERE NOT may), '') FROM ( \
            SELECT a.usename, COALESCE(pg_catalog.pg_has_role(a.usesysid, 'USAGE') \
            OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') AND NOT r.rolsuper, false) AS may \
            FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid \
            WHERE pg_catalog.starts_with(a.application_name, $1)) AS sessions
            """, Parameters(SessionStatements.applicationNamePrefix(of: log)), endsSegment: true)
    }

    /// What a role without pg_monitor's rights may not see is NULL.
    private static let standbys = Statement.query(
        """
        SELECT pg_catalog.count(*) FILTER (WHERE sync_state IN ('sync', 'quorum'))::text, \
        pg_catalog.count(*) FILTER (WHERE sync_state IS NULL)::text FROM pg_catalog.pg_stat_replication
        """, endsSegment: true)

    static let clock = Statement.query(
        "SELECT (EXTRACT(EPOCH FROM pg_catalog.clock_timestamp()) * 1000000)::bigint::text", endsSegment: true)

    /// In the order in which ``PostgresDiagnosis/read(_:)`` takes the answers.
    static func questions(of log: LogID) -> [Statement] {
        [
            settings, role, rightsMissing, prepared, fence(log), otherFences(log), Schema.appliedVersion, backends(log),
            standbys,
        ]
    }

    /// One pipeline, so that the server removes it even if we are gone before its first answer. It writes no row and takes no lock.
    static func probe(_ name: ProbeName) -> [Statement] {
        [
            .command("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", tag: "BEGIN"),
            .command("PREPARE TRANSACTION '\(name)'", tag: "PREPARE TRANSACTION", endsSegment: true),
        ] + rollBack(name)
    }

    static func rollBack(_ name: ProbeName) -> [Statement] {
        [.command("ROLLBACK PREPARED '\(name)'", tag: "ROLLBACK PREPARED", endsSegment: true)]
    }

    static func isListed(_ name: ProbeName) -> [Statement] {
        [
            .query(
                "SELECT 1 FROM pg_catalog.pg_prepared_xacts WHERE gid = $1", Parameters(name.description),
                endsSegment: true)
        ]
    }
}

extension PostgresDiagnosis {
    /// - Parameter results: of ``DiagnosisStatements/questions(of:)``.
    mutating func read(_ results: [StatementResult]) {
        precondition(results.count == 9, "an answer to every question")
        for row in rows(results[0], of: "pg_settings") where row.count == 2 {
            if let name = row[0] { settings[name] = row[1] ?? "" }
        }
        role = rows(results[1], of: "the role's own entry").first.flatMap(Role.init)
        rightsMissing = rows(results[2], of: "the rights on the tables").compactMap { $0.first.flatMap { $0 } }
        let listed = rows(results[3], of: "pg_prepared_xacts")
        prepared = listed.compactMap(Prepared.init)
        if prepared.count < listed.count { note("pg_prepared_xacts", "a line of it cannot be read") }
        // Without the tables there is no row.
        let fences = rows(results[4], of: "holdfast_fence", mayBeMissing: true)
        fence = fences.first.flatMap(SessionStatements.readFence).map { Fence(pair: $0.pair, database: $0.database) }
        if !fences.isEmpty, fence == nil { note("holdfast_fence", "its row of this log cannot be read") }
        otherFences = Self.number(rows(results[5], of: nil, mayBeMissing: true).first, 0) ?? 0
        let version = rows(results[6], of: "holdfast_schema", mayBeMissing: true).first
        if let applied = Self.number(version, 0), let usableFrom = Self.number(version, 1) {
            schema = TableVersion(applied: applied, usableFrom: usableFrom)
        }
        let sessions = rows(results[7], of: "pg_stat_activity").first
        if let sessions, let count = Self.number(sessions, 0), let others = Self.number(sessions, 1) {
            backends = Backends(count: count, notTerminable: others, foreignRoles: sessions[2] ?? "")
        }
        let standbys = rows(results[8], of: "pg_stat_replication").first
        synchronousStandbys = Self.number(standbys, 1) == 0 ? Self.number(standbys, 0) : nil
    }

    private mutating func rows(
        _ result: StatementResult, of what: String?, mayBeMissing: Bool = false
    ) -> [[String?]] {
        let undefinedTable = "42P01"
        switch result {
        case .ok(let rows): return rows
        case .failed(let error):
            if let what, !(mayBeMissing && error.code == undefinedTable) { note(what, error.description) }
        case .unexpectedTag, .skipped: if let what { note(what, "no answer") }
        }
        return []
    }

    private mutating func note(_ what: String, _ reason: String) {
        unreadable.append(Unreadable(what: what, reason: reason))
    }

    private static func number(_ row: [String?]?, _ column: Int) -> Int? {
        guard let row, row.indices.contains(column) else { return nil }
        return row[column].flatMap { Int($0) }
    }
}

extension PostgresDiagnosis.Role {
    init?(_ row: [String?]) {
        guard row.count == 7, let name = row[0], let roleLimit = row[2].flatMap({ Int($0) }),
            let databaseLimit = row[3].flatMap({ Int($0) }), let database = row[4],
            let used = row[6].flatMap({ Int($0) })
        else { return nil }
        self.init(
            name: name, isSuperuser: row[1] == "true", connectionsMax: roleLimit < 0 ? nil : roleLimit,
            databaseConnectionsMax: databaseLimit < 0 ? nil : databaseLimit, databaseName: database,
            mayCreateTables: row[5] == "true", connectionsUsed: used)
    }
}

extension PostgresDiagnosis.Prepared {
    init?(_ row: [String?]) {
        guard row.count == 6, let gid = row[0], let age = row[3].flatMap({ Int64($0) }),
            let xidAge = row[4].flatMap({ Int($0) })
        else { return nil }
        self.init(
            gid: gid, owner: row[1] ?? "", databaseName: row[2] ?? "", age: Milliseconds(max(0, age)), xidAge: xidAge,
            holdsHorizon: row[5] == "true")
    }
}
