public import Coordinator
public import Payments

/// What a database participant is doing.
public enum DatabaseState: Sendable, Hashable, CustomStringConvertible {
    /// Not started.
    case idle
    /// On the first way to the database, or on the way back to it.
    case connecting
    /// Cannot be reached or used at the moment; tried again by itself. The text says why.
    case away(String)
    /// Must not be used until an operator mends what the text says; looked at again every ``PostgresLimits/refusedRetry``.
    case refused(String)
    /// Fenced in this epoch, with at least one healthy connection.
    case available
    /// Another server took this log over: this process must end.
    case fencedOut(String)
    case closed

    public var description: String {
        switch self {
        case .idle: "not started"
        case .connecting: "connecting"
        case .away(let reason): "away: \(reason)"
        case .refused(let reason): "refused: \(reason)"
        case .available: "available"
        case .fencedOut(let reason): "fenced out: \(reason)"
        case .closed: "closed"
        }
    }
}

/// What a database participant tells the program around it. The closures are called on the database's own thread and have to
/// be short.
public struct PostgresEvents: Sendable {
    public enum Level: Sendable, Hashable {
        case info
        case warning
        case error
    }

    /// The state is another one now.
    public let stateChanged: @Sendable (DatabaseState) -> Void
    /// Another server took this log over. The process must end; nothing is sent to this database any more.
    public let fencedOut: @Sendable (String) -> Void
    /// The database cannot be used until an operator does what the message says.
    public let fatal: @Sendable (String) -> Void
    /// The database may have lost what it had committed; the commits of the retention have to be verified against their witnesses, and
    /// ``PostgresDatabase/finishRegression(_:completion:)`` be told. The log knows of it already.
    public let wentBack: @Sendable (DatabaseRegression) -> Void
    /// Something for the process's own record.
    public let note: @Sendable (Level, String) -> Void

    public init(
        stateChanged: @escaping @Sendable (DatabaseState) -> Void = { _ in },
        fencedOut: @escaping @Sendable (String) -> Void = { _ in },
        fatal: @escaping @Sendable (String) -> Void = { _ in },
        wentBack: @escaping @Sendable (DatabaseRegression) -> Void = { _ in },
        note: @escaping @Sendable (Level, String) -> Void = { _, _ in }
    ) {
        self.stateChanged = stateChanged
        self.fencedOut = fencedOut
        self.fatal = fatal
        self.wentBack = wentBack
        self.note = note
    }
}

/// What a participant may do at its database.
public enum PostgresRole: Sendable {
    /// Owns the log: migrates the schema, fences the database, terminates older backends, prepares and resolves.
    ///
    /// - Parameters:
    ///   - owner: the pair of this start, already in the log.
    ///   - fence: what the log remembers of this database.
    ///   - log: takes what is attempted and confirmed.
    case owner(FencePair, fence: DatabaseFence, log: any TransactionLog)
    /// Only looks: writes nothing, terminates nothing, has no pool.
    ///
    /// - Parameters:
    ///   - current: backends of smaller epochs count as older: the running server's epoch, or the log's next one where no
    ///     server runs.
    ///   - fence: what the log remembers of this database: another fence there means that the log is a copy or an old one, and
    ///     the database is refused.
    case observer(current: Epoch, fence: DatabaseFence)
}

/// A payment's row as a database has it.
public struct PaymentRow: Sendable, Hashable {
    public let requestID: String
    /// `nil` for a row that a predecessor of this program wrote.
    public let transaction: TransactionID?
    /// The name of the operation's kind on the wire.
    public let kind: String
    /// The decimal text, with the scale that was written.
    public let amount: String
    public let currency: String
    public let merchant: String?
    public let maskedPAN: String?
    public let reference: String?
    public let status: String
    public let authorizationCode: String?
    /// `nil` for a row that a predecessor of this program wrote.
    public let requestHash: KeyedDigest?

    /// Whether the row was made by a request for the same operation. As ``PaymentIntent/isRepeat(of:)``: hashes of one key
    /// decide, else what both show in the clear.
    public func isRepeat(of intent: PaymentIntent) -> Bool {
        guard requestID == intent.requestID.text else { return false }
        if let requestHash, requestHash.keyID == intent.requestHash.keyID {
            return requestHash.bytes == intent.requestHash.bytes
        }
        return kind == intent.kind.wireName && amount == intent.amount.decimalText
            && currency == intent.amount.currency.code && merchant == intent.merchant.text
            && maskedPAN == intent.maskedPAN.text && reference == intent.reference?.text
    }
}

/// A reading of a participant's counters.
public struct PostgresStatistics: Sendable, Hashable {
    /// Connections that are made and checked.
    public let connectionsReady: Int
    /// Of these, those with a job.
    public let connectionsBusy: Int
    /// Jobs that wait for a connection.
    public let jobsWaiting: Int
    /// Prepared slots that may be taken in all; zero before the database was fenced.
    public let slots: Int
    public let slotsTaken: Int
    /// Orders that wait for a slot.
    public let slotsWaiting: Int
    /// How often, since the start, a branch was sent right behind a decision, because all connections were busy.
    public let pairsSent: Int
    /// Whether a backend of an older epoch may still prepare something.
    public let olderBackendsAlive: Bool
}
