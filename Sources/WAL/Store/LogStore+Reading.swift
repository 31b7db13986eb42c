public import Coordinator
import Payments

/// A record with its place in the history.
public typealias LoggedRecord = (lsn: LSN, writtenAt: WallTime, record: LogRecord)

/// A stretch of the history.
struct RecordBatch {
    var records: [LoggedRecord] = []
    var damaged: [DamagedPlace] = []
    /// Records looked at.
    var examined = 0
    /// Where to go on; `nil` at the end.
    var next: LSN?
}

/// What is unfinished.
struct Unfinished {
    var active: [ActiveTransaction] = []
    var reversals: [ReversalTask] = []
    var fences: [DatabaseFence] = []
    var damaged: [DamagedPlace] = []
}

/// What the log holds, as of a read transaction's moment. Damaged values are reported beside what can be read.
extension LogStore {
    /// Whether this program may read the log at all.
    func checkFormat(in reading: Reading) throws(LogError) {
        let version: UInt8
        do {
            guard let bytes = try reading.get(meta, Keys.format) else {
                throw LogError(
                    .notALog, "the file has no format marker: it is not a log of this program. Check the path.")
            }
            version = try MetaCodec.decodeFormat(bytes)
        } catch let error as LogError {
            throw error
        } catch ValueFault.newerVersion(let found) {
            throw Self.newerFormat(found)
        } catch ValueFault.olderVersion(let found) {
            throw Self.olderFormat(found)
        } catch let fault as ValueFault {
            throw LogError(.damaged, "the log's format marker is damaged: \(fault). Restore the log from a backup.")
        } catch {
            throw LogError(.storage, "cannot read the log's format marker: \(error). Check the disk.")
        }
        guard version <= LogFormat.current else { throw Self.newerFormat(version) }
        guard version >= LogFormat.oldestReadable else { throw Self.olderFormat(version) }
    }

    private static func newerFormat(_ found: UInt8) -> LogError {
        LogError(
            .newerFormat(found: found),
            "the log has format \(found), this program knows formats up to \(LogFormat.current). "
                + "Use the version that wrote it, or a later one.")
    }

    private static func olderFormat(_ found: UInt8) -> LogError {
        LogError(
            .olderFormat(found: found),
            "the log has format \(found), this program reads formats from \(LogFormat.oldestReadable). "
                + "Start each version in between once.")
    }

    func readSnapshot(in reading: Reading) throws(LogError) -> (LogSnapshot, [DamagedPlace]) {
        do {
            let unfinished = try readUnfinished(in: reading)
            let snapshot = LogSnapshot(
                log: try readLog(in: reading), owner: try readOwner(in: reading), nextLSN: try readNext(in: reading),
                active: unfinished.active, reversals: unfinished.reversals, fences: unfinished.fences,
                quarantined: try reading.entryCount(quarantine) + unfinished.damaged.count,
                continuity: try readContinuity(in: reading), wholeSince: try readWholeSince(in: reading),
                trimmedUntil: try readAge(in: reading).trimmedUntil)
            return (snapshot, unfinished.damaged)
        } catch {
            throw Self.readFailure(error)
        }
    }

    /// Everything that recovery starts from, and what of it cannot be read.
    func readUnfinished(in reading: Reading) throws(LMDBFailure) -> Unfinished {
        var found = Unfinished()
        found.active = try readAll(active, in: reading, &found.damaged) { key, value throws(ValueFault) in
            guard let id = Keys.transaction(from: key) else { throw .misplaced }
            return try StateCodec.decodeActive(value, of: id)
        }
        found.reversals = try readAll(reversals, in: reading, &found.damaged) { key, value throws(ValueFault) in
            guard let id = Keys.transaction(from: key) else { throw .misplaced }
            return try StateCodec.decodeReversal(value, of: id)
        }
        let fences = try readAll(meta, from: Keys.fencePrefix, in: reading, &found.damaged) {
            key, value throws(ValueFault) -> DatabaseFence? in
            // The database's other keys come after the fences in order too.
            guard let database = Keys.fence(from: key) else { return nil }
            return try MetaCodec.decodeFence(value, of: database)
        }
        found.fences = fences.compactMap { $0 }
        return found
    }

    func lookUp(_ request: RequestID, in reading: Reading) throws(LogError) -> RequestEntry? {
        do {
            guard let bytes = try reading.get(requests, RequestKey(request)) else { return nil }
            return try claim(bytes, of: request, in: reading)
        } catch let fault as ValueFault {
            throw LogError(
                .damaged,
                "the entry of request_id \(request) is damaged (\(fault)), so its outcome is not known from it. "
                    + "Look the payment up in the database and in the log's history.")
        } catch {
            throw Self.readFailure(error)
        }
    }

    /// What an entry says together with its transaction: a commit is told by `active` alone until the end.
    func claim(
        _ bytes: UnsafeRawBufferPointer, of request: RequestID, in reading: Reading
    ) throws(ValueFault) -> RequestEntry {
        let entry = try StateCodec.decodeRequest(bytes, of: request)
        guard entry.status == .preparing,
            let value = try? reading.get(active, TransactionKey(entry.transaction)),
            case .commit? = (try? StateCodec.decodeActive(value, of: entry.transaction))?.decision
        else { return entry }
        return RequestEntry(transaction: entry.transaction, intent: entry.intent, status: .committing)
    }

    /// - Parameters:
    ///   - transactions: where given, records of others are passed over undecoded.
    ///   - kinds: where given, records of other kinds are passed over undecoded.
    func readRecords(
        from first: LSN, limit: Int, only transactions: Set<TransactionID>? = nil, of kinds: Set<ValueKind>? = nil,
        in reading: Reading
    ) throws(LogError) -> RecordBatch {
        do {
            var batch = RecordBatch()
            let cursor = try reading.cursor(records)
            var entry = try cursor.seek(Keys.record(first))
            while let (key, value) = entry {
                guard let lsn = Keys.lsn(from: key) else {
                    batch.damaged.append(place(records, key, .misplaced))
                    entry = try cursor.next()
                    continue
                }
                guard batch.examined < limit else {
                    batch.next = lsn
                    break
                }
                batch.examined += 1
                if transactions.map({ RecordCodec.mayBelong(value, to: $0) }) ?? true,
                    kinds.map({ RecordCodec.mayBe(value, $0) }) ?? true
                {
                    do throws(ValueFault) {
                        let (record, writtenAt) = try RecordCodec.decode(value, at: lsn)
                        batch.records.append((lsn, writtenAt, record))
                    } catch {
                        batch.damaged.append(place(records, key, error))
                    }
                }
                entry = try cursor.next()
            }
            return batch
        } catch {
            throw Self.readFailure(error)
        }
    }

    /// Decodes every value whose key is not before `first`; those that cannot be are added to `damaged`.
    func readAll<Value>(
        _ database: Database, from first: [UInt8] = [0], in reading: Reading, _ damaged: inout [DamagedPlace],
        _ decode: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(ValueFault) -> Value
    ) throws(LMDBFailure) -> [Value] {
        var values: [Value] = []
        let cursor = try reading.cursor(database)
        var entry = try cursor.seek(first)
        while let (key, value) = entry {
            do throws(ValueFault) {
                values.append(try decode(key, value))
            } catch {
                damaged.append(place(database, key, error))
            }
            entry = try cursor.next()
        }
        return values
    }

    private func place(_ database: Database, _ key: UnsafeRawBufferPointer, _ fault: ValueFault) -> DamagedPlace {
        DamagedPlace(database: database, key: Array(key), reason: fault.description)
    }

    // MARK: meta. Without the log's identity and its owner nothing can be said, so these two must be readable.

    func readLog(in reading: Reading) throws -> LogID {
        guard let bytes = try reading.get(meta, Keys.log) else { throw Self.missing("identity") }
        return try MetaCodec.decodeLog(bytes)
    }

    func readOwner(in reading: Reading) throws -> FencePair {
        guard let bytes = try reading.get(meta, Keys.owner) else { throw Self.missing("owner") }
        return try MetaCodec.decodeOwner(bytes)
    }

    func readContinuity(in reading: Reading) throws -> LogContinuity {
        guard let bytes = try reading.get(meta, Keys.continuity) else { return .unbroken }
        return .broken(try MetaCodec.decodeBreak(bytes))
    }

    func readWholeSince(in reading: Reading) throws -> Epoch? {
        guard let bytes = try reading.get(meta, Keys.wholeSince) else { return nil }
        return try MetaCodec.decodeWholeSince(bytes)
    }

    /// One that cannot be read is begun anew: everything is then kept for the whole retention from now on.
    func readAge(in reading: Reading) throws(LMDBFailure) -> LogAge {
        guard let bytes = try reading.get(meta, Keys.age) else { return LogAge() }
        return (try? MetaCodec.decodeAge(bytes)) ?? LogAge()
    }

    /// When the newest record was written; `nil` if there is none or it cannot be read.
    func newestTime(in reading: Reading) throws(LMDBFailure) -> WallTime? {
        guard let key = try reading.lastKey(records), let lsn = key.withUnsafeBytes({ Keys.lsn(from: $0) }),
            let value = try reading.get(records, key), let head = try? RecordCodec.decodeHead(value, at: lsn)
        else { return nil }
        return head.writtenAt
    }

    /// The stored counter, or what follows from the history if that is more or the counter cannot be read. The newest
    /// record is never trimmed, so the history always tells.
    func readNext(in reading: Reading) throws(LMDBFailure) -> LSN {
        let newest = try reading.lastKey(records).flatMap { key in key.withUnsafeBytes { Keys.lsn(from: $0) } }
        let follows = (newest ?? LSN(rawValue: 0)).next
        guard let bytes = try reading.get(meta, Keys.nextLSN), let stored = try? MetaCodec.decodeNext(bytes)
        else { return follows }
        return max(stored, follows)
    }

    private static func missing(_ what: String) -> LogError {
        LogError(.damaged, "the log has no \(what). Keep a copy of it as it is, then restore the log from a backup.")
    }

    static func readFailure(_ error: any Error) -> LogError {
        switch error {
        case let error as LogError: error
        case let failure as LMDBFailure: LogError(failure, doing: "cannot read the log")
        case let fault as ValueFault:
            LogError(
                .damaged,
                "the log's identity or owner is damaged: \(fault). "
                    + "Keep a copy of it as it is, then restore the log from a backup."
            )
        default: LogError(.storage, "cannot read the log: \(error). Check the disk.")
        }
    }
}
