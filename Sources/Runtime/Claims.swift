import Coordinator
import Payments
import Synchronization

/// Which transaction of this process stands for a request_id. The coordinator's loop writes it, any thread may read it.
final class Claims: Sendable {
    private let transactions = Mutex<[RequestID: TransactionID]>([:])

    subscript(request: RequestID) -> TransactionID? {
        get { transactions.withLock { $0[request] } }
        set { transactions.withLock { $0[request] = newValue } }
    }
}
