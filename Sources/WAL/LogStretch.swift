public import Coordinator

/// A stretch of the history for tools: what can be read, and what cannot.
public struct LogStretch: Sendable {
    public enum Entry: Sendable {
        case record(LoggedRecord)
        case unreadable(Unreadable)
    }

    /// A record that cannot be read.
    public struct Unreadable: Sendable, Hashable {
        /// `nil` if its key is no LSN.
        public let lsn: LSN?
        public let key: [UInt8]
        public let reason: String
    }

    /// In the order of their places.
    public let entries: [Entry]
    /// Where to go on.
    public let next: LSN
    /// Whether this was the end of the history when it was read.
    public let isAtEnd: Bool
}

/// How much a log holds.
public struct LogSummary: Sendable, Hashable {
    public let log: LogID
    public let owner: FencePair
    public let records: Int
    public let first: LSN?
    public let last: LSN?
    public let active: Int
    public let requests: Int
    public let reversals: Int
    public let quarantined: Int
    /// Bytes of the file that hold something, and that it has in all.
    public let usedBytes: Int
    public let fileBytes: Int
}

extension LogReader {
    /// The next records from `first` on, at most ``LogLimits/scanBatchRecords`` of the history looked at.
    ///
    /// - Parameter transaction: where given, records of other transactions are passed over undecoded.
    public func stretch(
        from first: LSN, only transaction: TransactionID? = nil
    ) throws(LogError) -> LogStretch {
        try read { store, reading throws(LogError) in
            let batch = try store.readRecords(
                from: first, limit: LogLimits.scanBatchRecords, only: transaction.map { [$0] }, in: reading)
            let last: LSN?
            do throws(LMDBFailure) {
                last = try store.lastRecord(in: reading)
            } catch {
                throw LogError(error, doing: "cannot read the log")
            }
            var entries: [(lsn: LSN?, entry: LogStretch.Entry)] = batch.records
                .filter { transaction == nil || $0.record.transaction == transaction }
                .map { ($0.lsn, .record($0)) }
            for place in batch.damaged {
                let lsn = place.key.withUnsafeBytes { Keys.lsn(from: $0) }
                entries.append(
                    (lsn, .unreadable(LogStretch.Unreadable(lsn: lsn, key: place.key, reason: place.reason))))
            }
            let end = (last ?? LSN(rawValue: 0)).next
            entries.sort { $0.lsn ?? end < $1.lsn ?? end }
            return LogStretch(
                entries: entries.map(\.entry), next: batch.next ?? max(first, end), isAtEnd: batch.next == nil)
        }
    }

    /// How much the log holds now. Decodes nothing, so values that cannot be read count as well.
    public func summary() throws(LogError) -> LogSummary {
        try read { store, reading throws(LogError) in
            do {
                return LogSummary(
                    log: try store.readLog(in: reading), owner: try store.readOwner(in: reading),
                    records: try reading.entryCount(store.records), first: try store.firstRecord(in: reading),
                    last: try store.lastRecord(in: reading), active: try reading.entryCount(store.active),
                    requests: try reading.entryCount(store.requests),
                    reversals: try reading.entryCount(store.reversals),
                    quarantined: try reading.entryCount(store.quarantine),
                    usedBytes: try store.bytesInUse(in: reading),
                    fileBytes: store.environment.fileBytesUsed)
            } catch {
                throw LogStore.readFailure(error)
            }
        }
    }
}

extension LogStore {
    func firstRecord(in reading: Reading) throws(LMDBFailure) -> LSN? {
        let cursor = try reading.cursor(records)
        return try cursor.seek([0]).flatMap { Keys.lsn(from: $0.key) }
    }

    func lastRecord(in reading: Reading) throws(LMDBFailure) -> LSN? {
        try reading.lastKey(records).flatMap { key in key.withUnsafeBytes { Keys.lsn(from: $0) } }
    }
}
