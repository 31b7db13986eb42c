import Synchronization

/// Finds payments whose row and whose merchant's entry live in different databases, so that they have two branches.
///
/// Where they live is a function of the request_id and of the merchant alone (several servers must agree on it): what is
/// true of one deployment with two databases is true of the next.
enum ShardScout {
    private struct Found {
        let requestID: String
        let merchant: String
        let paymentDatabase: Int
    }

    private static let known = Mutex<[Found]?>(nil)

    /// A payment with two branches in a deployment with two databases. Each has another card, the request_ids repeat.
    static func paymentWithTwoBranches() throws -> Payment {
        let first = try first()
        return Payment(requestID: first.requestID, merchant: first.merchant)
    }

    /// Where the row of ``paymentWithTwoBranches()`` lives: 1 for the first database. The merchant's entry is in the other.
    static func paymentDatabase() throws -> Int { try first().paymentDatabase }

    private static func first() throws -> Found {
        let found = try known.withLock { known in
            let found = try known ?? scout()
            known = found
            return found
        }
        guard let first = found.first else {
            throw HarnessError("no payment's rows live apart: the databases are not chosen as agreed")
        }
        return first
    }

    private static func scout() throws -> [Found] {
        var found: [Found] = []
        try World.run(databases: 2) { world in
            let client = try world.start().client()
            for number in 0..<12 {
                try world.pay(Payment(requestID: "scout-\(number)", merchant: "SCOUT \(number)"), over: client)
            }
            let evidence = try world.evidence()
            for row in evidence.rows {
                let entry = evidence.entries.first { $0.transactionID == row.transactionID }
                if let entry, entry.database != row.database {
                    found.append(
                        Found(requestID: row.requestID, merchant: row.merchant, paymentDatabase: row.database))
                }
            }
        }
        return found
    }
}
