/// A row of `transactions`.
struct PaymentRow: Sendable, Hashable {
    /// 1 for the first database.
    var database: Int
    var requestID: String
    var transactionID: String
    var kind: String
    var maskedPAN: String
    var amount: String
    var currency: String
    var merchant: String
    var status: String
}

/// A row of `merchant_entries`.
struct MerchantRow: Sendable, Hashable {
    var database: Int
    var transactionID: String
    var merchant: String
    var amount: String
}

/// What all parties say once everything has come to rest.
struct Evidence: Sendable {
    /// How many databases are configured.
    var databases: Int
    var rows: [PaymentRow]
    var entries: [MerchantRow]
    /// Names of prepared transactions of ours.
    var prepared: [String]
    var book: [BookEntry]
    var exchanges: [Exchange]
    /// Whether the clients in ``exchanges`` are the only ones, so that every row must be of one of theirs.
    var isComplete = true

    /// Reads the databases and the simulator's book.
    static func collect(databases: [Database], simulator: Simulator, exchanges: [Exchange]) throws -> Evidence {
        var evidence = Evidence(
            databases: databases.count, rows: [], entries: [], prepared: [], book: try simulator.book(),
            exchanges: exchanges)
        for (index, database) in databases.enumerated() {
            evidence.prepared += try database.preparedBranches()
            if try database.has(table: "transactions") {
                let rows = try database.query(
                    """
                    SELECT request_id, txn_id, tx_type, pan_masked, amount, currency, merchant, status
                    FROM transactions ORDER BY id
                    """)
                evidence.rows += rows.map { row in
                    PaymentRow(
                        database: index + 1, requestID: row[0], transactionID: row[1], kind: row[2], maskedPAN: row[3],
                        amount: row[4], currency: row[5], merchant: row[6], status: row[7])
                }
            }
            if try database.has(table: "merchant_entries") {
                let rows = try database.query("SELECT txn_id, merchant, amount FROM merchant_entries ORDER BY txn_id")
                evidence.entries += rows.map {
                    MerchantRow(database: index + 1, transactionID: $0[0], merchant: $0[1], amount: $0[2])
                }
            }
        }
        return evidence
    }
}
