public import Coordinator

/// A log whose whole history can be gone through for the transactions that have ended in it.
public protocol EndedHistory: Sendable {
    /// A consistent picture of everything unfinished.
    func snapshot() throws -> LogSnapshot

    /// Begins to go through the history from `first` up to `end`, which is not looked at itself. What began before `first` is not told.
    func scanEnded(from first: LSN, upTo end: LSN) throws -> EndedScan

    /// The transactions that ended in the next stretch of the history, with their proofs; `nil` at its end. Records that cannot be read
    /// are passed over.
    func nextEnded(_ scan: inout EndedScan) throws -> [ActiveTransaction]?
}

/// Goes through the history for the transactions that have ended in it, a stretch at a time.
///
/// It holds the transactions that were unfinished at its place, and those that were ever reopened: not the history. What began before
/// the retention has no BEGIN any more and is not told.
public struct EndedScan: Sendable {
    private var next: LSN?
    private let end: LSN
    /// Told only at the end of the scan, as their last END left them: what an operator has settled since the first one counts.
    private var reopened: [TransactionID: ActiveTransaction?]
    private var unfinished: [TransactionID: ActiveTransaction] = [:]
    private var isOver = false

    /// - Parameter read: a stretch of the history from the given place on, all of it or the records of some kinds alone.
    init(
        from first: LSN, upTo end: LSN, _ read: (LSN, Set<ValueKind>?) throws(LogError) -> RecordBatch
    ) throws(LogError) {
        self.end = end
        var reopened: [TransactionID: ActiveTransaction?] = [:]
        var next: LSN? = first
        while let first = next, first < end {
            let batch = try read(first, [.reopened])
            for case (_, _, .reopened(let record)) in batch.records {
                reopened.updateValue(nil, forKey: record.transaction)
            }
            next = batch.next
        }
        self.reopened = reopened
        self.next = first
    }

    mutating func advance(
        _ read: (LSN, Set<ValueKind>?) throws(LogError) -> RecordBatch
    ) throws(LogError) -> [ActiveTransaction]? {
        guard let first = next, first < end else {
            guard !isOver else { return nil }
            isOver = true
            return reopened.values.compactMap { $0 }
        }
        let batch = try read(first, nil)
        next = batch.next
        return batch.records.compactMap { $0.lsn < end ? take($0) : nil }
    }

    /// - Returns: the transaction if this record ended it.
    private mutating func take(_ logged: LoggedRecord) -> ActiveTransaction? {
        guard let id = logged.record.transaction else { return nil }
        if case .begin(let begin) = logged.record { return open(begin, logged) }
        if case .adopted(let adoption) = logged.record { return open(adoption.begin, logged) }
        if case .reopened(let record) = logged.record {
            // From here on it is unfinished again.
            if let ended = reopened[id] ?? nil { unfinished[id] = ended.reopened(record, parking: nil) }
            reopened.updateValue(nil, forKey: id)
        }
        guard var state = unfinished[id] else { return nil }
        guard state.take(logged) else {
            unfinished[id] = state
            return nil
        }
        unfinished[id] = nil
        guard state.decision != .undecided else { return nil }
        if reopened.keys.contains(id) {
            reopened.updateValue(state, forKey: id)
            return nil
        }
        return state
    }

    private mutating func open(_ begin: BeginRecord, _ logged: LoggedRecord) -> ActiveTransaction? {
        unfinished[begin.transaction] = ActiveTransaction(
            begin: Durable(attestedByLog: begin, lsn: logged.lsn, writtenAt: logged.writtenAt), decision: .undecided,
            acknowledged: [:])
        return nil
    }
}

extension ActiveTransaction {
    /// Takes the transaction's next record.
    ///
    /// - Returns: whether it ended it; every participant without a proof of its own then counts as proven, as END says.
    fileprivate mutating func take(_ logged: LoggedRecord) -> Bool {
        let (lsn, writtenAt, record) = logged
        switch record {
        case .commit(let record):
            decision = .commit(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt))
        case .abort(let record):
            decision = .abort(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt))
        case .acknowledged(let record): acknowledged[record.participant] = record.proof
        case .parked(let record): park(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt))
        case .reopened(let record) where record.isParked:
            let parked = ParkedRecord(
                transaction: record.transaction, participant: .database(record.database), evidence: record.evidence)
            park(Durable(attestedByLog: parked, lsn: lsn, writtenAt: writtenAt))
        case .resolved(let order): resolve(order, at: writtenAt)
        case .end:
            for branch in begin.record.branches where acknowledged[branch.participant] == nil {
                acknowledged[branch.participant] = .acknowledgement
            }
            parkings = []
            return true
        case .serverStarted, .begin, .adopted, .reopened, .reversalRefused, .reversalClosed, .reversalParked,
            .resolutionProposed, .reversalReleased, .quarantineReleased, .broken, .reconciled:
            break
        }
        return false
    }

    /// The log took this order, so it is allowed whatever the log's continuity is by now. The record of a new decision follows.
    private mutating func resolve(_ order: ResolutionRecord, at time: WallTime) {
        let isAllowed = LogContinuity.broken(LogBreak(cause: .lost, firstLostEpoch: begin.record.epoch, at: time))
        guard let resolving = try? resolving(order, now: time, continuity: isAllowed) else { return }
        self = resolved(resolving, decision: decision)
    }
}

extension LMDBLog: EndedHistory {
    public func scanEnded(from first: LSN, upTo end: LSN) throws -> EndedScan {
        try EndedScan(from: first, upTo: end, stretch)
    }

    public func nextEnded(_ scan: inout EndedScan) throws -> [ActiveTransaction]? { try scan.advance(stretch) }

    private func stretch(_ first: LSN, of kinds: Set<ValueKind>?) throws(LogError) -> RecordBatch {
        try read { store, reading throws(LogError) in
            try store.readRecords(from: first, limit: LogLimits.scanBatchRecords, of: kinds, in: reading)
        }
    }
}

extension LogReader: EndedHistory {
    public func scanEnded(from first: LSN, upTo end: LSN) throws -> EndedScan {
        try EndedScan(from: first, upTo: end, stretch)
    }

    public func nextEnded(_ scan: inout EndedScan) throws -> [ActiveTransaction]? { try scan.advance(stretch) }

    private func stretch(_ first: LSN, of kinds: Set<ValueKind>?) throws(LogError) -> RecordBatch {
        try read { store, reading throws(LogError) in
            try store.readRecords(from: first, limit: LogLimits.scanBatchRecords, of: kinds, in: reading)
        }
    }
}
