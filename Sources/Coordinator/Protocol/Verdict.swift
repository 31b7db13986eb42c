/// What an abort is called, and what it makes of the request_id.
enum Verdict {
    /// Another coordinator's outcome outweighs every failure of ours: a payment that was made elsewhere is never
    /// declined here.
    ///
    /// - Parameter prior: what the payment's database knows of the request_id, where it was asked.
    static func ofAbort(
        _ preparing: TransactionState.Preparing, _ prior: PriorPayment
    ) -> (reason: DeclineReason, claim: ClaimDisposition) {
        let refusals = preparing.votes.values.compactMap(\.refusal)
        for case .madeBy(let other) in refusals { return (.idempotencyConflict, .madeBy(other)) }
        if refusals.contains(.contended) { return (.databaseError, .released) }
        if refusals.contains(.conflict) { return (.idempotencyConflict, .released) }
        switch prior {
        case .none: return (reason(preparing), .declined)
        case .madeBy(let other): return (.idempotencyConflict, .madeBy(other))
        case .conflict: return (.idempotencyConflict, .released)
        // Declined for good is only what is known not to have been made.
        case .unknown: return (reason(preparing), .released)
        }
    }

    private static func reason(_ preparing: TransactionState.Preparing) -> DeclineReason {
        switch preparing.votes[.clearing] {
        case .no(.declined): .clearingDeclined
        case .no, .unknown: .clearingUnavailable
        case .yes: .databaseError
        case nil where preparing.outstanding.contains(.clearing): .clearingUnavailable
        // Nobody was asked: the time was over when BEGIN had become durable.
        case nil where preparing.outstanding.isEmpty && preparing.votes.isEmpty: .transactionInitFailed
        case nil: .databaseError
        }
    }
}

extension TransactionState.Preparing {
    /// Whether the payment's database has said, with its vote, if a payment with this request_id is committed or about to be: an insert
    /// that succeeded proves that there is none.
    var knowsPrior: Bool {
        guard let database = begin.record.paymentDatabase else { return false }
        switch votes[database] {
        case .yes, .no(.contended), .no(.madeBy), .no(.conflict): return true
        case .no(.declined), .no(.unavailable), .unknown, nil: return false
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
