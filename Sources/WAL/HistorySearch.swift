import Coordinator

/// Somebody who can take pictures of the log.
protocol PictureSource {
    /// Runs `body` on a picture of now.
    func read<Result>(_ body: (LogStore, Reading) throws(LogError) -> Result) throws(LogError) -> Result
}

extension LMDBLog: PictureSource {}
extension LogReader: PictureSource {}

/// Finds the records of some transactions in a history of any length.
///
/// A transaction's id says when it was made, and its records were written then or later, so the search begins there instead of at the
/// beginning of the history: what it costs depends on what was written since. The times are no more than a hint. Clocks are set;
/// what has no beginning from there on is looked for in all that is before it, for all such transactions at once.
struct HistorySearch {
    /// By transaction, oldest first.
    private(set) var found: [TransactionID: [LoggedRecord]] = [:]
    /// Records that were looked at.
    private(set) var examined = 0

    /// - Parameter source: asked for a new picture every ``LogLimits/scanBatchRecords`` records.
    init(for wanted: Set<TransactionID>, in source: some PictureSource) throws(LogError) {
        guard let oldest = wanted.min() else { return }
        let time = WallTime(
            microseconds: Int64(oldest.high >> 16) * 1000 - LogLimits.searchMarginMilliseconds * 1000)
        let (first, hint) = try source.read { store, reading throws(LogError) in
            try store.place(of: time, in: reading)
        }
        guard let first else { return }
        let start = hint ?? first
        let later = try scan(wanted, from: start, before: nil, source)
        let missing = wanted.filter { !(later[$0] ?? []).contains { $0.record.isBeginning } }
        let earlier = missing.isEmpty || start == first ? [:] : try scan(missing, from: first, before: start, source)
        found = earlier.merging(later) { $0 + $1 }
    }

    private mutating func scan(
        _ wanted: Set<TransactionID>, from first: LSN, before end: LSN?, _ source: some PictureSource
    ) throws(LogError) -> [TransactionID: [LoggedRecord]] {
        var found: [TransactionID: [LoggedRecord]] = [:]
        var next: LSN? = first
        while let first = next, end.map({ first < $0 }) ?? true {
            let room = end.map { Int(clamping: $0.rawValue - first.rawValue) } ?? LogLimits.scanBatchRecords
            let limit = min(room, LogLimits.scanBatchRecords)
            let batch = try source.read { store, reading throws(LogError) in
                try store.readRecords(from: first, limit: limit, only: wanted, in: reading)
            }
            for logged in batch.records where end.map({ logged.lsn < $0 }) ?? true {
                if let id = logged.record.transaction, wanted.contains(id) { found[id, default: []].append(logged) }
            }
            examined += batch.examined
            next = batch.next
        }
        return found
    }
}

extension LogRecord {
    /// Whether a transaction's history begins with it.
    fileprivate var isBeginning: Bool {
        switch self {
        case .begin, .adopted: true
        case .serverStarted, .commit, .abort, .acknowledged, .end, .parked, .reversalRefused, .reversalClosed,
            .reversalParked, .resolutionProposed, .resolved, .reopened, .reversalReleased, .quarantineReleased, .broken,
            .reconciled:
            false
        }
    }
}

extension LogStore {
    /// The oldest record, and one that no record written at `time` or later comes before, if the clock was never set; the latter is
    /// `nil` if everything is older.
    ///
    /// By halving the range of places: about as many looks as the number of records has bits.
    fileprivate func place(of time: WallTime, in reading: Reading) throws(LogError) -> (first: LSN?, hint: LSN?) {
        do {
            let cursor = try reading.cursor(records)
            guard let oldest = try cursor.seek(Keys.record(LSN(rawValue: 0))), let first = Keys.lsn(from: oldest.key),
                let last = try reading.lastKey(records).flatMap({ key in key.withUnsafeBytes { Keys.lsn(from: $0) } })
            else { return (nil, nil) }
            var (low, high) = (first.rawValue, last.next.rawValue)
            while low < high {
                let middle = low + (high - low) / 2
                // What was trimmed leaves gaps: the record that is looked at may come later.
                let entry = try cursor.seek(Keys.record(LSN(rawValue: middle)))
                if let entry, let lsn = Keys.lsn(from: entry.key), isOlder(entry.value, at: lsn, than: time) {
                    low = lsn.next.rawValue
                } else {
                    high = middle
                }
            }
            return (first, low > last.rawValue ? nil : LSN(rawValue: low))
        } catch {
            throw Self.readFailure(error)
        }
    }

    /// One that cannot be read counts as newer: the search then begins too early, which costs only time.
    private func isOlder(_ value: UnsafeRawBufferPointer, at lsn: LSN, than time: WallTime) -> Bool {
        guard let head = try? RecordCodec.decodeHead(value, at: lsn) else { return false }
        return head.writtenAt < time
    }
}
