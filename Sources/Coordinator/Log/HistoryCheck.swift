/// Whether a history is one that the protocol can have written: records in, in the order of their LSNs, violations out.
///
/// Records that are missing are no violations by themselves: trimming drops finished transactions from the head, and a
/// scan beside a running server sees it do so. A transaction whose records may be among the missing ones is judged only
/// by what is there. Memory goes with what is unfinished, and a few bytes for each of the last transactions that
/// finished.
public struct HistoryCheck: Sendable {
    /// A record that may not stand where it does.
    public struct Violation: Sendable, Hashable {
        public let lsn: LSN
        /// `nil` for a record of the log itself.
        public let transaction: TransactionID?
        public let reason: String
    }

    /// What came of a record.
    public struct Taken: Sendable, Hashable {
        /// The rule that it breaks, if any.
        public let violation: Violation?
        /// The transaction that it ended.
        public let ended: TransactionTrace?
    }

    /// Records that are missing behind others that trimming would have dropped before them.
    public struct Gap: Sendable, Hashable {
        public let first: LSN
        public let last: LSN
        /// Records that are still there and that trimming drops whenever it passes them: a start, and the last record
        /// of a finished transaction.
        public internal(set) var start: LSN?
        public internal(set) var finishing: Placed<TransactionID>?

        /// One of them; `nil` if trimming explains the gap.
        public var survivor: LSN? { [start, finishing?.lsn].compactMap(\.self).max() }
    }

    /// How many finished transactions are remembered at least, so that a record after the end is known as one.
    public static let finishedRememberedMin = 1_000_000

    /// What has begun and has not ended, or has an open reversal.
    public private(set) var unfinished: [TransactionID: TransactionTrace] = [:]
    /// The last start in the history; `nil` if there was none so far.
    public private(set) var lastStart: Placed<FencePair>?
    /// The newest position up to the last one taken where a record is missing or cannot be read.
    public private(set) var lastMissing: LSN?
    /// The last position, of a record or of one that cannot be read.
    public private(set) var last: LSN?
    /// Whether more transactions finished than are remembered.
    public private(set) var hasForgotten = false

    /// Transactions that trimming keeps whatever their state: those with a value in the quarantine.
    private let kept: Set<TransactionID>
    private let rememberedMin: Int
    /// Two generations: a full one replaces the older.
    private var finished: [TransactionID: Outcome] = [:]
    private var finishedBefore: [TransactionID: Outcome] = [:]
    /// The newest records that trimming drops whenever it passes them.
    private var survivingStart: LSN?
    private var finishing: Placed<TransactionID>?
    /// Gaps that trimming does not explain so far. A later record may: what is unfinished again was not dropped.
    public private(set) var gaps: [Gap] = []
    /// Whether the log is broken by its last record that says so; `nil` if none does.
    public private(set) var isBroken: Bool?
    /// Where the log says last that its tail was lost; there the owner changes without a start.
    public private(set) var lastBreak: LSN?

    public init(kept: Set<TransactionID> = [], rememberedMin: Int = Self.finishedRememberedMin) {
        self.kept = kept
        self.rememberedMin = rememberedMin
    }

    /// The outcome of a transaction that has finished; `nil` if it has not, or is not remembered.
    public func finishedOutcome(of transaction: TransactionID) -> Outcome? {
        finished[transaction] ?? finishedBefore[transaction]
    }

    /// Goes on to the next position in the history; to be called before it is taken.
    ///
    /// - Parameter isThere: whether a record that was taken in before is there still. If it is not, trimming has gone
    ///   on since, and explains what is missing.
    ///   What nothing explains goes to ``gaps``.
    public mutating func advance<Failure: Error>(
        to lsn: LSN, isThere: (LSN) throws(Failure) -> Bool
    ) throws(Failure) {
        defer { last = lsn }
        let first = (last ?? LSN(rawValue: 0)).next
        guard first < lsn else { return }
        let before = LSN(rawValue: lsn.rawValue - 1)
        lastMissing = before
        if let start = survivingStart, try !isThere(start) { survivingStart = nil }
        if let place = finishing?.lsn, try !isThere(place) { finishing = nil }
        let gap = Gap(first: first, last: before, start: survivingStart, finishing: finishing)
        if gap.survivor != nil { gaps.append(gap) }
    }

    /// The record at the position cannot be read.
    public mutating func passUnreadable(at lsn: LSN) { lastMissing = lsn }

    /// Takes the record at the position in.
    public mutating func take(_ record: LogRecord, at lsn: LSN, writtenAt: WallTime) -> Taken {
        guard let transaction = record.transaction else {
            return Taken(violation: violation(takeOfLog(record, at: lsn, writtenAt), lsn, nil), ended: nil)
        }
        if case .reopened(let reopened) = record { reopen(reopened) }
        if finishedOutcome(of: transaction) != nil {
            let fault = "a record of a transaction that is finished"
            return Taken(violation: violation(fault, lsn, transaction), ended: nil)
        }
        let (trace, fault) = follow(record, transaction, lsn, writtenAt)
        var ended: TransactionTrace?
        if case .end = record, fault == nil { ended = trace }
        let epoch: String? = if case .begin(let begin) = record { epochFault(begin.epoch) } else { nil }
        return Taken(violation: violation(fault ?? epoch, lsn, transaction), ended: ended)
    }

    private mutating func follow(
        _ record: LogRecord, _ transaction: TransactionID, _ lsn: LSN, _ writtenAt: WallTime
    ) -> (trace: TransactionTrace, fault: String?) {
        // Of a transaction that is new to us, everything before this record may be missing.
        var trace =
            unfinished.removeValue(forKey: transaction)
            ?? TransactionTrace(transaction, isPartial: !record.isFirst && (lastMissing != nil || hasForgotten))
        if let last = trace.last, let lastMissing, last < lastMissing { trace.isPartial = true }
        let fault = trace.take(record, at: lsn, writtenAt)
        // Whatever follows a violation is not to be judged by it.
        if fault != nil { trace.isPartial = true }
        if trace.isFinished, let outcome = trace.outcome {
            remember(transaction, outcome)
            if !kept.contains(transaction) { finishing = Placed(transaction, lsn: lsn, writtenAt: writtenAt) }
        } else {
            unfinished[transaction] = trace
        }
        return (trace, fault)
    }

    /// Records of the log itself.
    private mutating func takeOfLog(_ record: LogRecord, at lsn: LSN, _ writtenAt: WallTime) -> String? {
        switch record {
        case .serverStarted(let pair):
            defer {
                lastStart = Placed(pair, lsn: lsn, writtenAt: writtenAt)
                survivingStart = lsn
            }
            guard let before = lastStart, pair.epoch <= before.record.epoch else { return nil }
            return "a start with epoch \(pair.epoch) after epoch \(before.record.epoch) at LSN \(before.lsn)"
        case .quarantineReleased:
            // Whatever finished may have been kept until now for a value in the quarantine.
            forgetFinishing { _ in true }
            return nil
        case .broken:
            isBroken = true
            lastBreak = lsn
            // Where a tail was lost, positions may be left out.
            gaps.removeAll { $0.last.next == lsn }
            return nil
        case .reconciled:
            isBroken = false
            return nil
        case .begin, .commit, .abort, .acknowledged, .end, .parked, .reversalRefused, .reversalClosed, .reversalParked,
            .resolutionProposed, .resolved, .adopted, .reopened, .reversalReleased:
            return nil
        }
    }

    /// What has ended goes on, so trimming keeps its records from here on.
    private mutating func reopen(_ record: ReopenedRecord) {
        let transaction = record.transaction
        forgetFinishing { $0 == transaction }
        guard finishedOutcome(of: transaction) != nil else { return }
        finished[transaction] = nil
        finishedBefore[transaction] = nil
        unfinished[transaction] = TransactionTrace(transaction, isPartial: true)
    }

    /// Trimming may have passed the last records of these transactions and kept them.
    private mutating func forgetFinishing(_ isKept: (TransactionID) -> Bool) {
        if let transaction = finishing?.record, isKept(transaction) { finishing = nil }
        for index in gaps.indices {
            if let transaction = gaps[index].finishing?.record, isKept(transaction) { gaps[index].finishing = nil }
        }
        gaps.removeAll { $0.survivor == nil }
    }

    /// No transaction begins in an epoch that has not begun.
    private func epochFault(_ epoch: Epoch) -> String? {
        guard let start = lastStart, start.record.epoch < epoch, lastMissing.map({ $0 < start.lsn }) ?? true
        else { return nil }
        return "BEGIN of epoch \(epoch) in epoch \(start.record.epoch)"
    }

    private mutating func remember(_ transaction: TransactionID, _ outcome: Outcome) {
        if finished.count >= rememberedMin {
            hasForgotten = hasForgotten || !finishedBefore.isEmpty
            finishedBefore = finished
            finished = [:]
        }
        finished[transaction] = outcome
    }

    private func violation(_ reason: String?, _ lsn: LSN, _ transaction: TransactionID?) -> Violation? {
        reason.map { Violation(lsn: lsn, transaction: transaction, reason: $0) }
    }
}

extension LogRecord {
    /// Whether nothing of its transaction can come before it.
    fileprivate var isFirst: Bool {
        switch self {
        case .begin, .adopted: true
        case .serverStarted, .commit, .abort, .acknowledged, .end, .parked, .reversalRefused, .reversalClosed,
            .reversalParked, .resolutionProposed, .resolved, .reopened, .reversalReleased, .quarantineReleased,
            .broken, .reconciled:
            false
        }
    }
}
