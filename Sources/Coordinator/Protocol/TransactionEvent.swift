/// What happens to a transaction: every event of its machine.
public enum TransactionEvent: Sendable, Hashable {
    /// ``TransactionMachine/start()``
    case started
    /// ``TransactionMachine/logged(_:_:)``
    case logged(LogWrite, LogReceipt)
    /// ``TransactionMachine/refused(_:urgency:_:)``
    case refused(LogWrite, LogUrgency, LogRefusal)
    /// ``TransactionMachine/voted(_:_:now:)``
    case voted(Participant, Vote, now: WallTime)
    /// ``TransactionMachine/lookedUp(_:now:)``
    case lookedUp(PriorPayment, now: WallTime)
    /// ``TransactionMachine/deadlinePassed(now:)``
    case deadlinePassed(now: WallTime)
    /// ``TransactionMachine/resolved(_:_:)``
    case resolved(Participant, Resolution)
    /// ``TransactionMachine/retryDue(_:)``
    case retryDue(RetrySubject)
    /// ``TransactionMachine/acknowledgementLost(by:)``
    case acknowledgementLost(Participant)

    /// For messages and for those who count what was tried.
    public var label: String {
        switch self {
        case .started: "started"
        case .logged(_, let receipt): "logged \(receipt.label)"
        case .refused(let write, _, let refusal): "\(write.label) refused, \(refusal.label)"
        case .voted(_, let vote, _): "voted \(vote.label)"
        case .lookedUp(let prior, _): "looked up \(prior.label)"
        case .deadlinePassed: "deadline passed"
        case .resolved(_, let resolution): "resolved \(resolution.label)"
        case .retryDue(.participant): "retry due of a participant"
        case .retryDue(.log): "retry due of the log"
        case .acknowledgementLost: "acknowledgement lost"
        }
    }
}

extension TransactionMachine {
    /// Takes an event, whichever it is.
    public mutating func take(_ event: TransactionEvent) -> [Effect] {
        switch event {
        case .started: start()
        case .logged(let write, let receipt): logged(write, receipt)
        case .refused(let write, let urgency, let refusal): refused(write, urgency: urgency, refusal)
        case .voted(let participant, let vote, let now): voted(participant, vote, now: now)
        case .lookedUp(let prior, let now): lookedUp(prior, now: now)
        case .deadlinePassed(let now): deadlinePassed(now: now)
        case .resolved(let participant, let resolution): resolved(participant, resolution)
        case .retryDue(let subject): retryDue(subject)
        case .acknowledgementLost(let participant): acknowledgementLost(by: participant)
        }
    }

    /// The name of its state, for messages and for those who count what was tried.
    public var stateName: String { state.name }
}

extension LogWrite {
    /// For messages and for those who count what was tried.
    public var label: String {
        switch self {
        case .begin: "BEGIN"
        case .commit: "COMMIT"
        case .abort(let record): record.reversal == nil ? "ABORT" : "ABORT with reversal"
        case .acknowledged: "acknowledgement"
        case .end: "END"
        case .park: "PARKED"
        case .reversalRefused: "reversal refused"
        case .closeReversal: "reversal closed"
        case .parkReversal: "reversal parked"
        case .fenceAttempted: "fence attempted"
        case .fenceConfirmed: "fence confirmed"
        case .databaseSeen: "database seen"
        case .resolve: "resolution"
        case .adopt: "adoption"
        case .reopen: "reopening"
        case .releaseReversal: "reversal released"
        case .releaseQuarantined: "release from quarantine"
        case .reconcile: "reconciliation"
        }
    }
}

extension LogReceipt {
    var label: String {
        switch self {
        case .begun: "begun"
        case .committing: "committing"
        case .aborting: "aborting"
        case .parked: "parked"
        case .resumed: "resumed"
        case .proposed: "proposed"
        case .noted: "noted"
        }
    }
}

extension LogRefusal {
    /// For messages and for those who count what was tried.
    public var label: String {
        switch self {
        case .requestClaimed: "request claimed"
        case .alreadyDecided: "already decided"
        case .notActive: "not active"
        case .noReversal: "no reversal"
        case .notResolvable: "not resolvable"
        case .alreadyActive: "already active"
        case .notInQuarantine: "not in quarantine"
        case .full: "full"
        }
    }
}

extension Vote {
    /// For messages and for those who count what was tried.
    public var label: String {
        switch self {
        case .yes: "yes"
        case .no(.declined): "no (declined)"
        case .no(.unavailable): "no (unavailable)"
        case .no(.contended): "no (contended)"
        case .no(.madeBy): "no (made by another)"
        case .no(.conflict): "no (conflict)"
        case .unknown: "unknown"
        }
    }
}

extension PriorPayment {
    /// For messages and for those who count what was tried.
    public var label: String {
        switch self {
        case .none: "nothing"
        case .madeBy: "made by another"
        case .conflict: "conflict"
        case .unknown: "unknown"
        }
    }
}

extension Resolution {
    /// For messages and for those who count what was tried.
    public var label: String {
        switch self {
        case .done: "done"
        case .heuristic: "heuristic"
        case .open: "open"
        }
    }
}
