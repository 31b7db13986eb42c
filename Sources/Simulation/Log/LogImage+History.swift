package import Coordinator
import Payments

/// The history: trimming, searching, and what a restoration makes of a copy.
extension LogImage {
    /// What one trim did.
    package struct Trimmed: Sendable {
        package var examined = 0
        package var dropped = 0
        /// The latest time of what was dropped.
        package var until: WallTime?
        /// Where the next one goes on; `nil` when nothing older is left.
        package var resume: LSN?

        package init() {}
    }

    /// Drops the records from `first` to before `horizon`, except those of transactions that are active or have an open reversal. With an END
    /// goes the claim of its transaction. The newest record stays.
    package mutating func trim(from first: LSN, before horizon: LSN, examineMax: Int) -> Trimmed {
        var trimmed = Trimmed()
        var kept: [Entry] = []
        kept.reserveCapacity(records.count)
        var isOver = false
        for (offset, entry) in records.enumerated() {
            guard !isOver, entry.lsn >= first else {
                kept.append(entry)
                continue
            }
            if offset == records.count - 1 || trimmed.examined >= examineMax || entry.lsn >= horizon {
                if offset < records.count - 1, entry.lsn < horizon { trimmed.resume = entry.lsn }
                isOver = true
                kept.append(entry)
                continue
            }
            trimmed.examined += 1
            guard mayDrop(entry.record) else {
                kept.append(entry)
                continue
            }
            if case .end(let end) = entry.record, requests[end.requestID]?.transaction == end.transaction {
                requests[end.requestID] = nil
            }
            trimmed.until = max(trimmed.until ?? entry.writtenAt, entry.writtenAt)
            trimmed.dropped += 1
        }
        records = kept
        return trimmed
    }

    private func mayDrop(_ record: LogRecord) -> Bool {
        if case .serverStarted = record { return true }
        guard let transaction = record.transaction else { return true }
        return active[transaction] == nil && reversals[transaction] == nil
    }

    /// Ended transactions as they stood at their end; those that the history has no END of, or no more, are not among them.
    package func ended(_ wanted: Set<TransactionID>) -> [TransactionID: ActiveTransaction] {
        guard !wanted.isEmpty else { return [:] }
        var histories: [TransactionID: [Entry]] = [:]
        for entry in records {
            guard let transaction = entry.record.transaction, wanted.contains(transaction) else { continue }
            histories[transaction, default: []].append(entry)
        }
        return histories.compactMapValues(Self.ended)
    }

    private static func ended(_ history: [Entry]) -> ActiveTransaction? {
        var begin: Durable<BeginRecord>?
        var decision = ActiveTransaction.Decision.undecided
        var hasEnded = false
        for entry in history {
            let (lsn, writtenAt) = (entry.lsn, entry.writtenAt)
            switch entry.record {
            case .begin(let record): begin = Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt)
            case .adopted(let record): begin = Durable(attestedByLog: record.begin, lsn: lsn, writtenAt: writtenAt)
            case .commit(let record):
                decision = .commit(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt))
            case .abort(let record):
                decision = .abort(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt))
            case .end: hasEnded = true
            case .reopened: hasEnded = false
            case .serverStarted, .acknowledged, .parked, .reversalRefused, .reversalClosed, .reversalParked,
                .resolutionProposed, .resolved, .reversalReleased, .quarantineReleased, .broken, .reconciled:
                break
            }
        }
        guard hasEnded, let begin, decision != .undecided else { return nil }
        let proofs = begin.record.branches.map { ($0.participant, Proof.acknowledgement) }
        return ActiveTransaction(
            begin: begin, decision: decision, acknowledged: Dictionary(uniqueKeysWithValues: proofs))
    }

    // MARK: - After a loss

    /// A backup's copy put in the place of a lost log: nothing is presumed before evidence has been gathered.
    ///
    /// - Parameter known: an epoch that the log is known to have reached since.
    package func restored(incarnation: Incarnation, beyond known: Epoch, now: WallTime) -> LogImage {
        var image = self
        var first = owner.epoch
        if case .broken(let former) = continuity { first = min(first, former.firstLostEpoch) }
        image.owner = FencePair(
            epoch: Self.epoch(after: max(owner.epoch, known), now), incarnation: incarnation)
        image.fences = fences.mapValues { fence in
            DatabaseFence(
                database: fence.database, identity: fence.identity, confirmed: fence.confirmed, former: fence.former,
                position: fence.position, takesOver: true)
        }
        image.breakLog(LogBreak(cause: .restored, firstLostEpoch: first, at: now))
        return image
    }

    /// A log made anew under the name of one that is lost.
    package static func remade(
        _ log: LogID, databases: Int, incarnation: Incarnation, beyond known: Epoch, now: WallTime
    ) -> LogImage {
        var image = LogImage(log: log)
        image.owner = FencePair(epoch: epoch(after: known, now), incarnation: incarnation)
        for number in 1...databases {
            let index = DatabaseIndex(rawValue: UInt8(number))
            image.fences[index] = DatabaseFence(database: index, takesOver: true)
        }
        image.breakLog(LogBreak(cause: .lost, firstLostEpoch: Epoch(rawValue: 0), at: now))
        return image
    }

    private mutating func breakLog(_ loss: LogBreak) {
        records.append(Entry(lsn: nextLSN, writtenAt: loss.at, record: .broken(loss)))
        nextLSN = LSN(rawValue: nextLSN.rawValue + 1)
        continuity = .broken(loss)
    }

    private static func epoch(after known: Epoch, _ now: WallTime) -> Epoch {
        Epoch(rawValue: max(known.rawValue + 1, UInt64(max(0, now.microseconds / 1_000_000))))
    }
}
