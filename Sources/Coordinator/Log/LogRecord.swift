public import Payments

/// Everything that is ever written to the log, in the order in which it became true.
///
/// Forced records allow I/O and are durable before it; the others are written with the next batch.
public enum LogRecord: Sendable, Hashable {
    /// A server took this log over.
    case serverStarted(FencePair)
    /// PREPARING. Forced: from here the card network may hear of the payment. Claims the request_id.
    case begin(BeginRecord)
    /// PREPARED and COMMITTING. Forced: the decision, with the votes that led to it.
    case commit(CommitRecord)
    /// ABORTING. Forced: the decision, with the reversal task in the same log transaction.
    case abort(AbortRecord)
    /// A participant is proven to have carried out the decision.
    case acknowledged(AcknowledgedRecord)
    /// COMMITTED or ABORTED: nothing is left to do but an open reversal.
    case end(EndRecord)
    /// PARKED or HEURISTIC. Forced: waits for an operator.
    case parked(ParkedRecord)
    /// The network refused a reversal. Refusals count towards the limit.
    case reversalRefused(ReversalRefusedRecord)
    /// The network acknowledged the reversal: the task is closed.
    case reversalClosed(ReversalClosedRecord)
    /// The reversal waits for an operator.
    case reversalParked(ReversalParkedRecord)
    /// The first of two persons asked for an outcome. Allows nothing by itself.
    case resolutionProposed(ResolutionRecord)
    /// Forced: the outcome of a transaction that waited for an operator. Where it is another than the logged decision, the new
    /// decision's record follows at once, in the same log transaction.
    case resolved(ResolutionRecord)
    /// Forced: stands for the BEGIN of a transaction that the log had no record of. The record of its decision follows at once, in
    /// the same log transaction.
    case adopted(AdoptionRecord)
    /// Forced: a transaction that had ended is unfinished again.
    case reopened(ReopenedRecord)
    /// Forced: a reversal that waited for an operator is sent again.
    case reversalReleased(ReversalReleasedRecord)
    /// A value left the quarantine.
    case quarantineReleased(QuarantineReleasedRecord)
    /// The log begins here with a tail lost: before the next ``reconciled(_:)`` nothing is presumed.
    case broken(LogBreak)
    /// Forced: everything that the lost tail may have held has been decided by evidence, or waits for an operator.
    case reconciled(Warrant)

    /// The transaction that the record is of; `nil` for those of the log itself.
    public var transaction: TransactionID? {
        switch self {
        case .serverStarted: nil
        case .begin(let record): record.transaction
        case .commit(let record): record.transaction
        case .abort(let record): record.transaction
        case .acknowledged(let record): record.transaction
        case .end(let record): record.transaction
        case .parked(let record): record.transaction
        case .reversalRefused(let record): record.transaction
        case .reversalClosed(let record): record.transaction
        case .reversalParked(let record): record.transaction
        case .resolutionProposed(let record), .resolved(let record): record.transaction
        case .adopted(let record): record.transaction
        case .reopened(let record): record.transaction
        case .reversalReleased(let record): record.transaction
        case .quarantineReleased, .broken, .reconciled: nil
        }
    }
}

/// A payment is about to be made.
public struct BeginRecord: Sendable {
    /// One object, as a ``PaymentIntent`` is: the record is in every order to a participant, and in most states.
    private let box: Box

    private final class Box: Sendable {
        let parts: Parts
        init(_ parts: Parts) { self.parts = parts }
    }

    private struct Parts: Sendable, Hashable {
        let transaction: TransactionID
        let epoch: Epoch
        let intent: PaymentIntent
        let branches: [Branch]
        let deadline: WallTime
    }

    public var transaction: TransactionID { box.parts.transaction }
    /// The epoch of the server that began it, part of its branches' names.
    public var epoch: Epoch { box.parts.epoch }
    public var intent: PaymentIntent { box.parts.intent }
    /// Every participant, before any of them is asked.
    public var branches: [Branch] { box.parts.branches }
    /// The time by which a decision must be made; for people, the process uses its monotonic clock.
    public var deadline: WallTime { box.parts.deadline }

    public init(
        transaction: TransactionID, epoch: Epoch, intent: PaymentIntent, branches: [Branch], deadline: WallTime
    ) {
        box = Box(
            Parts(transaction: transaction, epoch: epoch, intent: intent, branches: branches, deadline: deadline))
    }
}

extension BeginRecord: Hashable {
    public static func == (left: Self, right: Self) -> Bool {
        left.box === right.box || left.box.parts == right.box.parts
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(box.parts) }
}

extension BeginRecord: CustomReflectable {
    /// Its parts, as if they were stored in it.
    public var customMirror: Mirror {
        Mirror(self, children: Mirror(reflecting: box.parts).children, displayStyle: .struct)
    }
}

/// All participants voted yes.
public struct CommitRecord: Sendable, Hashable {
    public let transaction: TransactionID
    /// The card network's authorization code; empty if the operation has none.
    public let authorizationCode: String

    public init(transaction: TransactionID, authorizationCode: String) {
        self.transaction = transaction
        self.authorizationCode = authorizationCode
    }
}

/// The payment will not be made.
public struct AbortRecord: Sendable, Hashable {
    public let transaction: TransactionID
    public let reason: DeclineReason
    /// What becomes of the request_id.
    public let claim: ClaimDisposition
    /// The task to tell the network, if it may hold something.
    public let reversal: ReversalTask?

    public init(
        transaction: TransactionID, reason: DeclineReason, claim: ClaimDisposition, reversal: ReversalTask?
    ) {
        self.transaction = transaction
        self.reason = reason
        self.claim = claim
        self.reversal = reversal
    }
}

/// What the abort of a transaction means for the request_id that it claimed.
public enum ClaimDisposition: Sendable, Hashable {
    /// The refusal is final for this request_id.
    case declined
    /// The request_id is free again: it may be in flight at another coordinator, whose outcome is the true one.
    case released
    /// Another transaction made the same payment; its outcome is the answer.
    case madeBy(TransactionID)
}

/// How a participant was proven to have carried out the decision.
public enum Proof: UInt8, Sendable, Hashable, CaseIterable {
    /// It said so in answer to our request.
    case acknowledgement = 1
    /// The branch's row was read in the database after the prepared list did not show the branch.
    case witness = 2
    /// Neither a prepared branch nor its row, and no backend left that could still prepare it.
    case absence = 3
    /// Nothing was seen that proves it: an operator takes what the participant did as it is.
    case accepted = 4
    /// It had proven a commit, and has lost it since: it is asked again. That it had committed is not forgotten.
    case lost = 5
}

public struct AcknowledgedRecord: Sendable, Hashable {
    public let transaction: TransactionID
    public let participant: Participant
    public let proof: Proof

    public init(transaction: TransactionID, participant: Participant, proof: Proof) {
        self.transaction = transaction
        self.participant = participant
        self.proof = proof
    }
}

public enum Outcome: UInt8, Sendable, Hashable, CaseIterable {
    case committed = 1
    case aborted = 2
}

public struct EndRecord: Sendable, Hashable {
    public let transaction: TransactionID
    /// Kept here so that the claim can be dropped when the record is trimmed.
    public let requestID: RequestID
    public let outcome: Outcome

    public init(transaction: TransactionID, requestID: RequestID, outcome: Outcome) {
        self.transaction = transaction
        self.requestID = requestID
        self.outcome = outcome
    }
}

/// Why a transaction waits for an operator.
public struct ParkedRecord: Sendable, Hashable {
    public let transaction: TransactionID
    /// The participant that did otherwise than decided, or whose state contradicts the log.
    public let participant: Participant
    /// What was seen, in words for the operator. Without card data.
    public let evidence: String

    public init(transaction: TransactionID, participant: Participant, evidence: String) {
        self.transaction = transaction
        self.participant = participant
        self.evidence = evidence
    }
}

public struct ReversalRefusedRecord: Sendable, Hashable {
    public let transaction: TransactionID
    /// Definite refusals so far, this one included.
    public let refusals: Int
    public let reason: String

    public init(transaction: TransactionID, refusals: Int, reason: String) {
        self.transaction = transaction
        self.refusals = refusals
        self.reason = reason
    }
}

public struct ReversalClosedRecord: Sendable, Hashable {
    public let transaction: TransactionID
    public init(transaction: TransactionID) { self.transaction = transaction }
}

public struct ReversalParkedRecord: Sendable, Hashable {
    public let transaction: TransactionID
    public let reason: String

    public init(transaction: TransactionID, reason: String) {
        self.transaction = transaction
        self.reason = reason
    }
}
