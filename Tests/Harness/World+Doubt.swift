import Foundation

/// Transactions that a crash left in doubt, several at once.
extension World {
    /// Pays on several connections and kills the server when every branch is prepared and nothing is decided.
    ///
    /// A lock on the table keeps the branches from being prepared until all have come that far; the server stands still while they then
    /// are. Needs a LOCK_TIMEOUT_MS and a TWOPC_PREPARE_TIMEOUT of many seconds.
    ///
    /// - Returns: the txn_ids, in the order of the payments.
    func leaveUndecided(_ payments: [Payment], at name: String = "a") throws -> [String] {
        let running = try start(name)
        let database = databases[0]
        // A prepared transaction keeps its locks, and needs no session.
        try database.query(
            "BEGIN; LOCK TABLE transactions IN SHARE MODE; PREPARE TRANSACTION 'test_\(database.name)';")
        let clients = try payments.map { _ in try running.client() }
        for (client, payment) in zip(clients, payments) {
            try client.send(payment)
            ledger.note(payment, .lost)
        }
        try Wait.until("every branch waits for the lock", within: Limits.answer) {
            try database.query(
                """
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND usename <> 'postgres'
                """) == [["\(payments.count)"]]
        }
        running.process.send(SIGSTOP)
        try running.process.waitUntilStopped()
        try database.query("ROLLBACK PREPARED 'test_\(database.name)'")
        try Wait.until("every branch is prepared", within: Limits.answer) {
            try preparedBranches().count == payments.count
        }
        running.crash()
        try waitUntilBackendsAreGone()
        return try payments.map { try transaction(of: $0, among: try recover(name)) }
    }

    /// The name of the prepared branch of a transaction.
    func branch(of transaction: String) throws -> String {
        guard let gid = try preparedBranches().first(where: { $0.contains(transaction) }) else {
            throw HarnessError("no branch of \(transaction)")
        }
        return gid
    }

    private func transaction(of payment: Payment, among recover: RecoverTool) throws -> String {
        let list = try recover.run("list")
        let line = list.output.split(separator: "\n").first { line in
            line.split(separator: " ").contains { $0 == payment.requestID ?? "" }
        }
        guard let line else { throw HarnessError("\(payment.requestID ?? "") is not listed: \(list)") }
        return String(line.prefix { $0 != " " })
    }
}
