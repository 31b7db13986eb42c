import Coordinator
import Glibc

/// An unfinished transaction as the writer keeps it. Steps change it in its place, so a state that is kept beyond the step is copied.
final class OpenTransaction {
    let transaction: TransactionID
    /// As the last step left it; or a batch that was given up, see ``isState(storedAs:)``.
    fileprivate(set) var state: ActiveTransaction
    /// What the state was decoded from or written as last; empty before it is written for the first time.
    private var bytes: [UInt8] = []
    /// How many of them, from the first, tell how the transaction began, frame included; 0 if that is not known.
    private var beginningBytes = 0
    /// The entry of its request, as it was written last.
    private var claim: [UInt8] = []
    /// The batch that made the state another than `bytes` say, or ended the transaction. 0 for none, and for one that has been written.
    fileprivate var changedIn: UInt64 = 0
    /// Of what that batch changed: whether the transaction has ended.
    fileprivate var isEnded = false

    fileprivate init(_ state: ActiveTransaction) {
        transaction = state.transaction
        self.state = state
    }

    var isUndecided: Bool {
        if case .undecided = state.decision { true } else { false }
    }

    /// Whether the state is what `stored`, the value of the transaction in `active`, says. Of what an earlier batch changed and did not
    /// write nobody knows, so it is not.
    func isState(storedAs stored: UnsafeRawBufferPointer) -> Bool {
        changedIn == 0 && Self.areSame(bytes, stored)
    }

    /// - Parameters:
    ///   - stored: what the state was decoded from, or what it was encoded as.
    ///   - beginningBytes: how many of them tell how the transaction began, if that is known.
    fileprivate func noteState(storedAs stored: UnsafeRawBufferPointer, beginningBytes: Int = 0) {
        (changedIn, isEnded) = (0, false)
        Self.copy(stored, to: &bytes)
        self.beginningBytes = beginningBytes
    }

    /// Another state, which may have begun otherwise.
    fileprivate func replace(by other: ActiveTransaction) {
        state = other
        beginningBytes = 0
    }

    /// - Returns: how many bytes of the value tell how the transaction began.
    fileprivate func encode(into writer: inout ByteWriter) -> Int {
        bytes.withUnsafeBytes { bytes in
            StateCodec.encode(
                state, into: &writer, beginningAs: UnsafeRawBufferPointer(rebasing: bytes[..<beginningBytes]))
        }
    }

    fileprivate func isClaim(storedAs stored: UnsafeRawBufferPointer) -> Bool { Self.areSame(claim, stored) }

    func noteClaim(storedAs stored: UnsafeRawBufferPointer) { Self.copy(stored, to: &claim) }

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

/// What the writer keeps from step to step, to have less to do.
///
/// Nothing here is believed: a state counts only while the tree holds the very bytes that it was decoded from or written
/// as, or while the batch that changed it lasts. So it is what decoding the tree would give, whatever became of the tree since: a commit
/// that failed, a batch that was given up, another value, damage.
final class StepMemory {
    /// Where a value is put together before it goes to its tree.
    var writer = ByteWriter(capacity: 1024)
    private var known: [TransactionID: OpenTransaction] = [:]
    /// The number of the present batch, from 1 on.
    private var batch: UInt64 = 1
    /// What the batch changed and is not written yet.
    private var changed: [OpenTransaction] = []

    /// The one batch from here on: whatever the one before left unwritten was given up.
    func beginBatch() {
        batch += 1
        changed.removeAll(keepingCapacity: true)
        if known.count >= LogLimits.decodedStatesMax { known.removeAll(keepingCapacity: true) }
    }

    /// What is known of a transaction.
    enum Finding {
        /// What this batch made of it.
        case changed(OpenTransaction)
        /// This batch has seen its end.
        case ended
        /// The tree tells. What is remembered of it, if anything, counts with ``OpenTransaction/isState(storedAs:)`` alone.
        case unchanged(OpenTransaction?)
    }

    func find(_ transaction: TransactionID) -> Finding {
        guard let open = known[transaction] else { return .unchanged(nil) }
        guard open.changedIn == batch else { return .unchanged(open) }
        return open.isEnded ? .ended : .changed(open)
    }

    /// Keeps a state that was decoded from `stored`.
    func note(_ state: ActiveTransaction, storedAs stored: UnsafeRawBufferPointer) -> OpenTransaction {
        let open = place(of: state)
        open.noteState(storedAs: stored)
        return open
    }

    /// The state of a transaction from this step on, whatever it was.
    @discardableResult
    func put(_ state: ActiveTransaction) -> OpenTransaction {
        let open = place(of: state)
        mark(open)
        open.isEnded = false
        return open
    }

    func change(_ open: OpenTransaction, _ change: (inout ActiveTransaction) -> Void) {
        change(&open.state)
        mark(open)
    }

    /// The transaction is no longer active.
    func end(_ open: OpenTransaction) {
        mark(open)
        open.isEnded = true
    }

    /// Goes through what the batch changed, in the order of the tree, so that neighbours are written one after the other; nothing is
    /// left then.
    ///
    /// - Parameters:
    ///   - put: gets the value of a transaction.
    ///   - delete: for a transaction that has ended.
    func writeChanges(
        put: (TransactionID, UnsafeRawBufferPointer) throws(LMDBFailure) -> Void,
        delete: (TransactionID) throws(LMDBFailure) -> Void
    ) throws(LMDBFailure) {
        guard !changed.isEmpty else { return }
        changed.sort { $0.transaction < $1.transaction }
        for open in changed {
            if open.isEnded {
                try delete(open.transaction)
                known[open.transaction] = nil
            } else {
                let beginningBytes = open.encode(into: &writer)
                try put(open.transaction, writer.written)
                open.noteState(storedAs: writer.written, beginningBytes: beginningBytes)
            }
        }
        changed.removeAll(keepingCapacity: true)
    }

    /// Whether `stored`, the entry of a request, is one that was written for this transaction.
    func isClaim(of transaction: TransactionID, storedAs stored: UnsafeRawBufferPointer) -> Bool {
        known[transaction]?.isClaim(storedAs: stored) ?? false
    }

    func noteClaim(of transaction: TransactionID, storedAs stored: UnsafeRawBufferPointer) {
        known[transaction]?.noteClaim(storedAs: stored)
    }

    private func place(of state: ActiveTransaction) -> OpenTransaction {
        if let open = known[state.transaction] {
            open.replace(by: state)
            return open
        }
        let fresh = OpenTransaction(state)
        known[state.transaction] = fresh
        return fresh
    }

    private func mark(_ open: OpenTransaction) {
        guard open.changedIn != batch else { return }
        open.changedIn = batch
        changed.append(open)
    }
}
