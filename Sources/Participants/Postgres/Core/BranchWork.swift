import Coordinator
import Payments

/// A branch that this process was asked to prepare.
final class BranchWork {
    enum Phase {
        /// Nothing was sent: to ``waitingForConnection`` when a slot is free; or the vote is no.
        case waitingForSlot
        /// Nothing was sent: to ``running`` when a connection is free; or the vote is no.
        case waitingForConnection(PoolJob)
        /// Definitely not prepared, because the cluster had no slot left: to ``waitingForConnection`` when the timer fires.
        case waitingToRetry(EventLoop.Timer)
        /// The pipeline is with that backend: to any of those below; or the vote is no.
        case running(DatabaseLink, Backend)
        /// Definitely not prepared; the row that has the key is being read. The vote is no, or ``prepared``.
        case readingRow
        /// Voted yes.
        case prepared
        /// Voted unknown. The backend, until it is known to be gone, may still prepare the branch.
        case unclear(Backend?)
        /// The database did otherwise than decided: every question about the branch is answered by looking.
        case contradicted
    }

    let order: PrepareOrder
    let gid: String
    var phase = Phase.waitingForSlot
    var holdsSlot = false
    /// Attempts that found no slot in the cluster.
    var slotAttempts = 0
    /// Bounds the wait for a slot.
    var deadlineTimer: EventLoop.Timer?
    private var completion: (@Sendable (Vote) -> Void)?

    init(_ order: PrepareOrder, gid: String, completion: @escaping @Sendable (Vote) -> Void) {
        self.order = order
        self.gid = gid
        self.completion = completion
    }

    /// Whether nothing has been sent that could still prepare it.
    var isWaiting: Bool {
        switch phase {
        case .waitingForSlot, .waitingForConnection, .waitingToRetry: true
        case .running, .readingRow, .prepared, .unclear, .contradicted: false
        }
    }

    func vote(_ vote: Vote) {
        guard let completion else { preconditionFailure("a branch votes once") }
        self.completion = nil
        completion(vote)
    }
}
