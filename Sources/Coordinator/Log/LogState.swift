public import Payments

/// What the log knows of a transaction that has not ended.
public struct ActiveTransaction: Sendable, Hashable {
    public let begin: Durable<BeginRecord>
    public var decision: Decision
    /// Participants proven to have carried out the decision.
    public var acknowledged: [Participant: Proof]
    /// Why it waits for an operator, one for each participant that did otherwise, in the order in which it was found out.
    public var parkings: [Durable<ParkedRecord>]
    /// What the first of two persons asked for.
    public var proposal: Durable<ResolutionRecord>?

    public enum Decision: Sendable, Hashable {
        case undecided
        case commit(Durable<CommitRecord>)
        indirect case abort(Durable<AbortRecord>)
    }

    public init(
        begin: Durable<BeginRecord>, decision: Decision, acknowledged: [Participant: Proof],
        parkings: [Durable<ParkedRecord>] = [], proposal: Durable<ResolutionRecord>? = nil
    ) {
        self.begin = begin
        self.decision = decision
        self.acknowledged = acknowledged
        self.parkings = parkings
        self.proposal = proposal
    }

    public var transaction: TransactionID { begin.record.transaction }

    /// The proofs that still hold: those participants need not be told any more.
    public var proven: [Participant: Proof] { acknowledged.filter { $0.value != .lost } }

    public var isParked: Bool { !parkings.isEmpty }
    public var parkedParticipants: Set<Participant> { Set(parkings.map(\.record.participant)) }

    /// Takes a parking; a second one of the same participant replaces the first.
    public mutating func park(_ parking: Durable<ParkedRecord>) {
        parkings.removeAll { $0.record.participant == parking.record.participant }
        parkings.append(parking)
    }
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
    /// Pairs that it held, or may have held, before the confirmed one, the newest last: a database that shows one of them has gone back
    /// in time.
    public var former: [FencePair]
    /// How far the database was when it was last looked at.
    public var position: DatabasePosition?
    /// Whether the next fencing takes over whatever pair is there, because an operator restored the log or made it anew.
    public var takesOver: Bool

    public init(
        database: DatabaseIndex, identity: DatabaseIdentity? = nil, confirmed: FencePair? = nil,
        attempted: [FencePair] = [], former: [FencePair] = [], position: DatabasePosition? = nil,
        takesOver: Bool = false
    ) {
        self.database = database
        self.identity = identity
        self.confirmed = confirmed
        self.attempted = attempted
        self.former = former
        self.position = position
        self.takesOver = takesOver
    }

    /// The pair is there now: what was attempted is settled, and joins the former pairs with the one confirmed before. An attempt may have
    /// got through without our knowing, and a copy of the database may have been taken then.
    public func confirming(_ pair: FencePair, at identity: DatabaseIdentity, formerMax: Int) -> DatabaseFence {
        let settled = ([confirmed].compactMap(\.self) + attempted).filter { $0 != pair }
        return DatabaseFence(
            database: database, identity: identity, confirmed: pair, attempted: [],
            former: (former + settled).suffix(formerMax), position: position, takesOver: false)
    }
}

/// How far a database has come: only ever forward, unless it was restored or failed over.
public struct DatabasePosition: Sendable, Hashable, CustomStringConvertible {
    /// Changes with each failover and each recovery to a point in time.
    public let timeline: UInt32
    /// The end of its write-ahead log, bytes (`pg_current_wal_flush_lsn()`).
    public let walBytes: UInt64

    public init(timeline: UInt32, walBytes: UInt64) {
        self.timeline = timeline
        self.walBytes = walBytes
    }

    /// Stands for the position of a database that went back in time, until its commits have been verified. No database is on timeline
    /// 0, so the next look finds the loss out again whatever the real position is by then, and whatever happened in between.
    public static let unverified = DatabasePosition(timeline: 0, walBytes: .max)

    /// Whether a database that was there before and is here now may have lost what it had committed in between.
    public func mayHaveLostCommits(since earlier: DatabasePosition) -> Bool {
        timeline != earlier.timeline || walBytes < earlier.walBytes
    }

    public var description: String {
        if self == .unverified { return "not verified" }
        return "timeline \(timeline), \(String(walBytes >> 32, radix: 16, uppercase: true))/"
            + String(walBytes & 0xFFFF_FFFF, radix: 16, uppercase: true)
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
    /// Whether the log has all that it ever held.
    public let continuity: LogContinuity
    /// Of a log that was broken once: payments of earlier epochs may have been made without a trace in it. `nil` in every other.
    public let wholeSince: Epoch?
    /// No record that was trimmed says a later time; `nil` if none was.
    public let trimmedUntil: WallTime?

    public init(
        log: LogID, owner: FencePair, nextLSN: LSN, active: [ActiveTransaction], reversals: [ReversalTask],
        fences: [DatabaseFence], quarantined: Int, continuity: LogContinuity = .unbroken,
        wholeSince: Epoch? = nil, trimmedUntil: WallTime? = nil
    ) {
        self.log = log
        self.owner = owner
        self.nextLSN = nextLSN
        self.active = active
        self.reversals = reversals
        self.fences = fences
        self.quarantined = quarantined
        self.continuity = continuity
        self.wholeSince = wholeSince
        self.trimmedUntil = trimmedUntil
    }
}
