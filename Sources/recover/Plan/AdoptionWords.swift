import Coordinator

/// What was found of the lost tail of a log, in words and for programs.
extension AdoptionVerdict {
    /// For programs; never changed.
    var code: String {
        switch verdict {
        case .adopt(let record): Self.adoptingCodes[record.outcome == .committed ? 0 : 1]
        case .awaitEvidence: "await_evidence"
        case .contradiction: "contradiction"
        }
    }

    /// Of those that take it into the log: as committed, as aborted.
    static let adoptingCodes = ["adopt_commit", "adopt_abort"]

    /// Why.
    var evidence: String {
        switch verdict {
        case .adopt(let record): record.warrant.reason
        case .awaitEvidence(let why), .contradiction(let why): why
        }
    }

    /// What recovery does.
    var action: String {
        switch verdict {
        case .adopt(let record):
            record.outcome == .committed
                ? "take it into the log as committed, then commit and confirm"
                : "take it into the log as aborted, then roll back and reverse"
        case .awaitEvidence: "leave it until it can be told"
        case .contradiction: "keep it as it is: an operator has to look"
        }
    }

    var amount: String { found.row?.intent.amount.description ?? "unknown" }

    /// What each database shows.
    var states: [(database: String, state: String)] {
        found.prepared.union(found.witnessed).sorted().map {
            ($0.description, found.prepared.contains($0) ? "prepared" : "committed")
        }
    }

    var style: Style {
        switch verdict {
        case .adopt: .yellow
        case .awaitEvidence: .dim
        case .contradiction: .red
        }
    }
}

extension PlanDocument.Adoption {
    init(_ adoption: AdoptionVerdict, log: String) {
        txnId = adoption.found.transaction.description
        epoch = adoption.found.epoch.rawValue
        amount = adoption.amount
        databases = Dictionary(
            adoption.states.map { ($0.database, $0.state) }, uniquingKeysWith: { first, _ in first })
        networkStatus = adoption.found.status?.code
        verdict = adoption.code
        evidence = adoption.evidence
        action = adoption.action
        fingerprint = Fingerprint.text(
            of: Self.basis(log: log, txnId, epoch, databases, networkStatus, verdict))
    }

    func basis(log: String) -> PlanBasis { Self.basis(log: log, txnId, epoch, databases, networkStatus, verdict) }

    /// Whether carrying the plan out takes it into the log. By the code, which the fingerprint covers.
    var isCarriedOut: Bool { AdoptionVerdict.adoptingCodes.contains(verdict) }

    private static func basis(
        log: String, _ txnId: String, _ epoch: UInt64, _ databases: [String: String],
        _ networkStatus: String?, _ verdict: String
    ) -> PlanBasis {
        [("log", log), ("transaction", txnId), ("epoch", "\(epoch)")]
            + databases.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            + PlanDocument.word(ofNetwork: networkStatus) + [("the verdict", verdict)]
    }
}

extension PlanDocument {
    /// The network's word as a piece of what an entry was judged from; nothing where it was not asked.
    static func word(ofNetwork status: String?) -> PlanBasis { status.map { [("the network's word", $0)] } ?? [] }
}

extension ClearingStatus {
    /// For programs; never changed. Why it could not be asked is nothing that a judgement rests on.
    var code: String {
        switch self {
        case .held: "held"
        case .settled: "settled"
        case .released: "released"
        case .declined: "declined"
        case .tombstone: "tombstone"
        case .unknown: "unknown"
        case .unreachable: "unreachable"
        }
    }
}
