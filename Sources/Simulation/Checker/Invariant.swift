public import Coordinator

/// What must hold, whatever goes wrong.
public enum Invariant: String, CaseIterable, Sendable {
    case beginBeforePrepare = "begin-before-prepare"
    case decisionBeforeResolve = "decision-before-resolve"
    case databaseBeforeNetwork = "database-before-network"
    case taskBeforeReversal = "task-before-reversal"
    case decisionIsWrittenOnce = "decision-is-written-once"
    case historyRules = "history-rules"
    case approvedIsCommitted = "approved-is-committed"
    case declinedIsNowhere = "declined-is-nowhere"
    case refusalOfTheKnown = "refusal-of-the-known"
    case sameAnswer = "same-answer"
    case oneEffect = "one-effect"
    case atomic = "atomic"
    case noPreparedLeft = "no-prepared-left"
    case strangersUntouched = "strangers-untouched"
    case oneReversal = "one-reversal"
    case noReversalOfTheCommitted = "no-reversal-of-the-committed"
    case boundedWait = "bounded-wait"
    case liveness = "liveness"
    case parkedForAReason = "parked-for-a-reason"
    case startIsAllowed = "start-is-allowed"
    case recoveryTwice = "recovery-twice"
    case dryRun = "dry-run"
    case boundedLog = "bounded-log"
    case noFalseAlarm = "no-false-alarm"
    case claimsAgree = "claims-agree"
    case planByEvidence = "plan-by-evidence"
    case money = "money"

    /// What it says.
    public var meaning: String {
        switch self {
        case .beginBeforePrepare: "no participant is asked before BEGIN is durable, nor after the decision"
        case .decisionBeforeResolve: "no branch is committed or rolled back by us before that decision is durable"
        case .databaseBeforeNetwork:
            "the network is told to confirm only after the payment's own database has committed"
        case .taskBeforeReversal:
            "nothing is undone at the network before ABORT and its task are durable, and nothing of what is committed"
        case .decisionIsWrittenOnce: "a decision never changes without an order or evidence in the log"
        case .historyRules: "the log's history is one that the protocol can have written"
        case .approvedIsCommitted:
            "APPROVED is said when COMMIT is durable and the payment's row is committed, and of the same content"
        case .declinedIsNowhere:
            "DECLINED with a txn_id is said when ABORT is durable, and no database has the payment, now or later"
        case .refusalOfTheKnown: "a request_id that the log knows is answered from it, whatever else is the matter"
        case .sameAnswer: "the same request_id has the same outcome within the retention"
        case .oneEffect: "the same request_id has one effect"
        case .atomic: "in the end all participants have the same outcome, the log's"
        case .noPreparedLeft: "in the end no branch of ours is prepared"
        case .strangersUntouched: "other programs' branches are never touched"
        case .oneReversal:
            "each aborted payment whose hold may exist has one reversal task, closed by one acknowledgement"
        case .noReversalOfTheCommitted: "no committed payment has a reversal"
        case .boundedWait: "nobody waits for an answer longer than the limit"
        case .liveness: "once nothing goes wrong any more, everything ends within a bounded time"
        case .parkedForAReason: "a payment waits for an operator only if a participant did otherwise"
        case .startIsAllowed: "a server may start on its own log"
        case .recoveryTwice: "a second recovery finds nothing to do"
        case .dryRun: "a look changes nothing, and its plan is the one that recovery carries out"
        case .boundedLog: "after the retention the log holds nothing but what waits for an operator"
        case .noFalseAlarm: "what has ended is taken up again only if a database went back in time"
        case .claimsAgree: "after every step of the log a request_id's entry says what its transaction's history says"
        case .planByEvidence: "recovery presumes nothing that a row or the loss of the log's tail speaks against"
        case .money: "what the rows, the merchants' entries and the network say is paid is the same"
        }
    }
}

/// A broken invariant.
public struct Violation: Sendable {
    public let invariant: Invariant
    public let transaction: TransactionID?
    public let message: String
    /// Steps of the world before it.
    public let step: Int
}

/// Why the outcome of a transaction may be another than the log's: somebody did otherwise, and an operator has to look.
struct Disturbance: OptionSet, Sendable {
    let rawValue: Int
    /// Somebody resolved a branch by hand.
    static let byHand = Disturbance(rawValue: 1)
    /// The network gave the hold back.
    static let expired = Disturbance(rawValue: 2)
    /// A database was restored to an earlier state.
    static let rewound = Disturbance(rawValue: 4)
    /// The log lost its records.
    static let lostLog = Disturbance(rawValue: 8)
    /// An operator decided.
    static let ordered = Disturbance(rawValue: 16)
}

/// Everything that is known of one transaction by somebody who sees everything.
final class Facts {
    let transaction: TransactionID
    let log: LogID
    var begin: BeginRecord
    /// Whether BEGIN was ever durable.
    var hasBegun = false
    /// The last decision that is durable.
    var decision: Outcome?
    var decisions = 0
    var isDecisionExpected = false
    var outcome: Outcome?
    /// When END became durable.
    var endedAt: UInt64?
    var reversalTasks = 0
    var reversalsClosed = 0
    var isReversalParked = false
    var parkings = 0
    /// Branches that were ever prepared.
    var prepared: Set<DatabaseIndex> = []
    var disturbances: Disturbance = []
    /// Whether a database found its request_id in another's hands.
    var hasMetAnother = false
    /// Whose row its request_id had when it began, in whichever log that one was.
    var madeBefore: TransactionID?
    var wasApproved = false
    /// Whether an order aborted it of which the log had no proof that its own database had committed it.
    var wasAbortedUnknowing = false
    var wasDeclined = false

    init(_ transaction: TransactionID, _ log: LogID, _ begin: BeginRecord) {
        self.transaction = transaction
        self.log = log
        self.begin = begin
    }

    var firstDatabase: DatabaseIndex? {
        for branch in begin.branches where branch.role.contains(.payment) {
            if case .database(let index) = branch.participant { return index }
        }
        return nil
    }

    var databases: [DatabaseIndex] {
        begin.branches.compactMap { if case .database(let index) = $0.participant { index } else { nil } }
    }
}
