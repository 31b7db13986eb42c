/// The SQL about who waits for whom, and what keeps the cluster's oldest rows.
enum LockStatements {
    /// How many transactions ago the oldest thing began that vacuum has to heed: a snapshot, a running or prepared transaction,
    /// a replication slot. Catalog horizons of slots are left out: they keep no row of ours.
    static let horizonAge = """
        (SELECT pg_catalog.max(age) FROM (
            SELECT pg_catalog.age(backend_xmin) FROM pg_catalog.pg_stat_activity WHERE backend_xmin IS NOT NULL
            UNION ALL SELECT pg_catalog.age(backend_xid) FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL
            UNION ALL SELECT pg_catalog.age(xmin) FROM pg_catalog.pg_replication_slots WHERE xmin IS NOT NULL
            UNION ALL SELECT pg_catalog.age(transaction) FROM pg_catalog.pg_prepared_xacts) AS held (age))
        """

    /// The prepared transactions of the database that one is connected to.
    static let prepared = Statement.query(
        """
        SELECT gid, transaction::text, pg_catalog.age(transaction)::text, \
        (pg_catalog.age(transaction) >= \(horizonAge))::text FROM pg_catalog.pg_prepared_xacts \
        WHERE database = pg_catalog.current_database() ORDER BY pg_catalog.age(transaction) DESC, gid
        """)

    /// Every lock of a prepared transaction in this database, and every lock that a session waits for. A prepared transaction has
    /// no process; its locks share a virtual transaction with the lock on its own number. That one lock tells them apart: the
    /// virtual transaction is the former session's until a restart, and made of -1 and the number after it.
    static let locks = Statement.query(
        """
        SELECT l.pid::text, l.virtualtransaction, l.mode, l.granted::text, \
        ROW(l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, \
        l.objsubid)::text, CASE l.locktype WHEN 'transactionid' THEN l.transactionid::text END, \
        (SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c \
        WHERE l.locktype = 'relation' AND c.oid = l.relation AND c.relkind IN ('r', 'p', 'm', 'f')) \
        FROM pg_catalog.pg_locks l WHERE (l.pid IS NULL OR NOT l.granted) AND (l.database IS NULL OR l.database IN (0, \
        (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))) \
        LIMIT \(PostgresLimits.lockRowsMax)
        """)

    /// Whom the waiting sessions wait for, those before them in the queue included; 0 is a prepared transaction.
    static let waiting = Statement.query(
        """
        SELECT waiting.pid::text, blocker::text FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks \
        WHERE NOT granted AND pid IS NOT NULL LIMIT \(PostgresLimits.waitingSessionsMax)) AS waiting, \
        pg_catalog.unnest(pg_catalog.pg_blocking_pids(waiting.pid)) AS blocker WHERE blocker <> 0
        """, endsSegment: true)
}
