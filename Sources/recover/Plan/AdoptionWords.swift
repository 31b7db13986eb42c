import Coordinator

/// What was found of the lost tail of a log, in words and for programs.
extension AdoptionVerdict {
    /// For programs; never changed.
    var code: String {
        switch verdict {
        case .adopt(let record): record.outcome == .committed ? "adopt_commit" : "adopt_abort"
        case .awaitEvidence: "await_evidence"
        case .contradiction: "contradiction"
        }
    }

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
        network = adoption.found.status.map { "\($0)" } ?? "not asked"
        verdict = adoption.code
        evidence = adoption.evidence
        action = adoption.action
        isCarriedOut = adoption.isWork
        fingerprint = Fingerprint.text(
            of: Self.basis(log: log, txnId, epoch, databases, network, verdict))
    }

    func basis(log: String) -> PlanBasis { Self.basis(log: log, txnId, epoch, databases, network, verdict) }

    private static func basis(
        log: String, _ txnId: String, _ epoch: UInt64, _ databases: [String: String], _ network: String,
        _ verdict: String
    ) -> PlanBasis {
        [("log", log), ("transaction", txnId), ("epoch", "\(epoch)")]
            + databases.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
            + [("the network", network), ("the verdict", verdict)]
    }
}
