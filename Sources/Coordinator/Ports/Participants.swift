public import Payments

/// Asks a participant to prepare its branch. Only a durable BEGIN makes one.
public struct PrepareOrder: Sendable, Hashable {
    public let begin: BeginRecord
    public let branch: Branch
    /// What the network answered to the hold; empty if it has not been asked.
    public let authorizationCode: String
    /// When the vote is of no use any more.
    public let deadline: MonotonicTime

    init(allowedBy begin: Durable<BeginRecord>, branch: Branch, authorizationCode: String, deadline: MonotonicTime) {
        self.begin = begin.record
        self.branch = branch
        self.authorizationCode = authorizationCode
        self.deadline = deadline
    }
}

/// Asks the payment's database what it knows of the request_id. Only a durable BEGIN makes one.
public struct LookUpOrder: Sendable, Hashable {
    public let begin: BeginRecord

    init(allowedBy begin: Durable<BeginRecord>) { self.begin = begin.record }
}

/// What the payment's database knows of a request_id, whoever claimed it: the log forgets, and other coordinators have logs of their
/// own.
public enum PriorPayment: Sendable, Hashable {
    /// No payment with it is committed.
    case none
    /// The same payment is committed under another transaction.
    case madeBy(TransactionID)
    /// A payment with other content is.
    case conflict
    /// It could not be asked.
    case unknown(String)
}

/// Tells a participant the decision. Only a durable decision makes one.
public struct ResolveOrder: Sendable, Hashable {
    public let begin: BeginRecord
    public let branch: Branch
    public let decision: Outcome
    /// Whether the transaction was taken up from the log, so that who carries the order out need not have prepared the branch itself,
    /// whatever epoch the branch is of.
    public let isResumed: Bool

    init(allowedBy decision: Durable<CommitRecord>, begin: BeginRecord, branch: Branch, isResumed: Bool = false) {
        self.begin = begin
        self.branch = branch
        self.decision = .committed
        self.isResumed = isResumed
        precondition(decision.record.transaction == begin.transaction, "a decision on another transaction")
    }

    init(allowedBy decision: Durable<AbortRecord>, begin: BeginRecord, branch: Branch, isResumed: Bool = false) {
        self.begin = begin
        self.branch = branch
        self.decision = .aborted
        self.isResumed = isResumed
        precondition(decision.record.transaction == begin.transaction, "a decision on another transaction")
    }
}

/// Tells the network to undo. Only a task from the log makes one.
public struct ReversalOrder: Sendable, Hashable {
    public let transaction: TransactionID
    public let intent: PaymentIntent
    /// Whether the network may have been told before.
    public let isRepeat: Bool

    init(task: ReversalTask, isRepeat: Bool) {
        transaction = task.transaction
        intent = task.intent
        self.isRepeat = isRepeat
    }
}

/// A participant's answer to ``PrepareOrder``.
public enum Vote: Sendable, Hashable {
    /// Prepared, and able to commit after any crash of its own. The network adds its authorization code.
    case yes(authorizationCode: String)
    /// Definitely not prepared, now or later.
    case no(Refusal)
    /// Anything may be: a timeout, a lost connection, an unreadable reply.
    case unknown(String)

    public enum Refusal: Sendable, Hashable {
        /// The network says no.
        case declined(String)
        /// The participant could not be asked at all, or failed before anything was prepared.
        case unavailable(String)
        /// The request_id is held by a transaction of another coordinator whose outcome is open.
        case contended
        /// The same payment is already committed under another transaction.
        case madeBy(TransactionID)
        /// The request_id is taken by a committed payment with other content.
        case conflict
    }
}

/// A participant's answer to ``ResolveOrder``.
public enum Resolution: Sendable, Hashable {
    case done(Proof)
    /// It did otherwise than decided. The text is the evidence.
    case heuristic(String)
    /// Not known yet; ask again.
    case open(String)
}

/// A database of ours.
public protocol DatabaseParticipant: AnyObject, Sendable {
    var index: DatabaseIndex { get }

    /// Whether a payment that needs this database may be admitted now: fenced in this epoch and at least one healthy
    /// connection.
    var isAvailable: Bool { get }

    /// `completion` is called exactly once, at the order's deadline plus a small bounded time at the latest. The prepared
    /// slot that a prepared or unknown branch occupies is given back by ``resolve(_:completion:)``.
    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void)

    /// Looks the order's request_id up among the committed payments. `completion` is called exactly once, within a bounded time.
    func lookUp(_ order: LookUpOrder, completion: @escaping @Sendable (PriorPayment) -> Void)

    /// Carries the decision out, or finds the proof that it has been. An abort is done only when no backend can still prepare the
    /// branch. `completion` is called exactly once, within a bounded time.
    func resolve(_ order: ResolveOrder, completion: @escaping @Sendable (Resolution) -> Void)
}

/// What the network says to an order to undo.
public enum ReversalReply: Sendable, Hashable {
    case acknowledged
    /// A definite no.
    case refused(String)
    /// An error, a timeout, a lost connection.
    case failed(String)
}

/// The card network.
public protocol ClearingNetwork: AnyObject, Sendable {
    /// Places a hold. Retries within the order's deadline; a refusal after an attempt whose outcome is unknown is unknown.
    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void)

    /// Confirms the authorization: one attempt.
    func confirm(
        _ order: ResolveOrder, isRepeat: Bool, completion: @escaping @Sendable (Resolution) -> Void)

    /// Releases what may be held: one attempt.
    func reverse(_ order: ReversalOrder, completion: @escaping @Sendable (ReversalReply) -> Void)
}
