/// What a client is told of its payment.
public enum Answer: Sendable, Hashable {
    /// Decided in the log and committed in the payment's first database: true whatever crashes next.
    case approved(TransactionID)
    /// Not made, and never will be under this request_id.
    case declined(DeclineReason, TransactionID)
    /// This attempt did nothing and claimed nothing.
    case refused(DeclineReason)
    /// Open: ask again with the same request_id.
    case pending(TransactionID)
    /// The same payment was made by another transaction; its outcome is the answer.
    case madeBy(TransactionID)
}

extension LogRefusal {
    /// What a client is told when its payment could not begin.
    var answerToBegin: Answer {
        switch self {
        case .requestClaimed(let entry): .pending(entry.transaction)
        case .full: .refused(.serverBusy)
        case .alreadyDecided, .notActive, .noReversal, .notResolvable, .alreadyActive, .notInQuarantine:
            .refused(.transactionInitFailed)
        }
    }
}
