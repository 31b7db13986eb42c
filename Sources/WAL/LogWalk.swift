import Coordinator
import Payments

/// Goes through a log for ``LogReader/verify()``: the history first, record by record, then the other databases against
/// it.
struct LogWalk {
    var result = LogVerification()
    private(set) var check: HistoryCheck
    /// Where the history goes on.
    private var next = LSN(rawValue: 1)
    /// Transactions with a value that cannot be read or was set aside. It is named itself; what follows from it is not.
    private(set) var excused: Set<TransactionID>
    /// Keys of `requests` likewise, and those that were named.
    var excusedRequests: Set<[UInt8]>
    /// Claims that were not as they should be when they were looked up.
    var doubtfulClaims: [DoubtfulClaim] = []
    /// Places in the history whose records were set aside.
    private let setAside: Set<LSN>

    /// An entry that does not say what its transaction's state means.
    struct DoubtfulClaim {
        let transaction: TransactionID
        let key: [UInt8]
        /// Whether it is the transaction's end that it contradicts.
        let isEnded: Bool
        let fault: String
    }

    /// Looks at what was set aside.
    init(_ store: LogStore, in reading: Reading) throws(LogError) {
        var (transactions, requests, records) = (Set<TransactionID>(), Set<[UInt8]>(), Set<LSN>())
        let (entries, damaged) = try store.readQuarantine(in: reading)
        for place in damaged { result.note(place.database, place.key, place.reason) }
        result.quarantined = entries.count + damaged.count
        for entry in entries {
            if let transaction = entry.transaction { transactions.insert(transaction) }
            if let lsn = entry.lsn { records.insert(lsn) }
            if entry.database == store.requests.name { requests.insert(entry.key) }
            result.note(
                entry.database, entry.key, "set aside: \(entry.reason)", lsn: entry.lsn,
                transaction: entry.transaction, quarantineNumber: entry.number)
        }
        excused = transactions
        excusedRequests = requests
        setAside = records
        check = HistoryCheck(kept: transactions)
    }

    /// Whether something of the transaction is known to be damaged, so that no more is to be said.
    func isExcused(_ transaction: TransactionID?) -> Bool { transaction.map(excused.contains) ?? false }

    /// Notes a value that cannot be read.
    mutating func note(_ place: DamagedPlace, of transaction: TransactionID?) {
        if let transaction { excused.insert(transaction) }
        result.note(place.database, place.key, place.reason, transaction: transaction)
    }

    /// Takes in the next records.
    ///
    /// - Returns: whether the history up to this picture is taken in.
    mutating func readOn(_ store: LogStore, in reading: Reading, recordsMax: Int) throws(LogError) -> Bool {
        do {
            let cursor = try reading.cursor(store.records)
            var seen = 0
            var entry = try cursor.seek(Keys.record(next))
            while let (key, value) = entry {
                guard let lsn = Keys.lsn(from: key) else {
                    result.note(store.records, Array(key), ValueFault.misplaced.description)
                    entry = try cursor.next()
                    continue
                }
                guard seen < recordsMax else { return false }
                seen += 1
                try take(value, at: lsn, store, reading)
                next = lsn.next
                entry = try cursor.next()
            }
            return true
        } catch {
            throw LogStore.readFailure(error)
        }
    }

    private mutating func take(
        _ value: UnsafeRawBufferPointer, at lsn: LSN, _ store: LogStore, _ reading: Reading
    ) throws(LMDBFailure) {
        result.records += 1
        result.firstLSN = result.firstLSN ?? lsn
        result.lastLSN = lsn
        try check.advance(to: lsn) { earlier throws(LMDBFailure) in
            try reading.get(store.records, Keys.record(earlier)) != nil
        }
        let record: LogRecord
        let writtenAt: WallTime
        do throws(ValueFault) {
            (record, writtenAt) = try RecordCodec.decode(value, at: lsn)
        } catch {
            check.passUnreadable(at: lsn)
            let transaction = transaction(ofUnreadable: value)
            if let transaction { excused.insert(transaction) }
            result.note(store.records, Keys.record(lsn), error.description, lsn: lsn, transaction: transaction)
            return
        }
        let taken = check.take(record, at: lsn, writtenAt: writtenAt)
        if let violation = taken.violation, !isExcused(violation.transaction) {
            result.note(
                store.records, Keys.record(lsn), violation.reason, lsn: lsn, transaction: violation.transaction)
        }
        if let ended = taken.ended, case .end(let end) = record {
            try compareClaim(of: ended, end.requestID, store, reading)
        }
    }

    /// Whose record it is, by its bytes. They may be damaged too, so only a transaction that is known is believed,
    /// except of a BEGIN, which is the first to name one.
    private func transaction(ofUnreadable value: UnsafeRawBufferPointer) -> TransactionID? {
        guard let transaction = RecordCodec.transaction(in: value) else { return nil }
        let isKnown =
            check.unfinished[transaction] != nil || check.finishedOutcome(of: transaction) != nil
            || isExcused(transaction) || value[1] == ValueKind.begin.rawValue
        return isKnown ? transaction : nil
    }

    /// Tells what is missing, when the whole history is known: trimming drops from the head, so nothing that it may
    /// drop is left before what it has dropped.
    mutating func noteGaps(_ store: LogStore) {
        for gap in check.gaps {
            let missing = gap.first.rawValue...gap.last.rawValue
            // One less than there are: a damaged key may leave more than can be counted.
            let isMore = missing.upperBound - missing.lowerBound >= UInt64(setAside.count)
            guard isMore || !missing.allSatisfy({ setAside.contains(LSN(rawValue: $0)) }),
                let survivor = gap.survivor
            else { continue }
            let what =
                gap.first == gap.last
                ? "this record is missing" : "the records from here to LSN \(gap.last) are missing"
            result.note(
                store.records, Keys.record(gap.first),
                "\(what), and trimming would have dropped LSN \(survivor) before", lsn: gap.first)
        }
    }
}
