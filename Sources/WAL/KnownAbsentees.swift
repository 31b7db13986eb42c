import Coordinator
import Synchronization

/// Transactions that are nowhere in the history, as a search through all of it has shown.
///
/// A prepared branch that nothing in the log explains is looked up at every pass of a running server; without this each pass would go
/// through the whole history. The only way into the history that is left to such a transaction is its adoption.
final class KnownAbsentees: Sendable {
    private struct State {
        var transactions: Set<TransactionID> = []
        var adoptions = 0
    }

    private let state = Mutex(State())

    /// Looks for `wanted` by `search`, less what is known to be absent.
    func find(
        _ wanted: Set<TransactionID>, by search: (Set<TransactionID>) throws(LogError) -> HistorySearch
    ) throws(LogError) -> [TransactionID: [LoggedRecord]] {
        let before = state.withLock { $0 }
        let rest = wanted.subtracting(before.transactions)
        let found = try search(rest).found
        state.withLock { state in
            // What was adopted meanwhile may have been looked for just before.
            guard state.adoptions == before.adoptions else { return }
            if state.transactions.count > LogLimits.absenteesMax { state.transactions = [] }
            state.transactions.formUnion(rest.subtracting(found.keys))
        }
        return found
    }

    /// To be called before the step is taken.
    func forget(_ transaction: TransactionID) {
        state.withLock { state in
            state.adoptions += 1
            state.transactions.remove(transaction)
        }
    }
}
