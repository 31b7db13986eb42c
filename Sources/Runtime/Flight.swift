import Coordinator
import NIOCore
import Payments

/// A transaction in the hands of this process, with those who wait for its outcome.
final class Flight: @unchecked Sendable {
    // @unchecked: it is touched on the coordinator's loop only; callbacks carry it back there.

    let intent: PaymentIntent
    var machine: TransactionMachine
    /// Known once the outcome is.
    var answer: Answer?
    /// Set when a participant did otherwise than decided.
    var isHeuristic = false
    var waiters: [Waiter] = []
    var deadline: Scheduled<Void>?
    let startedAt: MonotonicTime
    /// Taken up from the log: whoever asks now asks again, for the first one's connection died with its server.
    var isResumed = false
    /// Whether it takes one of the places in flight.
    var countsAsUndecided = true
    /// Called once, when the decision is durable.
    var whenDecided: (@Sendable () -> Void)?
    /// Whether its open reversal waits for its END: whoever committed it all the same is asked again first.
    var holdsReversal = false
    /// Counts the interventions: what an earlier machine had asked for is of no interest to a later one.
    var generation = 0
    /// Databases that have voted yes.
    var preparedDatabases = 0
    /// Database branches in all.
    let databaseBranches: Int
    /// The database of the payment's row.
    let firstDatabase: Participant?

    init(begin: BeginRecord, machine: TransactionMachine, startedAt: MonotonicTime) {
        intent = begin.intent
        databaseBranches = begin.branches.count { $0.participant != .clearing }
        firstDatabase = begin.branches.first { $0.role.contains(.payment) }?.participant
        self.machine = machine
        self.startedAt = startedAt
    }
}

/// Somebody who waits for an outcome, until a time.
struct Waiter {
    let number: UInt64
    let completion: @Sendable (Reply) -> Void
    let timeout: Scheduled<Void>
}
