public import Coordinator

/// What a look through a whole log found.
public struct LogVerification: Sendable {
    /// A value that cannot be read, that is missing, or that contradicts another one.
    public struct Finding: Sendable, Hashable {
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

    /// Records in the history, those that cannot be read included.
    public internal(set) var records = 0
    public internal(set) var active = 0
    public internal(set) var requests = 0
    public internal(set) var reversals = 0
    public internal(set) var fences = 0
    /// Values that were set aside before. Each is a finding until it is released.
    public internal(set) var quarantined = 0
    /// Pages of the data file that hold something.
    public internal(set) var pages = 0
    /// The first and the last place in the history; `nil` if there is none.
    public internal(set) var firstLSN: LSN?
    public internal(set) var lastLSN: LSN?
    /// The first ``LogLimits/damagedListedMax`` of what is wrong.
    public internal(set) var findings: [Finding] = []
    /// How much is wrong in all.
    public internal(set) var findingCount = 0

    public var isSound: Bool { findingCount == 0 }

    init() {}

    /// Of a file whose pages are bad, so that nothing else can be said.
    init(_ check: PageCheck) {
        pages = check.pages
        for fault in check.faults {
            note("page \(fault.page)", withUnsafeBytes(of: fault.page.bigEndian, Array.init), fault.reason)
        }
    }

    mutating func note(
        _ database: Database, _ key: [UInt8], _ reason: String, lsn: LSN? = nil, transaction: TransactionID? = nil
    ) {
        note(database.name, key, reason, lsn: lsn, transaction: transaction)
    }

    mutating func note(
        _ database: String, _ key: [UInt8], _ reason: String, lsn: LSN? = nil, transaction: TransactionID? = nil,
        quarantineNumber: UInt64? = nil
    ) {
        findingCount += 1
        guard findings.count < LogLimits.damagedListedMax else { return }
        findings.append(
            Finding(
                database: database, key: hexadecimal(key), lsn: lsn, transaction: transaction,
                quarantineNumber: quarantineNumber, reason: reason))
    }
}

/// Two lower-case digits for each byte.
func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

extension LogReader {
    /// Reads and checks every value: whether it can be read, whether the history is one that the protocol writes, and
    /// whether states, claims and tasks say what the history says. Changes nothing.
    ///
    /// Beside a running server the picture is renewed in between; each comparison is made within one picture, with the
    /// whole history up to it.
    public func verify() throws(LogError) -> LogVerification {
        let pages = try checkPages()
        // LMDB trusts its pages, so it is not led over bad ones.
        guard pages.faults.isEmpty else { return LogVerification(pages) }
        var walk = try read { store, reading throws(LogError) in try LogWalk(store, in: reading) }
        var isAtHead = false
        while !isAtHead {
            isAtHead = try read { store, reading throws(LogError) in
                guard try walk.readOn(store, in: reading, recordsMax: LogLimits.scanBatchRecords) else { return false }
                try walk.compareUnfinished(store, in: reading)
                walk.noteClaims(store)
                return true
            }
        }
        var nextRequest: [UInt8]? = [0]
        while let first = nextRequest {
            nextRequest = try read { store, reading throws(LogError) in
                // What was begun since the last picture has its claims in this one.
                _ = try walk.readOn(store, in: reading, recordsMax: .max)
                walk.noteClaims(store)
                return try walk.compareRequests(store, from: first, in: reading)
            }
        }
        try read { store, _ throws(LogError) in walk.noteGaps(store) }
        walk.result.pages = pages.pages
        return walk.result
    }

    /// Walks the pages of one picture.
    private func checkPages() throws(LogError) -> PageCheck {
        // A busy writer may write over a meta page before it is read.
        for _ in 0..<LogLimits.pageCheckAttempts {
            let check = try read { store, reading throws(LogError) in
                PageCheck.run(
                    descriptor: store.environment.descriptor, pageBytes: store.environment.pageBytes,
                    transaction: reading.transactionNumber)
            }
            if let check { return check }
        }
        throw LogError(.storage, "cannot read the pages of the log in \(path) beside its writer. Try again.")
    }
}
