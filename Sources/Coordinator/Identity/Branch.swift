/// One participant of a global transaction.
public enum Participant: Sendable, Hashable {
    /// A PostgreSQL database of ours.
    case database(DatabaseIndex)
    /// The card network. It keeps no list of what it holds that we could read, so it is asked one transaction at a time.
    case clearing
}

extension Participant: CustomStringConvertible {
    public var description: String {
        switch self {
        case .database(let index): index.description
        case .clearing: "clearing"
        }
    }
}

/// What a database branch writes. With several databases the two rows may live apart.
public struct BranchRole: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The payment's row, unique by request_id, in the database chosen by the request_id.
    public static let payment = BranchRole(rawValue: 1)
    /// The merchant's ledger entry, in the database chosen by the merchant.
    public static let merchantEntry = BranchRole(rawValue: 2)
}

/// A participant's part of a global transaction.
public struct Branch: Sendable, Hashable {
    public let participant: Participant
    /// Empty for the card network.
    public let role: BranchRole

    public init(participant: Participant, role: BranchRole = []) {
        self.participant = participant
        self.role = role
    }
}

/// The name of a database branch in PostgreSQL: `visa_<log id>_<epoch>_<txn_id>_<database>`.
///
/// Nothing that a client sent is part of it; it is unique in a whole cluster and at most 102 of the 199 bytes allowed.
public struct GlobalBranchID: Sendable, Hashable, CustomStringConvertible {
    public let log: LogID
    /// The epoch in which the transaction began.
    public let epoch: Epoch
    public let transaction: TransactionID
    public let database: DatabaseIndex

    public init(log: LogID, epoch: Epoch, transaction: TransactionID, database: DatabaseIndex) {
        self.log = log
        self.epoch = epoch
        self.transaction = transaction
        self.database = database
    }

    /// Only the exact text that ``description`` gives is taken; whatever else is somebody else's.
    public init?(_ text: String) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "visa", parts[3] == "visa", parts[5].hasPrefix("db"),
            let log = LogID(parts[1]), let epoch = UInt64(parts[2]),
            let transaction = TransactionID("visa_" + parts[4]), let database = UInt8(parts[5].dropFirst(2))
        else { return nil }
        self.init(
            log: log, epoch: Epoch(rawValue: epoch), transaction: transaction,
            database: DatabaseIndex(rawValue: database))
        guard description == text else { return nil }
    }

    public var description: String { "visa_\(log)_\(epoch)_\(transaction)_\(database)" }
}
