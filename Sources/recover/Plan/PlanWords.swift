import Coordinator

/// What the parts of a plan are called. The codes are for programs and never changed; the words are for people.
extension ActiveTransaction {
    /// The state as people know it.
    var stateName: String {
        if isParked { return "PARKED" }
        switch decision {
        case .undecided: return "PREPARING"
        case .commit: return "COMMITTING"
        case .abort: return "ABORTING"
        }
    }

    var decisionCode: String {
        switch decision {
        case .undecided: "undecided"
        case .commit: "commit"
        case .abort: "abort"
        }
    }

    /// Where the decision stands in the log.
    var decisionLSN: LSN? {
        switch decision {
        case .undecided: nil
        case .commit(let record): record.lsn
        case .abort(let record): record.lsn
        }
    }

    /// What it waits for an operator for; empty if it does not.
    var parkedLSNs: [LSN] { parkings.map(\.lsn) }
}

/// What the log knows of the network's part in a transaction. The network itself is not asked.
enum NetworkState: String, Codable, Sendable {
    /// It has no part in the operation.
    case none
    /// Undecided: it may have placed a hold.
    case mayHold = "may_hold"
    /// Decided to commit, the network has not said yes yet.
    case toConfirm = "to_confirm"
    case confirmed
    /// Decided to abort, and it was never asked or has refused.
    case nothingHeld = "nothing_held"
    /// Decided to abort, the reversal is not acknowledged.
    case reversalOpen = "reversal_open"
    case reversalParked = "reversal_parked"
    /// A database committed the payment all the same.
    case reversalHeld = "reversal_held"
    case reversed

    init(_ active: ActiveTransaction, in plan: RecoveryPlan) {
        guard active.begin.record.branches.contains(where: { $0.participant == .clearing }) else {
            self = .none
            return
        }
        switch active.decision {
        case .undecided: self = .mayHold
        case .commit: self = active.acknowledged[.clearing] == nil ? .toConfirm : .confirmed
        case .abort(let abort):
            let isTask = { (task: ReversalTask) in task.transaction == active.transaction }
            if let task = plan.reversals.first(where: isTask) {
                self = task.parkedReason == nil ? .reversalOpen : .reversalParked
            } else if plan.heldReversals.contains(where: isTask) {
                self = .reversalHeld
            } else {
                self = abort.record.reversal == nil ? .nothingHeld : .reversed
            }
        }
    }

    var words: String {
        switch self {
        case .none: "no part in it"
        case .mayHold: "may hold"
        case .toConfirm: "to be confirmed"
        case .confirmed: "confirmed"
        case .nothingHeld: "nothing held"
        case .reversalOpen: "to be reversed"
        case .reversalParked: "reversal parked"
        case .reversalHeld: "reversal held back"
        case .reversed: "reversed"
        }
    }
}

extension TransactionVerdict {
    /// Why, in one line.
    var evidence: String {
        let asked = status.map { "; the network says \($0)" } ?? ""
        if verdict == .parked { return parkingWords + asked }
        if verdict == .presumeAbort, !unasked.isEmpty {
            return "undecided, its server is gone, no row seen; \(unasked) could not be asked; "
                + "begun in epoch \(transaction.begin.record.epoch)" + asked
        }
        return switch transaction.decisionLSN {
        case nil: "\(verdict.words); begun in epoch \(transaction.begin.record.epoch)" + asked
        case let lsn?: "\(verdict.words), record \(lsn)" + asked
        }
    }

    /// What recovery does about it or, where that is for an operator, what to type.
    var action: String {
        switch verdict {
        case .parked:
            let order = "recover resolve \(transaction.transaction) --commit|--abort --reason TEXT --actor NAME"
            return hasOthersToFinish ? "finish the other participants; then \(order)" : order
        case .commit:
            let isCommitted = findings.allSatisfy { finding in
                switch finding.state {
                case .witnessed, .acknowledged(.acknowledgement), .acknowledged(.witness), .acknowledged(.accepted):
                    true
                case .prepared, .absent, .acknowledged(.absence), .acknowledged(.lost), .unknown: false
                }
            }
            let isToConfirm = transaction.openParticipants.contains(.clearing)
            return isCommitted && isToConfirm
                ? "confirm to the network" : isToConfirm ? verdict.action : "commit in the databases"
        case .inFlight, .presumeAbort, .parkContradiction, .parkRolledBack, .rollBack, .commitOnEvidence,
            .abortOnEvidence,
            .awaitEvidence:
            return verdict.action
        }
    }

    /// Where it was parked, and what was found there.
    private var parkingWords: String {
        transaction.parkings.map {
            "\(verdict.words), record \($0.lsn): \($0.record.participant): \($0.record.evidence)"
        }.joined(separator: "; ")
    }

    /// Databases with a part in it that could not be asked.
    private var unasked: String {
        findings.filter { if case .unknown = $0.state { true } else { false } }.map(\.branch.participant.description)
            .joined(separator: ", ")
    }

    /// Whether a decision is to be carried out in a database for which no operator is waited for; the network comes after them.
    private var hasOthersToFinish: Bool {
        guard transaction.decision != .undecided else { return false }
        return !Set(transaction.openParticipants).subtracting(transaction.parkedParticipants).subtracting([.clearing])
            .isEmpty
    }
}

extension TransactionVerdict.Verdict {
    /// For programs; never changed.
    var code: String {
        switch self {
        case .inFlight: "in_flight"
        case .presumeAbort: "presume_abort"
        case .parkContradiction: "park_contradiction"
        case .commit: "commit"
        case .parkRolledBack: "park_rolled_back"
        case .rollBack: "roll_back"
        case .commitOnEvidence: "commit_on_evidence"
        case .abortOnEvidence: "abort_on_evidence"
        case .awaitEvidence: "await_evidence"
        case .parked: "parked"
        }
    }

    /// Why.
    var words: String {
        switch self {
        case .inFlight: "undecided, and its server is running"
        case .presumeAbort: "undecided, its server is gone, no row is committed"
        case .parkContradiction: "not decided to commit, yet its row is committed"
        case .commit: "decided to commit"
        case .parkRolledBack: "decided to commit, yet neither prepared nor committed in a database"
        case .rollBack: "decided to abort"
        case .commitOnEvidence: "the log has lost its tail, and its row is committed"
        case .abortOnEvidence:
            "the log has lost its tail, no database has its row, and the network has not confirmed it"
        case .awaitEvidence: "the log has lost its tail, and a database or the network cannot tell yet"
        case .parked: "waits for an operator"
        }
    }

    /// What recovery does.
    var action: String {
        switch self {
        case .inFlight: "leave it to the server"
        case .presumeAbort: "write ABORT and its reversal, then roll back"
        case .parkContradiction: "park"
        case .commit: "commit in the databases, then confirm to the network"
        case .parkRolledBack: "commit what can be, park the rest"
        case .rollBack: "roll back"
        case .commitOnEvidence: "write COMMIT with the evidence, then commit and confirm"
        case .abortOnEvidence: "write ABORT with the evidence and its reversal, then roll back"
        case .awaitEvidence: "leave it until they can"
        case .parked: "finish the other participants"
        }
    }

    /// What carrying a plan out does something about.
    var isCarriedOut: Bool {
        switch self {
        case .presumeAbort, .parkContradiction, .commit, .parkRolledBack, .rollBack, .commitOnEvidence,
            .abortOnEvidence, .parked:
            true
        case .inFlight, .awaitEvidence: false
        }
    }

    var style: Style? {
        switch self {
        case .parkContradiction, .parkRolledBack, .parked: .red
        case .presumeAbort, .commit, .rollBack, .commitOnEvidence, .abortOnEvidence: .yellow
        case .inFlight, .awaitEvidence: .dim
        }
    }
}

extension TransactionVerdict.Finding {
    var words: String { "\(branch.participant) \(state.words)" }
}

extension TransactionVerdict.Finding.State {
    /// For programs; never changed.
    var code: String {
        switch self {
        case .prepared: "prepared"
        case .witnessed: "committed"
        case .absent(let mayStillAppear): mayStillAppear ? "absent_may_appear" : "absent"
        case .acknowledged(let proof):
            switch proof {
            case .acknowledgement: "done"
            case .witness: "done_row_seen"
            case .absence: "done_absence_seen"
            case .accepted: "done_accepted"
            case .lost: "lost"
            }
        case .unknown: "unknown"
        }
    }

    var words: String {
        switch self {
        case .prepared: "prepared"
        case .witnessed: "committed"
        case .absent(let mayStillAppear): mayStillAppear ? "absent, may still appear" : "absent"
        case .acknowledged(let proof):
            switch proof {
            case .acknowledgement: "done"
            case .witness: "done (row seen)"
            case .absence: "done (absence seen)"
            case .accepted: "taken as it is"
            case .lost: "had committed, lost it"
            }
        case .unknown(let why): "unknown (\(why))"
        }
    }
}

extension StrayVerdict.Verdict {
    /// For programs; never changed.
    var code: String {
        switch self {
        case .foreign: "foreign"
        case .orphan: "orphan"
        case .preparedAgain: "prepared_again"
        }
    }

    var words: String {
        switch self {
        case .foreign: "foreign: not touched"
        case .orphan: "orphan of this log: kept, resolved on an order only"
        case .preparedAgain: "ended before, prepared again: its decision is carried out again"
        }
    }
}

extension ReversalTask {
    var words: String { parkedReason.map { "parked: \($0)" } ?? "send until acknowledged" }
}

extension RecoveryPlan {
    /// Of ``heldReversals``.
    static let heldWords = "held: a database committed the payment"

    /// What carrying the plan out would do, counted.
    var workCount: Int {
        transactions.count { $0.verdict.isWork } + reversals.count { $0.parkedReason == nil }
            + strays.count { $0.isWork } + adoptions.count { $0.isWork }
    }

    /// Why the network did not answer where it was asked for evidence; `nil` if it did, or was not asked.
    var networkSilence: String? {
        for case .unreachable(let why)? in transactions.map(\.status) + adoptions.map(\.found.status) { return why }
        return nil
    }

    /// Whether something cannot be told yet, for want of evidence.
    var awaitsEvidence: Bool {
        transactions.contains { $0.verdict == .awaitEvidence } || adoptions.contains(where: \.isOpen)
    }

    /// Why a database is missing from the plan.
    func words(of participant: DatabaseIndex) -> String {
        "\(participant) could not be reached: \(unreachable[participant] ?? "")"
    }
}

extension StrayVerdict {
    var isWork: Bool {
        switch verdict {
        case .preparedAgain: true
        case .foreign, .orphan: false
        }
    }
}
