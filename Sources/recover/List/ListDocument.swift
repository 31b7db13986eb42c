import Assembly
import Coordinator
import Payments
import Telemetry

/// What `list --json` prints: docs/reference/list-and-show.md. Keys are added in later versions of the program; none is renamed or given
/// another meaning without a new ``version``.
struct ListDocument: Encodable {
    static let currentVersion = 1

    let kind = "holdfast-list"
    let version = Self.currentVersion
    let logId: String
    let madeAt: String
    let transactions: [Transaction]
    let reversals: [Reversal]
    let quarantined: Int
    /// Only where locks were asked for.
    let locks: [Lock]?
    let unreachable: [String: String]

    struct Transaction: Encodable {
        let txnId, requestId, begunAt, amount, currency, card, state: String
        let epoch, beginLsn: UInt64
        let openAt: [String]
        let parked: [Parking]
        let proposal: Proposal?
    }

    struct Parking: Encodable {
        let participant, evidence: String
        let lsn: UInt64
    }

    struct Proposal: Encodable {
        let outcome, actor, reason, proposedAt: String
        let isForced: Bool
        let lsn: UInt64
    }

    struct Reversal: Encodable {
        let txnId, requestId, createdAt, amount, currency, card: String
        let refusals: Int
        let isParked: Bool
        let parkedReason: String?
    }

    struct Lock: Encodable {
        let gid: String
        let txnId: String?
        let database: String
        let blockedSessions, xidAge: Int
        let holdsXmin: Bool
        let tables: [String]
    }

    init(_ report: ListReport) {
        logId = report.log.description
        madeAt = Timestamp.text(microseconds: report.now.microseconds)
        transactions = report.transactions.map(Transaction.init)
        reversals = report.reversals.map(Reversal.init)
        quarantined = report.quarantined
        locks = report.locks.map { $0.map(Lock.init) }
        unreachable = Dictionary(uniqueKeysWithValues: report.unreachable.map { ($0.key.description, $0.value) })
    }
}

extension ListDocument.Transaction {
    init(_ active: ActiveTransaction) {
        let intent = active.begin.record.intent
        txnId = active.transaction.description
        requestId = intent.requestID.text
        begunAt = Timestamp.text(microseconds: active.begin.writtenAt.microseconds)
        amount = intent.amount.decimalText
        currency = intent.amount.currency.code
        card = intent.maskedPAN.text
        state = active.stateName
        epoch = active.begin.record.epoch.rawValue
        beginLsn = active.begin.lsn.rawValue
        openAt = active.openParticipants.map(\.description)
        parked = active.parkings.map {
            .init(
                participant: $0.record.participant.description, evidence: $0.record.evidence, lsn: $0.lsn.rawValue)
        }
        proposal = active.proposal.map { .init($0.record, lsn: $0.lsn, writtenAt: $0.writtenAt) }
    }
}

extension ListDocument.Proposal {
    init(_ order: ResolutionRecord, lsn: LSN, writtenAt: WallTime) {
        outcome = "\(order.outcome)"
        actor = order.warrant.actor
        reason = order.warrant.reason
        proposedAt = Timestamp.text(microseconds: writtenAt.microseconds)
        isForced = order.isForced
        self.lsn = lsn.rawValue
    }
}

extension ListDocument.Reversal {
    init(_ task: ReversalTask) {
        txnId = task.transaction.description
        requestId = task.intent.requestID.text
        createdAt = Timestamp.text(microseconds: task.createdAt.microseconds)
        amount = task.intent.amount.decimalText
        currency = task.intent.amount.currency.code
        card = task.intent.maskedPAN.text
        refusals = task.refusals
        isParked = task.parkedReason != nil
        parkedReason = task.parkedReason
    }
}

extension ListDocument.Lock {
    init(_ branch: BranchLocks) {
        gid = branch.gid
        txnId = branch.transaction?.description
        database = branch.database.description
        blockedSessions = branch.blockedSessions
        xidAge = branch.xidAge
        holdsXmin = branch.holdsHorizon
        tables = branch.tables
    }
}
