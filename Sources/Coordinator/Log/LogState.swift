public import Payments

/// What the log knows of a transaction that has not ended.
public struct ActiveTransaction: Sendable, Hashable {
    public let begin: Durable<BeginRecord>
    public var decision: Decision
    /// Participants proven to have carried out the decision.
    public var acknowledged: [Participant: Proof]
    /// Set while the transaction waits for an operator.
    public var parked: Durable<ParkedRecord>?

    public enum Decision: Sendable, Hashable {
        case undecided
        case commit(Durable<CommitRecord>)
        case abort(Durable<AbortRecord>)
    }

    public init(
        begin: Durable<BeginRecord>, decision: Decision, acknowledged: [Participant: Proof],
        parked: Durable<ParkedRecord>?
    ) {
        self.begin = begin
        self.decision = decision
        self.acknowledged = acknowledged
        self.parked = parked
    }

    public var transaction: TransactionID { begin.record.transaction }
}

/// What the log answers about a request_id.
public struct RequestEntry: Sendable, Hashable {
    public let transaction: TransactionID
    public let intent: PaymentIntent
    public let status: Status

    public enum Status: Sendable, Hashable {
        /// Begun, not decided.
        case preparing
        /// Decided to commit, not yet ended.
        case committing
        /// Ended: committed everywhere.
        case approved
        /// Decided to abort. Final.
        case declined(DeclineReason)
        /// The same payment was made by another transaction.
        case madeBy(TransactionID)
        /// A participant did otherwise than decided; an operator has to look.
        case heuristic
    }

    public init(transaction: TransactionID, intent: PaymentIntent, status: Status) {
        self.transaction = transaction
        self.intent = intent
        self.status = status
    }
}

/// Tells the network to undo what may have happened. Stored with the abort, kept until acknowledged.
public struct ReversalTask: Sendable, Hashable {
    public let transaction: TransactionID
    public let intent: PaymentIntent
    /// When the abort was decided; the task's age is counted from here.
    public let createdAt: WallTime
    /// Definite refusals so far.
    public var refusals: Int
    /// Why it waits for an operator; `nil` while it is to be sent.
    public var parkedReason: String?

    public init(
        transaction: TransactionID, intent: PaymentIntent, createdAt: WallTime, refusals: Int = 0,
        parkedReason: String? = nil
    ) {
        self.transaction = transaction
        self.intent = intent
        self.createdAt = createdAt
        self.refusals = refusals
        self.parkedReason = parkedReason
    }
}

/// What the log remembers of a configured database, so that clones and restored directories are told apart.
public struct DatabaseFence: Sendable, Hashable {
    public let database: DatabaseIndex
    /// The database behind the number; `nil` until it was reached for the first time.
    public var identity: DatabaseIdentity?
    /// The pair that the database is known to hold; `nil` before the first fencing.
    public var confirmed: FencePair?
    /// Pairs that were about to be written there since and whose outcome is unknown.
    public var attempted: [FencePair]

    public init(
        database: DatabaseIndex, identity: DatabaseIdentity?, confirmed: FencePair?, attempted: [FencePair]
    ) {
        self.database = database
        self.identity = identity
        self.confirmed = confirmed
        self.attempted = attempted
    }
}

/// Which database of which cluster it is, whatever its address.
public struct DatabaseIdentity: Sendable, Hashable, CustomStringConvertible {
    /// `pg_control_system().system_identifier`.
    public let systemIdentifier: UInt64
    /// `pg_database.oid`.
    public let databaseOID: UInt32

    public init(systemIdentifier: UInt64, databaseOID: UInt32) {
        self.systemIdentifier = systemIdentifier
        self.databaseOID = databaseOID
    }

    public var description: String { "\(systemIdentifier)/\(databaseOID)" }
}

/// A consistent picture of the log at one moment.
public struct LogSnapshot: Sendable {
    public let log: LogID
    /// The pair of the last start.
    public let owner: FencePair
    public let nextLSN: LSN
    public let active: [ActiveTransaction]
    public let reversals: [ReversalTask]
    public let fences: [DatabaseFence]
    /// Records that could not be read and were set aside.
    public let quarantined: Int

    public init(
        log: LogID, owner: FencePair, nextLSN: LSN, active: [ActiveTransaction], reversals: [ReversalTask],
        fences: [DatabaseFence], quarantined: Int
    ) {
        self.log = log
        self.owner = owner
        self.nextLSN = nextLSN
        self.active = active
        self.reversals = reversals
        self.fences = fences
        self.quarantined = quarantined
    }
}
