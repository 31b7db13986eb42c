public import Coordinator
import Glibc
import Payments

/// What a look through a whole log found.
public struct LogVerification: Sendable {
    /// A value that cannot be read, or that contradicts another one.
    public struct Finding: Sendable, Hashable {
        /// The named database that it is in.
        public let database: String
        /// Its key, hexadecimal.
        public let key: String
        /// What is wrong with it.
        public let reason: String
    }

    public internal(set) var records = 0
    public internal(set) var active = 0
    public internal(set) var requests = 0
    public internal(set) var reversals = 0
    public internal(set) var fences = 0
    /// Values that were set aside before.
    public internal(set) var quarantined = 0
    /// The first ``LogLimits/damagedListedMax`` of what is wrong.
    public internal(set) var findings: [Finding] = []
    /// How much is wrong in all.
    public internal(set) var findingCount = 0

    public var isSound: Bool { findingCount == 0 }

    mutating func note(_ database: Database, _ key: [UInt8], _ reason: String) {
        findingCount += 1
        guard findings.count < LogLimits.damagedListedMax else { return }
        let hex = key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        findings.append(Finding(database: database.name, key: hex, reason: reason))
    }
}

/// A value that was set aside, as it was found.
public struct QuarantineEntry: Sendable, Hashable {
    /// The named database that it was in.
    public let database: String
    public let key: [UInt8]
    public let bytes: [UInt8]
    public let reason: String
    public let foundAt: WallTime
}

extension LogReader {
    /// Reads and checks every value, and whether states, claims and history agree. Changes nothing.
    public func verify() throws(LogError) -> LogVerification {
        var result = try read { store, reading throws(LogError) in try store.verifyUnfinished(in: reading) }
        var nextRecord: LSN? = LSN(rawValue: 1)
        while let first = nextRecord {
            let batch = try read { store, reading throws(LogError) in
                try store.readRecords(from: first, limit: LogLimits.scanBatchRecords, in: reading)
            }
            result.records += batch.records.count
            for place in batch.damaged { result.note(place.database, place.key, place.reason) }
            nextRecord = batch.next
        }
        var nextRequest: [UInt8]? = [0]
        while let first = nextRequest {
            nextRequest = try read { store, reading throws(LogError) in
                try store.verifyRequests(from: first, in: reading, &result)
            }
        }
        return result
    }

    /// What was set aside, oldest first.
    public func quarantine() throws(LogError) -> [QuarantineEntry] {
        try read { store, reading throws(LogError) in
            var unreadable: [DamagedPlace] = []
            do throws(LMDBFailure) {
                return try store.readAll(store.quarantine, in: reading, &unreadable) { _, value throws(ValueFault) in
                    let value = try MetaCodec.decodeQuarantined(value)
                    return QuarantineEntry(
                        database: value.database, key: value.key, bytes: value.bytes, reason: value.reason,
                        foundAt: value.foundAt)
                }
            } catch {
                throw LogError(error, doing: "cannot read the quarantine")
            }
        }
    }

    /// Writes a compact and consistent copy of the log as of now into `directory`, which is made if it is missing and
    /// must not hold a log. Complete or not there at all: it gets its name after it is synced.
    public func backUp(to directory: String) throws(LogError) {
        if mkdir(directory, LogLimits.directoryMode) != 0, errno != EEXIST {
            throw FileSystem.failure("cannot make the directory \(directory)", errno)
        }
        let target = directory + "/" + Environment.dataFileName
        guard !FileSystem.exists(target) else {
            throw LogError(.exists, "\(target) exists. Give the backup a directory of its own.")
        }
        let temporary = target + ".partial"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, LogLimits.fileMode)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot write \(temporary)", errno) }
        defer { close(descriptor) }
        try read { store, _ throws(LogError) in
            do throws(LMDBFailure) {
                try store.environment.copy(to: descriptor)
            } catch {
                throw LogError(error, doing: "cannot copy the log to \(temporary)")
            }
        }
        guard fsync(descriptor) == 0 else { throw FileSystem.failure("cannot sync \(temporary)", errno) }
        guard rename(temporary, target) == 0 else { throw FileSystem.failure("cannot name \(target)", errno) }
        try FileSystem.syncDirectory(directory)
        try FileSystem.syncDirectory(FileSystem.parent(of: directory))
    }
}

extension LogStore {
    fileprivate func verifyUnfinished(in reading: Reading) throws(LogError) -> LogVerification {
        var result = LogVerification()
        do {
            _ = try readLog(in: reading)
            _ = try readOwner(in: reading)
            let unfinished = try readUnfinished(in: reading)
            result.active = unfinished.active.count
            result.reversals = unfinished.reversals.count
            result.fences = unfinished.fences.count
            result.quarantined = try reading.entryCount(quarantine)
            for place in unfinished.damaged { result.note(place.database, place.key, place.reason) }
            for state in unfinished.active {
                let key = Keys.transaction(state.transaction)
                if try !isRecorded(.begin(state.begin.record), state.begin.lsn, in: reading) {
                    result.note(active, key, "its BEGIN is not in the history at \(state.begin.lsn)")
                }
                if let (record, lsn) = state.decision.logged, try !isRecorded(record, lsn, in: reading) {
                    result.note(active, key, "its decision is not in the history at \(lsn)")
                }
            }
        } catch {
            throw Self.readFailure(error)
        }
        return result
    }

    private func isRecorded(_ record: LogRecord, _ lsn: LSN, in reading: Reading) throws(LMDBFailure) -> Bool {
        guard let bytes = try reading.get(records, Keys.record(lsn)) else { return false }
        let found = (try? RecordCodec.decode(bytes, at: lsn))?.record
        if case .begin(let begin) = record, case .adopted(let adoption) = found { return adoption.begin == begin }
        return found == record
    }

    /// - Returns: where to go on; `nil` at the end.
    fileprivate func verifyRequests(
        from first: [UInt8], in reading: Reading, _ result: inout LogVerification
    ) throws(LogError) -> [UInt8]? {
        do {
            let cursor = try reading.cursor(requests)
            var entry = try cursor.seek(first)
            var seen = 0
            while let (key, value) = entry {
                guard seen < LogLimits.scanBatchRecords else { return Array(key) }
                seen += 1
                let found: RequestEntry
                do throws(ValueFault) {
                    guard let request = Keys.request(from: key) else { throw .misplaced }
                    found = try StateCodec.decodeRequest(value, of: request)
                } catch {
                    result.note(requests, Array(key), error.description)
                    entry = try cursor.next()
                    continue
                }
                result.requests += 1
                if found.status.isUnfinished, try !isActive(found.transaction, in: reading) {
                    result.note(requests, Array(key), "it is unfinished, its transaction is not active")
                }
                entry = try cursor.next()
            }
            return nil
        } catch {
            throw Self.readFailure(error)
        }
    }

    private func isActive(_ transaction: TransactionID, in reading: Reading) throws(LMDBFailure) -> Bool {
        try reading.get(active, Keys.transaction(transaction)) != nil
    }
}

extension ActiveTransaction.Decision {
    /// The record of the decision and its place; `nil` while there is none.
    fileprivate var logged: (LogRecord, LSN)? {
        switch self {
        case .undecided: nil
        case .commit(let commit): (.commit(commit.record), commit.lsn)
        case .abort(let abort): (.abort(abort.record), abort.lsn)
        }
    }
}

extension RequestEntry.Status {
    fileprivate var isUnfinished: Bool {
        switch self {
        case .preparing, .committing: true
        case .approved, .declined, .madeBy, .heuristic: false
        }
    }
}
