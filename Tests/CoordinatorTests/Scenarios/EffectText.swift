import Coordinator

/// Effects in the words of the scenarios.
enum EffectText {
    static func line(_ effect: Effect) -> String {
        switch effect {
        case .append(let write, let urgency): "append \(name(write))\(detail(write)) \(urgency)"
        case .prepare(let order):
            "prepare \(order.branch.participant)"
                + (order.authorizationCode.isEmpty ? "" : " code=\(order.authorizationCode)")
        case .lookUp: "look up the request_id"
        case .resolve(let order, let isRepeat):
            "\(order.decision == .committed ? "commit" : "roll back") \(order.branch.participant)"
                + (isRepeat ? " (repeat)" : "")
        case .enqueueReversal: "enqueue the reversal"
        case .scheduleRetry(let subject, let wait): "retry \(name(subject)) after \(wait)"
        case .answer(let answer): "answer \(text(answer))"
        case .releaseClaim: "release the request_id"
        case .finished: "finished"
        }
    }

    /// The step's name, by which a scenario's events refer to it.
    static func name(_ write: LogWrite) -> String {
        switch write {
        case .begin: "BEGIN"
        case .commit: "COMMIT"
        case .abort: "ABORT"
        case .acknowledged(let record): "ACKNOWLEDGED \(record.participant)"
        case .end: "END"
        case .park(let record): "PARKED \(record.participant)"
        case .reversalRefused: "REVERSAL REFUSED"
        case .closeReversal: "REVERSAL CLOSED"
        case .parkReversal: "REVERSAL PARKED"
        case .fenceAttempted, .fenceConfirmed, .databaseSeen: "FENCE"
        case .resolve: "RESOLVED"
        case .adopt: "ADOPTED"
        case .reopen: "REOPENED"
        case .releaseReversal: "REVERSAL RELEASED"
        case .releaseQuarantined: "QUARANTINE RELEASED"
        case .reconcile: "RECONCILED"
        }
    }

    static func name(_ subject: RetrySubject) -> String {
        switch subject {
        case .participant(let participant): participant.description
        case .log(let write, _): name(write)
        }
    }

    private static func detail(_ write: LogWrite) -> String {
        switch write {
        case .commit(let record): record.authorizationCode.isEmpty ? "" : " code=\(record.authorizationCode)"
        case .abort(let record):
            " reason=\(record.reason.wireName) claim=\(text(record.claim)) "
                + (record.reversal == nil ? "without reversal" : "with reversal")
        case .acknowledged(let record): " by \(record.proof)"
        case .end(let record): " \(record.outcome)"
        case .begin, .park, .reversalRefused, .closeReversal, .parkReversal, .fenceAttempted, .fenceConfirmed,
            .databaseSeen, .resolve, .adopt, .reopen, .releaseReversal, .releaseQuarantined, .reconcile:
            ""
        }
    }

    private static func text(_ claim: ClaimDisposition) -> String {
        switch claim {
        case .declined: "declined"
        case .released: "released"
        case .madeBy(let other): "made-by-\(other.high)"
        }
    }

    private static func text(_ answer: Answer) -> String {
        switch answer {
        case .approved: "APPROVED"
        case .declined(let reason, _): "DECLINED \(reason.wireName)"
        case .refused(let reason): "DECLINED \(reason.wireName), nothing claimed"
        case .pending(let transaction): "PENDING of transaction \(transaction.high)"
        case .madeBy(let other): "the outcome of transaction \(other.high)"
        }
    }
}
