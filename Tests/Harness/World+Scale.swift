import Foundation

/// Many transactions in doubt, and a long past.
extension World {
    /// What a server needs so that many payments wait together for as long as it takes.
    static let forMany = [
        "LOCK_TIMEOUT_MS": "120000", "TWOPC_PREPARE_TIMEOUT": "120", "TWOPC_COMMIT_TIMEOUT": "120",
        "MAX_IN_FLIGHT": "4000", "DB_POOL_SIZE": "32", "CLEARING_TIMEOUT": "30", "RECOVERY_INTERVAL": "60",
    ]

    /// Pays `count` times at once and kills the server when every branch is prepared and nothing is decided.
    ///
    /// A lock keeps the branches from being prepared until all have been asked for; the first vote then stops the coordinator's loop,
    /// while the databases go on. Needs ``forMany``, and as many prepared slots.
    func leaveManyInDoubt(_ count: Int, prefix: String) throws {
        let running = try start(fault: "prepared:1:delay=600000")
        let held = try simulator.book().count { $0.state == .held }
        for database in databases {
            // A prepared transaction keeps its locks, and needs no session.
            try database.query(
                "BEGIN; LOCK TABLE transactions, merchant_entries IN SHARE MODE; PREPARE TRANSACTION 'test_\(database.name)';"
            )
        }
        let clients = try (0..<min(count, 100)).map { _ in try running.client() }
        for number in 0..<count {
            let payment = Payment(requestID: "\(prefix)-\(number)", merchant: "M-\(number % 10)")
            try clients[number % clients.count].send(payment)
            ledger.note(payment, .lost)
        }
        try Wait.until("the network holds every payment", within: .seconds(60), every: .milliseconds(100)) {
            try simulator.book().count { $0.state == .held } == held + count
        }
        // The last reply is on its way, and then the order to prepare.
        Wait.sleep(.seconds(1))
        for database in databases { try database.query("ROLLBACK PREPARED 'test_\(database.name)'") }
        var prepared = -1
        try Wait.until("every branch is prepared", within: .seconds(60), every: .milliseconds(500)) {
            let now = try preparedBranches().count
            defer { prepared = now }
            return now >= count && now == prepared
        }
        running.crash()
        try waitUntilBackendsAreGone()
    }

    /// Gives server `a` a log with a long past, and the first database its rows; there must be no server yet.
    ///
    /// - Parameter directory: as the test `fillDirectory` of the log leaves it.
    func takeHistory(from directory: String) throws {
        let facts = try Files.text(directory + "/history.txt").split(whereSeparator: \.isWhitespace).map(String.init)
        guard facts.count == 4, let payments = Int(facts[0]) else { throw HarnessError("\(directory): \(facts)") }
        // Another server makes the tables.
        let status = try start("tables").drain()
        guard status == .code(0) else { throw HarnessError("the server that makes the tables: \(status)") }
        for first in stride(from: 0, to: payments, by: 50_000) {
            let range = "\(first)::bigint, \(min(first + 50_000, payments) - 1)"
            let transaction =
                "'visa_' || lpad(to_hex((\(facts[1]) + n * \(facts[2])) * 65536), 16, '0') || lpad(to_hex(n), 16, '0')"
            try databases[0].query(
                """
                INSERT INTO transactions (request_id, tx_type, pan_masked, amount, currency, merchant, status, created_at, txn_id,
                    auth_code, pan_token, token_key_id, request_hash, hash_key_id, log_id, log_epoch)
                SELECT 'history-' || n, 'AUTH', '411111******1111', 10 + (n % 1000) / 100.0, 'USD', 'MERCHANT001', 'APPROVED',
                    to_timestamp((\(facts[1]) + n * \(facts[2])) / 1000.0), \(transaction), 'A1B2C3',
                    decode(lpad('', 64, '0'), 'hex'), 7, decode(lpad('', 64, '0'), 'hex'), 7, '\(facts[3])', 1
                FROM generate_series(\(range)) AS n;
                INSERT INTO merchant_entries (txn_id, merchant, amount, currency, kind)
                SELECT \(transaction), 'MERCHANT001', 10 + (n % 1000) / 100.0, 'USD', 'AUTH'
                FROM generate_series(\(range)) AS n;
                """)
        }
        try databases[0].query("ANALYZE")
        try FileManager.default.copyItem(atPath: directory + "/state", toPath: stateDirectory(of: "a"))
    }
}
