public import Coordinator

/// A value that was set aside, as it was found.
public struct QuarantineEntry: Sendable, Hashable {
    /// Its number in the quarantine, from 1 on.
    public let number: UInt64
    /// The named database that it was in.
    public let database: String
    public let key: [UInt8]
    public let bytes: [UInt8]
    public let reason: String
    public let foundAt: WallTime
    /// Its place in the history, if it was a record.
    public let lsn: LSN?
    /// Whose it was: by its key, or by the place in its bytes where it stands, which may be damaged too.
    public let transaction: TransactionID?
}

extension LogReader {
    /// What was set aside, oldest first.
    public func quarantine() throws(LogError) -> [QuarantineEntry] {
        try read { store, reading throws(LogError) in try store.readQuarantine(in: reading).entries }
    }
}

extension LogStore {
    func readQuarantine(
        in reading: Reading
    ) throws(LogError) -> (entries: [QuarantineEntry], damaged: [DamagedPlace]) {
        var damaged: [DamagedPlace] = []
        do throws(LMDBFailure) {
            let entries = try readAll(quarantine, in: reading, &damaged) { key, value throws(ValueFault) in
                guard let number = Keys.lsn(from: key)?.rawValue else { throw .misplaced }
                return entry(number, try MetaCodec.decodeQuarantined(value))
            }
            return (entries, damaged)
        } catch {
            throw LogError(error, doing: "cannot read the quarantine")
        }
    }

    private func entry(_ number: UInt64, _ value: QuarantinedValue) -> QuarantineEntry {
        var lsn: LSN?
        var transaction: TransactionID?
        if value.database == records.name {
            lsn = value.key.withUnsafeBytes { Keys.lsn(from: $0) }
            transaction = value.bytes.withUnsafeBytes { RecordCodec.transaction(in: $0) }
        } else if value.database == active.name || value.database == reversals.name {
            transaction = value.key.withUnsafeBytes { Keys.transaction(from: $0) }
        }
        return QuarantineEntry(
            number: number, database: value.database, key: value.key, bytes: value.bytes, reason: value.reason,
            foundAt: value.foundAt, lsn: lsn, transaction: transaction)
    }
}
