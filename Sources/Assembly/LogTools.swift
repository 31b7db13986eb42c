public import Coordinator
public import Runtime
import WAL

/// A log opened for the tools that look at it as a log: beside a running server or without one, changing nothing.
public struct LogTools: Sendable {
    private let reader: LogReader

    /// - Throws: ``StartRefusal``.
    public init(stateDirectory: String) throws {
        try LogAccess.check(stateDirectory)
        do {
            reader = try LogReader(path: stateDirectory)
        } catch {
            throw StartRefusal(error)
        }
    }

    // MARK: Verifying

    /// What a look through the whole log found.
    public struct Verification: Sendable {
        /// A value that cannot be read, is missing, or contradicts another one.
        public struct Finding: Sendable {
            /// The named database that it is in.
            public let database: String
            /// Its key, hexadecimal.
            public let key: String
            /// Its place in the history, if it is a record.
            public let lsn: LSN?
            /// Whose it is, as far as that can be told.
            public let transaction: TransactionID?
            /// Its number in the quarantine, if it was set aside.
            public let quarantineNumber: UInt64?
            /// What is wrong with it.
            public let reason: String
        }

        public let records: Int
        public let firstLSN: LSN?
        public let lastLSN: LSN?
        public let active: Int
        public let requests: Int
        public let reversals: Int
        public let quarantined: Int
        /// Pages of the file that hold something.
        public let pages: Int
        /// How much is wrong; ``findings`` may list less.
        public let findingCount: Int
        public let findings: [Finding]
    }

    /// Reads and checks every value of the log.
    public func verify() throws -> Verification {
        let found = try refusing { try reader.verify() }
        return Verification(
            records: found.records, firstLSN: found.firstLSN, lastLSN: found.lastLSN, active: found.active,
            requests: found.requests, reversals: found.reversals, quarantined: found.quarantined, pages: found.pages,
            findingCount: found.findingCount,
            findings: found.findings.map {
                Verification.Finding(
                    database: $0.database, key: $0.key, lsn: $0.lsn, transaction: $0.transaction,
                    quarantineNumber: $0.quarantineNumber, reason: $0.reason)
            })
    }

    // MARK: The history

    /// A stretch of the history.
    public struct Stretch: Sendable {
        public enum Entry: Sendable {
            case record(LogRecord, lsn: LSN, writtenAt: WallTime)
            /// `lsn` is `nil` if the key is none; the key is hexadecimal.
            case unreadable(lsn: LSN?, key: String, reason: String)
        }

        public let entries: [Entry]
        /// Where to go on.
        public let next: LSN
        /// Whether this was the end of the history when it was read.
        public let isAtEnd: Bool
    }

    /// The next records from `first` on; a bounded number, so that no picture of the log is held for long.
    ///
    /// - Parameter transaction: where given, the records of others are passed over.
    public func stretch(from first: LSN, only transaction: TransactionID?) throws -> Stretch {
        let stretch = try refusing { try reader.stretch(from: first, only: transaction) }
        return Stretch(
            entries: stretch.entries.map { entry in
                switch entry {
                case .record(let record):
                    .record(record.record, lsn: record.lsn, writtenAt: record.writtenAt)
                case .unreadable(let place):
                    .unreadable(lsn: place.lsn, key: hexadecimal(place.key), reason: place.reason)
                }
            },
            next: stretch.next, isAtEnd: stretch.isAtEnd)
    }

    /// How much the log holds.
    public struct Summary: Sendable {
        public let log: LogID
        public let epoch: Epoch
        public let active: Int
        public let requests: Int
        public let reversals: Int
        public let quarantined: Int
        /// Bytes of the file that hold something, and that it has in all.
        public let usedBytes: Int
        public let fileBytes: Int
    }

    /// How much the log holds now.
    public func summary() throws -> Summary {
        let found = try refusing { try reader.summary() }
        return Summary(
            log: found.log, epoch: found.owner.epoch, active: found.active, requests: found.requests,
            reversals: found.reversals, quarantined: found.quarantined, usedBytes: found.usedBytes,
            fileBytes: found.fileBytes)
    }

    // MARK: The quarantine

    /// A value that was set aside, as it was found.
    public struct SetAside: Sendable {
        /// Its number in the quarantine.
        public let number: UInt64
        /// The named database that it was in.
        public let database: String
        /// Hexadecimal.
        public let key: String
        public let lsn: LSN?
        public let transaction: TransactionID?
        public let foundAt: WallTime
        public let reason: String
        public let bytes: [UInt8]
    }

    /// What was set aside, oldest first.
    public func quarantine() throws -> [SetAside] {
        try refusing { try reader.quarantine() }.map {
            SetAside(
                number: $0.number, database: $0.database, key: hexadecimal($0.key), lsn: $0.lsn,
                transaction: $0.transaction, foundAt: $0.foundAt, reason: $0.reason, bytes: $0.bytes)
        }
    }

    // MARK: Backups

    /// A backup that was written.
    public struct Backup: Sendable {
        public let file: String
        public let bytes: Int
        public let log: LogID
        /// The epoch of the last start before it.
        public let epoch: Epoch
        public let lastLSN: LSN?
    }

    /// Writes a compact and consistent copy of the log as of now into a directory that holds none.
    public func backUp(to directory: String, faults: FaultInjector) throws -> Backup {
        let report = try refusing {
            try reader.backUp(to: directory, now: SystemClock.wall(), probe: faults.logProbe)
        }
        return Backup(
            file: report.file, bytes: report.bytes, log: report.log, epoch: report.epoch, lastLSN: report.lastLSN)
    }

    private func refusing<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as LogError {
            throw StartRefusal(error)
        }
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
