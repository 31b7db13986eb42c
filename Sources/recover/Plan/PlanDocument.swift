import Coordinator
import Foundation
import Payments
import Telemetry

/// A plan as programs read it, and as it is kept in a file to be carried out later: docs/reference/plan-schema.md.
///
/// Keys are added in later versions of the program; none is renamed or given another meaning without a new ``version``.
struct PlanDocument: Codable, Equatable {
    static let kind = "holdfast-recovery-plan"
    static let currentVersion = 1

    let kind: String
    let version: Int
    let logId: String
    let madeAt: String
    let transactions: [Transaction]
    let reversals: [Reversal]
    let prepared: [Prepared]
    /// Of a log that has lost its tail: what was found of it. Not there in plans of a whole log.
    let lost: [Adoption]?
    /// Databases that could not be asked, with the reason.
    let unreachable: [String: String]
    let hasWork: Bool
    let hasRemainder: Bool
    /// Where a plan file was compared with the world: what no longer matches.
    var refused: [Refusal]?
    /// Of a dry run, where a database went back in time: the commits that it has lost.
    var lostCommits: [LostCommitEntry]?

    struct Transaction: Codable, Equatable {
        let txnId, requestId, begunAt, amount, currency, logState: String
        /// The words that people are shown.
        let databases: [String: String]
        let verdict, evidence, action: String
        let epoch, beginLsn: UInt64
        let decision: String
        let decisionLsn: UInt64?
        let parkedLsns: [UInt64]
        /// The codes that count when the plan is applied.
        let findings: [String: String]
        let network: NetworkState
        /// What the network said, where it was asked for evidence.
        let networkStatus: String?
        let fingerprint: String
    }

    struct Reversal: Codable, Equatable {
        let txnId, amount, currency: String
        let refusals: Int
        let isParked: Bool
        let action: String
        let createdAt: String
        let isHeld: Bool
        let fingerprint: String
    }

    struct Prepared: Codable, Equatable {
        let gid, database, owner, preparedAt, verdict: String
        let seenFrom, code: String
        /// Of a branch that is prepared again: its transaction, and where its BEGIN and its decision stand.
        let txnId: String?
        let beginLsn: UInt64?
        let decision: String?
        let decisionLsn: UInt64?
        let fingerprint: String
    }

    struct Adoption: Codable, Equatable {
        let txnId: String
        let epoch: UInt64
        let amount: String
        /// What was found where: `prepared` or `committed`.
        let databases: [String: String]
        /// What the network said; `nil` where it was not asked.
        let networkStatus: String?
        let verdict, evidence, action: String
        let fingerprint: String
    }

    struct Refusal: Codable, Equatable {
        /// The txn_id or, of a prepared branch, its name.
        let entry: String
        let why: String
    }

    init(_ plan: RecoveryPlan, now: WallTime) {
        kind = Self.kind
        version = Self.currentVersion
        let log = plan.log.description
        logId = log
        madeAt = Timestamp.text(microseconds: now.microseconds)
        transactions = plan.transactions.map { Transaction($0, in: plan) }
        reversals =
            plan.reversals.map { Reversal($0, isHeld: false, log: log) }
            + plan.heldReversals.map { Reversal($0, isHeld: true, log: log) }
        prepared = plan.strays.map { Prepared($0, log: log) }
        lost = plan.continuity.isBroken ? plan.adoptions.map { Adoption($0, log: log) } : nil
        unreachable = Dictionary(uniqueKeysWithValues: plan.unreachable.map { ($0.key.description, $0.value) })
        hasWork = plan.hasWork
        hasRemainder = plan.hasRemainder
    }

    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self).printableJSON
        }
    }

    init(json: Data) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(Self.self, from: json)
    }
}

/// What an entry was judged from, in a fixed order: compared piece by piece when the plan is applied.
typealias PlanBasis = [(name: String, value: String)]

extension PlanDocument.Transaction {
    init(_ verdict: TransactionVerdict, in plan: RecoveryPlan) {
        let active = verdict.transaction
        let begin = active.begin
        txnId = active.transaction.description
        requestId = begin.record.intent.requestID.text
        begunAt = Timestamp.text(microseconds: begin.writtenAt.microseconds)
        amount = begin.record.intent.amount.decimalText
        currency = begin.record.intent.amount.currency.code
        logState = active.stateName
        databases = Dictionary(
            verdict.findings.map { ($0.branch.participant.description, $0.state.words) },
            uniquingKeysWith: { first, _ in first })
        self.verdict = verdict.verdict.code
        evidence = verdict.evidence
        action = verdict.action
        epoch = begin.record.epoch.rawValue
        beginLsn = begin.lsn.rawValue
        decision = active.decisionCode
        decisionLsn = active.decisionLSN?.rawValue
        parkedLsns = active.parkedLSNs.map(\.rawValue)
        findings = Dictionary(
            verdict.findings.map { ($0.branch.participant.description, $0.state.code) },
            uniquingKeysWith: { first, _ in first })
        network = NetworkState(active, in: plan)
        networkStatus = verdict.status?.code
        fingerprint = Fingerprint.text(
            of: Self.basis(
                log: plan.log.description, txnId: txnId, epoch: epoch, beginLsn: beginLsn, decision: decision,
                decisionLsn: decisionLsn, parkedLsns: parkedLsns, findings: findings, network: network,
                networkStatus: networkStatus, verdict: self.verdict))
    }

    func basis(log: String) -> PlanBasis {
        Self.basis(
            log: log, txnId: txnId, epoch: epoch, beginLsn: beginLsn, decision: decision, decisionLsn: decisionLsn,
            parkedLsns: parkedLsns, findings: findings, network: network, networkStatus: networkStatus,
            verdict: verdict)
    }

    private static func basis(
        log: String, txnId: String, epoch: UInt64, beginLsn: UInt64, decision: String, decisionLsn: UInt64?,
        parkedLsns: [UInt64], findings: [String: String], network: NetworkState,
        networkStatus: String?, verdict: String
    ) -> PlanBasis {
        [
            ("log", log), ("transaction", txnId), ("epoch", "\(epoch)"), ("BEGIN", "record \(beginLsn)"),
            ("the decision", decision), ("the decision's place", Self.place(decisionLsn)),
            ("its parking", parkedLsns.map { "record \($0)" }.joined(separator: ", ")),
        ]
            + findings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            + [("the network", network.rawValue)] + PlanDocument.word(ofNetwork: networkStatus)
            + [("the verdict", verdict)]
    }

    fileprivate static func place(_ lsn: UInt64?) -> String { lsn.map { "record \($0)" } ?? "nowhere" }
}

extension PlanDocument.Reversal {
    init(_ task: ReversalTask, isHeld: Bool, log: String) {
        txnId = task.transaction.description
        amount = task.intent.amount.decimalText
        currency = task.intent.amount.currency.code
        refusals = task.refusals
        isParked = task.parkedReason != nil
        action = isHeld ? RecoveryPlan.heldWords : task.words
        createdAt = Timestamp.text(microseconds: task.createdAt.microseconds)
        self.isHeld = isHeld
        fingerprint = Fingerprint.text(
            of: Self.basis(
                log: log, txnId: txnId, createdAt: createdAt, refusals: refusals, isParked: isParked, isHeld: isHeld))
    }

    func basis(log: String) -> PlanBasis {
        Self.basis(
            log: log, txnId: txnId, createdAt: createdAt, refusals: refusals, isParked: isParked, isHeld: isHeld)
    }

    private static func basis(
        log: String, txnId: String, createdAt: String, refusals: Int, isParked: Bool, isHeld: Bool
    ) -> PlanBasis {
        [
            ("log", log), ("reversal", txnId), ("its abort", createdAt), ("refusals", "\(refusals)"),
            ("parked", "\(isParked)"), ("held back", "\(isHeld)"),
        ]
    }

    /// Whether carrying the plan out sends it.
    var isCarriedOut: Bool { !isParked && !isHeld }
}

extension PlanDocument.Prepared {
    init(_ stray: StrayVerdict, log: String) {
        gid = stray.prepared.gid
        database = stray.prepared.databaseName
        owner = stray.prepared.owner
        preparedAt = Timestamp.text(microseconds: stray.prepared.preparedAt.microseconds)
        verdict = stray.verdict.words
        code = stray.verdict.code
        seenFrom = stray.seenFrom.description
        switch stray.verdict {
        case .preparedAgain(let ended):
            txnId = ended.transaction.description
            beginLsn = ended.begin.lsn.rawValue
            decision = ended.decisionCode
            decisionLsn = ended.decisionLSN?.rawValue
        case .foreign, .orphan:
            txnId = GlobalBranchID(gid)?.transaction.description
            beginLsn = nil
            decision = nil
            decisionLsn = nil
        }
        fingerprint = Fingerprint.text(
            of: Self.basis(
                log: log, gid: gid, seenFrom: seenFrom, code: code, preparedAt: preparedAt, decision: decision,
                beginLsn: beginLsn, decisionLsn: decisionLsn))
    }

    func basis(log: String) -> PlanBasis {
        Self.basis(
            log: log, gid: gid, seenFrom: seenFrom, code: code, preparedAt: preparedAt, decision: decision,
            beginLsn: beginLsn, decisionLsn: decisionLsn)
    }

    private static func basis(
        log: String, gid: String, seenFrom: String, code: String, preparedAt: String, decision: String?,
        beginLsn: UInt64?, decisionLsn: UInt64?
    ) -> PlanBasis {
        [
            ("log", log), ("branch", gid), ("seen from", seenFrom), ("prepared", preparedAt), ("the verdict", code),
            ("BEGIN", PlanDocument.Transaction.place(beginLsn)), ("the decision", decision ?? ""),
            ("the decision's place", PlanDocument.Transaction.place(decisionLsn)),
        ]
    }

    /// Whether carrying the plan out does something about it.
    var isCarriedOut: Bool { code == StrayVerdict.preparedAgainCode }
}

extension StrayVerdict {
    static let preparedAgainCode = "prepared_again"
}

/// A short name of what an entry was judged from: FNV-1a, 64 bits, over its pieces. It finds entries that were edited by mistake; it is no
/// protection against somebody who wants to deceive, who could as well give the orders.
enum Fingerprint {
    static func text(of basis: PlanBasis) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in basis.map({ "\($0.name)=\($0.value)" }).joined(separator: "\u{1F}").utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
