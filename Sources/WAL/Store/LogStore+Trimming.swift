import Coordinator
import Payments

/// What one slice of a trim did.
struct TrimSlice {
    var examined = 0
    var dropped = 0
    /// Where the next slice goes on; `nil` when nothing older is left.
    var resume: LSN?
}

extension LogStore {
    private struct Candidate {
        let lsn: LSN
        let kind: ValueKind
        let transaction: TransactionID
        let writtenAt: WallTime
    }

    /// Drops the records from `first` to before `horizon`, except those of transactions that are active, parked, set
    /// aside, or have an open reversal. With an END goes the claim of its transaction. The newest record stays: it
    /// tells the next LSN.
    func trim(
        from first: LSN, before horizon: LSN, examineMax: Int, keeping kept: Set<TransactionID>,
        _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> TrimSlice {
        var slice = TrimSlice()
        var damaged: [DamagedPlace] = []
        let candidates = try candidates(
            from: first, before: horizon, examineMax: examineMax, in: txn.reading, &slice, &damaged)
        for candidate in candidates where try mayDrop(candidate, keeping: kept, in: txn.reading) {
            if candidate.kind == .end { try dropClaim(of: candidate, txn) }
            try txn.delete(records, RecordKey(candidate.lsn))
            slice.dropped += 1
            context.hasWritten = true
            context.trimmedUntil = max(context.trimmedUntil ?? candidate.writtenAt, candidate.writtenAt)
        }
        for place in damaged {
            try setAside(records, place.key, reason: place.reason, txn, &context)
        }
        return slice
    }

    private func candidates(
        from first: LSN, before horizon: LSN, examineMax: Int, in reading: Reading, _ slice: inout TrimSlice,
        _ damaged: inout [DamagedPlace]
    ) throws(LMDBFailure) -> [Candidate] {
        guard let newest = try reading.lastKey(records) else { return [] }
        var candidates: [Candidate] = []
        let cursor = try reading.cursor(records)
        var entry = try cursor.seek(Keys.record(first))
        while let (key, value) = entry, !key.elementsEqual(newest) {
            guard let lsn = Keys.lsn(from: key) else {
                damaged.append(
                    DamagedPlace(database: records, key: Array(key), reason: ValueFault.misplaced.description))
                entry = try cursor.next()
                continue
            }
            guard lsn < horizon else { break }
            guard slice.examined < examineMax else {
                slice.resume = lsn
                break
            }
            do throws(ValueFault) {
                let head = try RecordCodec.decodeHead(value, at: lsn)
                candidates.append(
                    Candidate(
                        lsn: lsn, kind: head.kind, transaction: head.transaction, writtenAt: head.writtenAt))
            } catch {
                damaged.append(DamagedPlace(database: records, key: Array(key), reason: error.description))
            }
            slice.examined += 1
            entry = try cursor.next()
        }
        return candidates
    }

    private func mayDrop(
        _ candidate: Candidate, keeping kept: Set<TransactionID>, in reading: Reading
    ) throws(LMDBFailure) -> Bool {
        if candidate.kind == .serverStarted { return true }
        if kept.contains(candidate.transaction) { return false }
        let key = TransactionKey(candidate.transaction)
        if try reading.get(active, key) != nil { return false }
        return try reading.get(reversals, key) == nil
    }

    /// The idempotency window of a request ends with its transaction's END.
    private func dropClaim(
        of candidate: Candidate, _ txn: borrowing WriteTransaction
    ) throws(LMDBFailure) {
        guard let bytes = try txn.reading.get(records, RecordKey(candidate.lsn)),
            let record = try? RecordCodec.decode(bytes, at: candidate.lsn).record, case .end(let end) = record
        else { return }
        let key = RequestKey(end.requestID)
        guard let bytes = try txn.reading.get(requests, key),
            let entry = try? StateCodec.decodeRequest(bytes, of: end.requestID),
            entry.transaction == end.transaction
        else { return }
        try txn.delete(requests, key)
    }
}
