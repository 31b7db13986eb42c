import Coordinator
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
    /// Whether it is to be aborted unless it is decided in time.
    var hasDeadline = false
    let startedAt: MonotonicTime
    /// Taken up from the log: whoever asks now asks again, for the first one's connection died with its server.
    var isResumed = false
    /// Whether it takes one of the places in flight.
    var countsAsUndecided = true
    /// Called once, when the decision is durable.
    var whenDecided: (@Sendable () -> Void)?
    /// What its open reversal waits for.
    var reversalHold = ReversalHold.nothing
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
        firstDatabase = begin.paymentDatabase
        self.machine = machine
        self.startedAt = startedAt
    }

    func isAwaited(by number: UInt64) -> Bool { waiters.contains { $0.number == number } }

    func removeWaiter(_ number: UInt64) -> Waiter? {
        guard let position = waiters.firstIndex(where: { $0.number == number }) else { return nil }
        return waiters.remove(at: position)
    }
}

/// What the open reversal of an aborted transaction waits for, before it is sent.
enum ReversalHold: Sendable {
    case nothing
    /// The payment's own database has to prove that it did not commit. An earlier process began the payment, and may have gone on
    /// elsewhere if this is a copy of its log: until its database is reached, and fenced, the payment may be made there.
    case untilPaymentDatabase
    /// Every database has to: an operator asks those again that committed all the same.
    case untilEnd
}

/// Somebody who waits for an outcome.
struct Waiter {
    let number: UInt64
    let completion: @Sendable (Reply) -> Void
}
