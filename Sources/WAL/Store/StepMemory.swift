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
        /// `nil` until the state is in its tree for the first time.
        var state: ActiveTransaction?
        var bytes: [UInt8] = []
        /// The entry of its request, as it was written last.
        var claim: [UInt8] = []
    }

    private var known: [TransactionID: Known] = [:]

    /// What `stored`, the value of the transaction in `active`, says; `nil` if it has to be decoded for that.
    func state(of transaction: TransactionID, storedAs stored: UnsafeRawBufferPointer) -> ActiveTransaction? {
        guard let known = known[transaction], Self.areSame(known.bytes, stored) else { return nil }
        return known.state
    }

    /// - Parameter stored: what the state was decoded from, or what it was encoded as.
    func note(_ state: ActiveTransaction, storedAs stored: UnsafeRawBufferPointer) {
        let known = place(of: state.transaction)
        known.state = state
        Self.copy(stored, to: &known.bytes)
    }

    /// Whether `stored`, the entry of a request, is one that was written for this transaction.
    func isClaim(of transaction: TransactionID, storedAs stored: UnsafeRawBufferPointer) -> Bool {
        guard let known = known[transaction] else { return false }
        return Self.areSame(known.claim, stored)
    }

    func noteClaim(of transaction: TransactionID, storedAs stored: UnsafeRawBufferPointer) {
        Self.copy(stored, to: &place(of: transaction).claim)
    }

    func forget(_ transaction: TransactionID) { known[transaction] = nil }

    private func place(of transaction: TransactionID) -> Known {
        if let known = known[transaction] { return known }
        if known.count >= LogLimits.decodedStatesMax { known.removeAll(keepingCapacity: true) }
        let fresh = Known()
        known[transaction] = fresh
        return fresh
    }

    private static func copy(_ stored: UnsafeRawBufferPointer, to kept: inout [UInt8]) {
        kept.removeAll(keepingCapacity: true)
        kept.append(contentsOf: stored)
    }

    private static func areSame(_ kept: [UInt8], _ stored: UnsafeRawBufferPointer) -> Bool {
        guard let start = stored.baseAddress, !kept.isEmpty, kept.count == stored.count else { return false }
        return kept.withUnsafeBytes { kept in
            guard let first = kept.baseAddress else { return false }
            return memcmp(first, start, stored.count) == 0
        }
    }
}
