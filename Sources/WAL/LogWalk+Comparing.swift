import Coordinator
import Payments

/// The other databases against the history, which is taken in up to the same picture.
extension LogWalk {
    // MARK: What is unfinished

    mutating func compareUnfinished(_ store: LogStore, in reading: Reading) throws(LogError) {
        do {
            try compareMeta(store, reading)
            let unfinished = try store.readUnfinished(in: reading)
            result.active = unfinished.active.count
            result.reversals = unfinished.reversals.count
            result.fences = unfinished.fences.count
            for place in unfinished.damaged {
                let isOfTransaction = place.database == store.active || place.database == store.reversals
                let transaction = place.key.withUnsafeBytes { isOfTransaction ? Keys.transaction(from: $0) : nil }
                note(place, of: transaction)
            }
            for state in unfinished.active where !isExcused(state.transaction) {
                guard let fault = try fault(of: state, store, reading) else { continue }
                result.note(
                    store.active, Keys.transaction(state.transaction), fault, transaction: state.transaction)
            }
            for task in unfinished.reversals where !isExcused(task.transaction) {
                guard let fault = fault(of: task) else { continue }
                result.note(
                    store.reversals, Keys.transaction(task.transaction), fault, transaction: task.transaction)
            }
            let active = Set(unfinished.active.map(\.transaction))
            let reversals = Set(unfinished.reversals.map(\.transaction))
            let traces = check.unfinished.values.sorted { $0.transaction < $1.transaction }
            for trace in traces where !isExcused(trace.transaction) {
                try compare(
                    trace, isActive: active.contains(trace.transaction),
                    hasTask: reversals.contains(trace.transaction), store, reading)
            }
        } catch {
            throw LogStore.readFailure(error)
        }
    }

    /// The log's own values.
    private mutating func compareMeta(_ store: LogStore, _ reading: Reading) throws(LMDBFailure) {
        _ = try readMeta(store, Keys.log, reading) { bytes throws(ValueFault) in try MetaCodec.decodeLog(bytes) }
        let owner = try readMeta(store, Keys.owner, reading) { bytes throws(ValueFault) in
            try MetaCodec.decodeOwner(bytes)
        }
        let next = try readMeta(store, Keys.nextLSN, reading) { bytes throws(ValueFault) in
            try MetaCodec.decodeNext(bytes)
        }
        if let owner, let start = check.lastStart, start.record != owner,
            check.lastMissing.map({ $0 < start.lsn }) ?? true, check.lastBreak.map({ $0 < start.lsn }) ?? true
        {
            result.note(
                store.meta, Keys.owner, "the owner is \(owner), the last start, at LSN \(start.lsn), is \(start.record)"
            )
        }
        try compareContinuity(store, reading)
        let last = check.last ?? LSN(rawValue: 0)
        let follows = last.next
        guard let next, next != follows else { return }
        let reason =
            next < follows
            ? "the next LSN is \(next), and there is a record at LSN \(last)"
            : "the next LSN is \(next), and the history ends before LSN \(follows): its tail is missing"
        result.note(store.meta, Keys.nextLSN, reason, lsn: next > follows ? follows : nil)
    }

    /// Whether the log says that it is broken, and whether its history does.
    private mutating func compareContinuity(_ store: LogStore, _ reading: Reading) throws(LMDBFailure) {
        let bytes = try reading.get(store.meta, Keys.continuity)
        if let bytes {
            do throws(ValueFault) {
                _ = try MetaCodec.decodeBreak(bytes)
            } catch {
                return result.note(store.meta, Keys.continuity, error.description)
            }
        }
        // The other way round proves nothing: a copy is marked as broken without a record of it.
        if check.isBroken == true, bytes == nil {
            result.note(store.meta, Keys.continuity, "it is missing: the history has the log broken and not reconciled")
        }
    }

    private mutating func readMeta<Value>(
        _ store: LogStore, _ key: [UInt8], _ reading: Reading,
        _ decode: (UnsafeRawBufferPointer) throws(ValueFault) -> Value
    ) throws(LMDBFailure) -> Value? {
        guard let bytes = try reading.get(store.meta, key) else {
            result.note(store.meta, key, "it is missing")
            return nil
        }
        do throws(ValueFault) {
            return try decode(bytes)
        } catch {
            result.note(store.meta, key, error.description)
            return nil
        }
    }

    private func fault(
        of state: ActiveTransaction, _ store: LogStore, _ reading: Reading
    ) throws(LMDBFailure) -> String? {
        if let outcome = check.finishedOutcome(of: state.transaction) { return "it has ended, \(outcome)" }
        guard let trace = check.unfinished[state.transaction] else { return Self.lacksBegin(state) }
        // Of what had finished once, nothing but the outcome was kept: its records are looked up.
        guard let begin = trace.begin else {
            return trace.isReopened ? try faultOfReopened(state, store, reading) : Self.lacksBegin(state)
        }
        if let outcome = trace.outcome { return "it has ended, \(outcome)" }
        if begin != Placed(state.begin) { return "its BEGIN is not the one in the history at LSN \(begin.lsn)" }
        if let fault = fault(of: state.decision, trace.decision) { return fault }
        if state.acknowledged != trace.acknowledged, !trace.isPartial {
            return "its acknowledgements are \(words(state.acknowledged)), in the history \(words(trace.acknowledged))"
        }
        if state.parkings.map({ Placed($0) }) != trace.parkings, !trace.isPartial {
            return "what it says of being parked is not what the history says"
        }
        if state.proposal.map({ Placed($0) }) != trace.proposal, !trace.isPartial {
            return "the order that it waits for a second person with is not the one in the history"
        }
        return nil
    }

    private static func lacksBegin(_ state: ActiveTransaction) -> String {
        "its BEGIN is not in the history at LSN \(state.begin.lsn)"
    }

    private func faultOfReopened(
        _ state: ActiveTransaction, _ store: LogStore, _ reading: Reading
    ) throws(LMDBFailure) -> String? {
        let begin = try record(at: state.begin.lsn, store, reading)
        switch begin {
        case .begin(state.begin.record): break
        case .adopted(let adoption) where adoption.begin == state.begin.record: break
        case .some, .none: return Self.lacksBegin(state)
        }
        switch state.decision {
        case .undecided: return "it is undecided, and the history has ended it before"
        case .commit(let commit):
            let isThere = try record(at: commit.lsn, store, reading) == .commit(commit.record)
            return isThere ? nil : "its COMMIT is not in the history at LSN \(commit.lsn)"
        case .abort(let abort):
            let isThere = try record(at: abort.lsn, store, reading) == .abort(abort.record)
            return isThere ? nil : "its ABORT is not in the history at LSN \(abort.lsn)"
        }
    }

    private func record(
        at lsn: LSN, _ store: LogStore, _ reading: Reading
    ) throws(LMDBFailure) -> LogRecord? {
        guard let bytes = try reading.get(store.records, Keys.record(lsn)) else { return nil }
        return (try? RecordCodec.decode(bytes, at: lsn))?.record
    }

    private func fault(of stored: ActiveTransaction.Decision, _ traced: TransactionTrace.Decision) -> String? {
        switch (stored, traced) {
        case (.undecided, .undecided): nil
        case (.undecided, .commit(let commit)): "it is undecided, the history has COMMIT at LSN \(commit.lsn)"
        case (.undecided, .abort(let abort)): "it is undecided, the history has ABORT at LSN \(abort.lsn)"
        case (.commit(let stored), .commit(let commit)):
            commit == Placed(stored) ? nil : "its COMMIT is not the one in the history at LSN \(commit.lsn)"
        case (.abort(let stored), .abort(let abort)):
            abort == Placed(stored) ? nil : "its ABORT is not the one in the history at LSN \(abort.lsn)"
        case (.commit(let stored), .undecided): "its COMMIT is not in the history at LSN \(stored.lsn)"
        case (.abort(let stored), .undecided): "its ABORT is not in the history at LSN \(stored.lsn)"
        case (.commit(let stored), .abort(let abort)):
            "its decision is COMMIT at LSN \(stored.lsn), the history has ABORT at LSN \(abort.lsn)"
        case (.abort(let stored), .commit(let commit)):
            "its decision is ABORT at LSN \(stored.lsn), the history has COMMIT at LSN \(commit.lsn)"
        }
    }

    private func words(_ acknowledged: [Participant: Proof]) -> String {
        let all = acknowledged.map { "\($0.key) (\($0.value))" }.sorted()
        return all.isEmpty ? "none" : all.joined(separator: ", ")
    }

    private func fault(of task: ReversalTask) -> String? {
        guard let trace = check.unfinished[task.transaction] else {
            return check.finishedOutcome(of: task.transaction) == nil
                ? "the history has no ABORT with it" : "the history has closed it, or never had it"
        }
        switch trace.reversal {
        case .none: return "the history has no ABORT with it"
        case .closed: return "the history has closed it"
        case .open(let traced): return traced == task ? nil : "the history has it otherwise"
        }
    }

    /// Whether what the history has as unfinished is there.
    private mutating func compare(
        _ trace: TransactionTrace, isActive: Bool, hasTask: Bool, _ store: LogStore, _ reading: Reading
    ) throws(LMDBFailure) {
        let key = Keys.transaction(trace.transaction)
        let entry = try claim(trace.begin?.record.intent.requestID, store, reading)
        // With the record of an END its claim is trimmed: as long as that is there, no END can be missing.
        let holdsClaim = entry?.transaction == trace.transaction
        let mayLackItsEnd = trace.isPartial || check.lastMissing.map { $0 > trace.last ?? $0 } ?? false
        if trace.outcome == nil {
            if !isActive, holdsClaim || !mayLackItsEnd {
                let lsn = trace.begin?.lsn ?? trace.last
                result.note(
                    store.active, key, "it is missing: the history has begun it\(words(at: lsn)) and not ended it",
                    transaction: trace.transaction)
                return
            }
            if isActive, let request = trace.begin?.record.intent.requestID {
                try compareClaim(of: trace, request, store, reading)
            }
        }
        if case .open(let task) = trace.reversal, !hasTask, holdsClaim || !mayLackItsEnd {
            result.note(
                store.reversals, key, "it is missing: the history has it open, from \(task.refusals) refusals",
                transaction: trace.transaction)
        }
    }

    private func words(at lsn: LSN?) -> String { lsn.map { " at LSN \($0)" } ?? "" }

    // MARK: Claims

    /// What a transaction's end or present state means for the entry of its request_id.
    mutating func compareClaim(
        of trace: TransactionTrace, _ request: RequestID, _ store: LogStore, _ reading: Reading
    ) throws(LMDBFailure) {
        let key = Keys.request(request)
        guard !isExcused(trace.transaction), !excusedRequests.contains(key) else { return }
        var entry: RequestEntry?
        if let bytes = try reading.get(store.requests, key) {
            // One that cannot be read is named when its turn comes.
            guard let found = try? StateCodec.decodeRequest(bytes, of: request) else { return }
            entry = found
        }
        guard let fault = RequestCheck.fault(of: trace, entry: entry) else { return }
        doubtfulClaims.append(
            DoubtfulClaim(transaction: trace.transaction, key: key, isEnded: trace.outcome != nil, fault: fault))
    }

    /// Tells which claims are wrong, once the history is known up to the picture that they were looked up in: what has
    /// ended may have been reopened in it.
    mutating func noteClaims(_ store: LogStore) {
        for claim in doubtfulClaims where !excusedRequests.contains(claim.key) {
            let isReopened = check.unfinished[claim.transaction].map { $0.outcome == nil } ?? false
            if claim.isEnded, isReopened { continue }
            excusedRequests.insert(claim.key)
            result.note(store.requests, claim.key, claim.fault, transaction: claim.transaction)
        }
        doubtfulClaims = []
    }

    private func claim(
        _ request: RequestID?, _ store: LogStore, _ reading: Reading
    ) throws(LMDBFailure) -> RequestEntry? {
        guard let request, let bytes = try reading.get(store.requests, Keys.request(request)) else { return nil }
        return try? StateCodec.decodeRequest(bytes, of: request)
    }

    /// Compares the next entries with what the history says of their transactions.
    ///
    /// - Returns: where to go on; `nil` at the end.
    mutating func compareRequests(
        _ store: LogStore, from first: [UInt8], in reading: Reading
    ) throws(LogError) -> [UInt8]? {
        do {
            let cursor = try reading.cursor(store.requests)
            var entry = try cursor.seek(first)
            var seen = 0
            while let (key, value) = entry {
                guard seen < LogLimits.scanBatchRecords else { return Array(key) }
                seen += 1
                do throws(ValueFault) {
                    guard let request = Keys.request(from: key) else { throw .misplaced }
                    let found = try StateCodec.decodeRequest(value, of: request)
                    result.requests += 1
                    if let fault = fault(of: found), !excusedRequests.contains(Array(key)) {
                        excusedRequests.insert(Array(key))
                        result.note(store.requests, Array(key), fault, transaction: found.transaction)
                    }
                } catch {
                    result.note(store.requests, Array(key), error.description)
                }
                entry = try cursor.next()
            }
            return nil
        } catch {
            throw LogStore.readFailure(error)
        }
    }

    private func fault(of entry: RequestEntry) -> String? {
        guard !isExcused(entry.transaction) else { return nil }
        if let outcome = check.finishedOutcome(of: entry.transaction) {
            return RequestCheck.fault(of: entry, finished: outcome)
        }
        if let trace = check.unfinished[entry.transaction] {
            return trace.isPartial ? nil : RequestCheck.fault(of: trace, entry: entry)
        }
        // An END that is forgotten here may be anywhere before; only what is unfinished is never forgotten.
        if check.hasForgotten, !entry.status.isUnfinished { return nil }
        return "it says \(entry.status.name), and the history has nothing of \(entry.transaction)"
    }
}

extension Placed {
    fileprivate init(_ durable: Durable<Record>) {
        self.init(durable.record, lsn: durable.lsn, writtenAt: durable.writtenAt)
    }
}
