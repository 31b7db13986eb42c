public import Coordinator
import Payments

extension Submission {
    /// Whether it is the same request as that of an earlier payment with its request_id.
    func isRepeat(of first: PaymentIntent) -> Bool {
        switch intent {
        case .success(let intent): intent.isRepeat(of: first)
        // What is refused for its content was never begun, so it is not what was begun.
        case .failure: requestHash == first.requestHash
        }
    }
}

extension RequestEntry {
    /// What a repeat is told when no flight of this process stands for the request_id.
    var answer: Answer {
        switch status {
        case .approved: .approved(transaction)
        case .declined(let reason): .declined(reason, transaction)
        case .madeBy(let other): .madeBy(other)
        case .preparing, .committing, .heuristic: .pending(transaction)
        }
    }

    /// What a request with this request_id is told by somebody who can only read the log.
    public func reply(to submission: Submission) -> Reply {
        guard submission.isRepeat(of: intent) else { return Reply(.refused(.idempotencyConflict)) }
        return Reply(answer, isRepeat: true)
    }
}

extension PaymentStatus {
    /// What the log says when no flight of this process stands for the request_id.
    public init(_ entry: RequestEntry) {
        let state: State =
            switch entry.status {
            case .preparing, .committing: .pending
            case .approved, .madeBy: .approved
            case .declined: .declined
            case .heuristic: .heuristic
            }
        self.init(intent: entry.intent, transaction: entry.transaction, state: state)
    }
}
