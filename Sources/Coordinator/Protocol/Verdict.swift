/// What an abort is called, and what it makes of the request_id.
enum Verdict {
    /// Another coordinator's outcome outweighs every failure of ours: a payment that was made elsewhere is never
    /// declined here.
    static func ofAbort(_ preparing: TransactionState.Preparing) -> (reason: DeclineReason, claim: ClaimDisposition) {
        let refusals = preparing.votes.values.compactMap(\.refusal)
        for case .madeBy(let other) in refusals { return (.idempotencyConflict, .madeBy(other)) }
        if refusals.contains(.contended) { return (.databaseError, .released) }
        if refusals.contains(.conflict) { return (.idempotencyConflict, .released) }
        switch preparing.votes[.clearing] {
        case .no(.declined): return (.clearingDeclined, .declined)
        case .no, .unknown: return (.clearingUnavailable, .declined)
        case .yes: return (.databaseError, .declined)
        case nil where preparing.outstanding.contains(.clearing): return (.clearingUnavailable, .declined)
        // Nobody was asked: the time was over when BEGIN had become durable.
        case nil where preparing.outstanding.isEmpty && preparing.votes.isEmpty:
            return (.transactionInitFailed, .declined)
        case nil: return (.databaseError, .declined)
        }
    }
}

extension Vote {
    var isYes: Bool {
        switch self {
        case .yes: true
        case .no, .unknown: false
        }
    }

    var isNo: Bool {
        switch self {
        case .no: true
        case .yes, .unknown: false
        }
    }

    fileprivate var refusal: Refusal? {
        if case .no(let refusal) = self { refusal } else { nil }
    }
}
