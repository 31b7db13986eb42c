import Coordinator
import Glibc

/// What the writer keeps from step to step, to have less to do.
///
/// Nothing here is believed: a state counts only while the tree holds the very bytes that it was decoded from or written
/// as. So it is what decoding the tree would give, whatever became of the tree since: a commit that failed, a batch that was given up,
/// another value, damage.
final class StepMemory {
    /// Where a value is put together before it goes to its tree.
    var writer = ByteWriter(capacity: 1024)

    private final class Known {
        var state: ActiveTransaction
        var bytes: [UInt8]
        /// The entry of its request, as it was written last.
        var claim: [UInt8] = []

        init(_ state: ActiveTransaction, _ stored: UnsafeRawBufferPointer) {
            self.state = state
            bytes = Array(stored)
        }
    }

    private var known: [TransactionID: Known] = [:]

    /// What `stored`, the value of the transaction in `active`, says; `nil` if it has to be decoded for that.
    func state(of transaction: TransactionID, storedAs stored: UnsafeRawBufferPointer) -> ActiveTransaction? {
        guard let known = known[transaction], Self.areSame(known.bytes, stored) else { return nil }
        return known.state
    }

    /// - Parameter stored: what the state was decoded from, or what it was encoded as.
    func note(_ state: ActiveTransaction, storedAs stored: UnsafeRawBufferPointer) {
        if let known = known[state.transaction] {
            known.state = state
            known.bytes.removeAll(keepingCapacity: true)
            known.bytes.append(contentsOf: stored)
        } else {
            if known.count >= LogLimits.decodedStatesMax { known = [:] }
            known[state.transaction] = Known(state, stored)
        }
    }

    /// Whether `stored`, the entry of a request, is one that was written for this transaction.
    func isClaim(of transaction: TransactionID, storedAs stored: UnsafeRawBufferPointer) -> Bool {
        guard let known = known[transaction] else { return false }
        return Self.areSame(known.claim, stored)
    }

    func noteClaim(of transaction: TransactionID, storedAs stored: UnsafeRawBufferPointer) {
        known[transaction]?.claim = Array(stored)
    }

    func forget(_ transaction: TransactionID) { known[transaction] = nil }

    private static func areSame(_ kept: [UInt8], _ stored: UnsafeRawBufferPointer) -> Bool {
        guard let start = stored.baseAddress, !kept.isEmpty, kept.count == stored.count else { return false }
        return kept.withUnsafeBytes { kept in
            guard let first = kept.baseAddress else { return false }
            return memcmp(first, start, stored.count) == 0
        }
    }
}
