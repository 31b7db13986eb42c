public import Payments

/// Which databases take part in a payment.
public enum Placement {
    /// The payment's row lives in the database chosen by the request_id, so that a request_id is unique in the whole deployment;
    /// the merchant's entry in the one chosen by the merchant. Where both are the same there is one branch.
    ///
    /// - Parameter databases: how many databases there are, 1 to 255. It must not change in a log's life.
    public static func branches(of intent: PaymentIntent, databases: Int) -> [Branch] {
        let payment = database(for: intent.requestID.text, of: databases)
        let entry = database(for: intent.merchant.text, of: databases)
        let network = Branch(participant: .clearing)
        guard payment != entry else {
            return [network, Branch(participant: .database(payment), role: [.payment, .merchantEntry])]
        }
        return [
            network, Branch(participant: .database(payment), role: .payment),
            Branch(participant: .database(entry), role: .merchantEntry),
        ]
    }

    /// The database that holds the payment of a request_id.
    public static func paymentDatabase(of request: RequestID, databases: Int) -> DatabaseIndex {
        database(for: request.text, of: databases)
    }

    /// FNV-1a, 64 bit, folded: stable across versions and machines, which Swift's own hashing is not.
    private static func database(for text: String, of count: Int) -> DatabaseIndex {
        precondition((1...255).contains(count), "1 to 255 databases")
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash ^= hash >> 32
        return DatabaseIndex(rawValue: UInt8(hash % UInt64(count)) + 1)
    }
}
