import Coordinator
import Payments

/// What became of a step within its batch. Turned into a receipt after the sync.
enum StepOutcome: Sendable {
    case begun(BeginRecord, LSN)
    case committing(CommitRecord, LSN)
    indirect case aborting(AbortRecord, LSN)
    indirect case parked(ParkedRecord, LSN)
    indirect case resumed(ActiveTransaction)
    indirect case proposed(ResolutionRecord, LSN)
    case noted
    case refused(LogRefusal)

    /// To be called after the commit of the batch and not before: this is where records become `Durable`.
    func receipt(writtenAt: WallTime) -> Result<LogReceipt, LogRefusal> {
        switch self {
        case .begun(let record, let lsn):
            .success(.begun(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt)))
        case .committing(let record, let lsn):
            .success(.committing(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt)))
        case .aborting(let record, let lsn):
            .success(.aborting(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt)))
        case .parked(let record, let lsn):
            .success(.parked(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt)))
        // Its records were attested within the transaction of the batch, which is committed by now.
        case .resumed(let state): .success(.resumed(state))
        case .proposed(let record, let lsn):
            .success(.proposed(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt)))
        case .noted: .success(.noted)
        case .refused(let refusal): .failure(refusal)
        }
    }
}

/// Steps. Every one checks first and writes after, so that a refused step leaves nothing in the transaction of its
/// batch.
extension LogStore {
    func take(
        _ write: LogWrite, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        switch write {
        case .begin(let record): try begin(record, txn, &context)
        case .commit(let record): try commit(record, txn, &context)
        case .abort(let record): try abort(record, txn, &context)
        case .acknowledged(let record): try acknowledge(record, txn, &context)
        case .end(let record): try end(record, txn, &context)
        case .park(let record): try park(record, txn, &context)
        case .reversalRefused(let record): try refuseReversal(record, txn, &context)
        case .closeReversal(let record): try closeReversal(record, txn, &context)
        case .parkReversal(let record): try parkReversal(record, txn, &context)
        case .fenceAttempted(let database, let pair): try attemptFence(database, pair, txn, &context)
        case .fenceConfirmed(let database, let identity, let pair):
            try confirmFence(database, identity, pair, txn, &context)
        case .databaseSeen(let database, let position): try noteDatabase(database, position, txn, &context)
        case .resolve(let record, let needsTwoPersons):
            try resolve(record, needsTwoPersons: needsTwoPersons, txn, &context)
        case .adopt(let record): try adopt(record, txn, &context)
        case .reopen(let state, let record): try reopen(state, record, txn, &context)
        case .releaseReversal(let record): try releaseReversal(record, txn, &context)
        case .releaseQuarantined(let record): try releaseQuarantined(record, txn, &context)
        case .reconcile(let warrant): try reconcile(warrant, txn, &context)
        }
    }

    private func begin(
        _ record: BeginRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        let request = record.intent.requestID
        if let same = try loadActive(record.transaction, txn, &context) {
            // A transaction has one BEGIN. Random numbers of 128 bits do not meet; a repeated call may.
            let entry = RequestEntry(
                transaction: same.transaction, intent: same.state.begin.record.intent, status: .preparing)
            let isClaimed = try txn.reading.get(requests, RequestKey(request)) != nil
            return isClaimed ? try refuse(request, txn, &context) : .refused(.requestClaimed(entry))
        }
        // One look for both, whether the request_id is there and where its entry belongs; and the last thing that refuses.
        let entry = RequestEntry(transaction: record.transaction, intent: record.intent, status: .preparing)
        StateCodec.encode(entry, into: &context.memory.writer)
        guard try txn.putNew(requests, RequestKey(request), context.memory.writer.written) else {
            return try refuse(request, txn, &context)
        }
        let durable = Durable(attestedByLog: record, lsn: context.nextLSN, writtenAt: context.now)
        context.put(ActiveTransaction(begin: durable, decision: .undecided, acknowledged: [:]))
            .noteClaim(storedAs: context.memory.writer.written)
        let lsn = try append(.begin(record), txn, &context)
        return .begun(record, lsn)
    }

    /// The answer to a BEGIN whose request_id is there.
    private func refuse(
        _ request: RequestID, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        // The claim is read together with `active`.
        try writeStates(txn, &context)
        guard let bytes = try txn.reading.get(requests, RequestKey(request)) else { return .refused(.full) }
        do throws(ValueFault) {
            return .refused(.requestClaimed(try claim(bytes, of: request, in: txn.reading)))
        } catch {
            // Something was done under this request_id and we cannot read what: doing it again may charge twice.
            // The look-up that comes before every BEGIN throws for such an entry, so this is a race at most.
            return .refused(.full)
        }
    }

    private func commit(
        _ record: CommitRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard let open = try loadActive(record.transaction, txn, &context) else {
            return .refused(.notActive(record.transaction))
        }
        guard open.isUndecided else { return .refused(.alreadyDecided(open.state.decision)) }
        let lsn = try append(.commit(record), txn, &context)
        let durable = Durable(attestedByLog: record, lsn: lsn, writtenAt: context.now)
        context.change(open) { $0.decision = .commit(durable) }
        // The request's entry, on a page of its own, goes on saying that it is open: until the end `active` tells more. Unless it says
        // that the outcome is in doubt.
        if open.state.isParked { try setClaim(of: open.state, to: .committing, txn, &context) }
        return .committing(record, lsn)
    }

    private func abort(
        _ record: AbortRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard let open = try loadActive(record.transaction, txn, &context) else {
            return .refused(.notActive(record.transaction))
        }
        guard open.isUndecided else { return .refused(.alreadyDecided(open.state.decision)) }
        let lsn = try append(.abort(record), txn, &context)
        // The claim is settled against the state before the decision: a released one still points to us here.
        try settleClaim(of: open.state, record, txn, &context)
        let durable = Durable(attestedByLog: record, lsn: lsn, writtenAt: context.now)
        context.change(open) { $0.decision = .abort(durable) }
        if let task = record.reversal {
            precondition(task.transaction == record.transaction, "a reversal of another transaction")
            try txn.put(reversals, Keys.transaction(task.transaction), StateCodec.encode(task))
        }
        return .aborting(record, lsn)
    }

    private func acknowledge(
        _ record: AcknowledgedRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        // Nobody can have done as decided before the decision; a record that said so could not be explained later.
        guard let open = try loadActive(record.transaction, txn, &context), !open.isUndecided else {
            return .refused(.notActive(record.transaction))
        }
        _ = try append(.acknowledged(record), txn, &context)
        context.change(open) { $0.acknowledged[record.participant] = record.proof }
        return .noted
    }

    private func end(
        _ record: EndRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        // An undecided transaction cannot end: forgetting it would leave its branches to presumption. It stays active.
        guard let open = try loadActive(record.transaction, txn, &context), !open.isUndecided else {
            return .refused(.notActive(record.transaction))
        }
        _ = try append(.end(record), txn, &context)
        let state = open.state
        switch (record.outcome, state.decision) {
        case (.committed, _): try setClaim(of: state, to: .approved, txn, &context)
        case (.aborted, .abort(let abort)):
            // Says again what the decision said, for an entry that was heuristic in between.
            if state.isParked { try settleClaim(of: state, abort.record, txn, &context) }
        case (.aborted, .commit), (.aborted, .undecided): break
        }
        context.end(open)
        return .noted
    }

    private func park(
        _ record: ParkedRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard let open = try loadActive(record.transaction, txn, &context) else {
            return .refused(.notActive(record.transaction))
        }
        let lsn = try append(.parked(record), txn, &context)
        let durable = Durable(attestedByLog: record, lsn: lsn, writtenAt: context.now)
        context.change(open) { $0.park(durable) }
        try retakeClaim(of: open.state, to: .heuristic, txn, &context)
        return .parked(record, lsn)
    }
}

/// Reversals and fences.
extension LogStore {
    private func refuseReversal(
        _ record: ReversalRefusedRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard var task = try loadReversal(record.transaction, txn, &context) else {
            return .refused(.noReversal(record.transaction))
        }
        _ = try append(.reversalRefused(record), txn, &context)
        task.refusals = record.refusals
        try txn.put(reversals, Keys.transaction(record.transaction), StateCodec.encode(task))
        return .noted
    }

    private func closeReversal(
        _ record: ReversalClosedRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard try loadReversal(record.transaction, txn, &context) != nil else {
            return .refused(.noReversal(record.transaction))
        }
        _ = try append(.reversalClosed(record), txn, &context)
        try txn.delete(reversals, Keys.transaction(record.transaction))
        return .noted
    }

    private func parkReversal(
        _ record: ReversalParkedRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard var task = try loadReversal(record.transaction, txn, &context) else {
            return .refused(.noReversal(record.transaction))
        }
        _ = try append(.reversalParked(record), txn, &context)
        task.parkedReason = record.reason
        try txn.put(reversals, Keys.transaction(record.transaction), StateCodec.encode(task))
        return .noted
    }

    private func attemptFence(
        _ database: DatabaseIndex, _ pair: FencePair, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        var fence = try loadFence(database, txn, &context)
        guard !fence.attempted.contains(pair) else { return .noted }
        fence.attempted = fence.attempted.suffix(LogLimits.fenceAttemptsMax - 1) + [pair]
        try txn.put(meta, Keys.fence(database), MetaCodec.encode(fence))
        context.hasWritten = true
        return .noted
    }

    private func confirmFence(
        _ database: DatabaseIndex, _ identity: DatabaseIdentity, _ pair: FencePair,
        _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        let fence = try loadFence(database, txn, &context)
            .confirming(pair, at: identity, formerMax: LogLimits.fencesFormerMax)
        try txn.put(meta, Keys.fence(database), MetaCodec.encode(fence))
        context.hasWritten = true
        return .noted
    }

    private func noteDatabase(
        _ database: DatabaseIndex, _ position: DatabasePosition, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        var fence = try loadFence(database, txn, &context)
        guard fence.position != position else { return .noted }
        fence.position = position
        try txn.put(meta, Keys.fence(database), MetaCodec.encode(fence))
        context.hasWritten = true
        return .noted
    }

    private func loadFence(
        _ database: DatabaseIndex, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> DatabaseFence {
        let blank = DatabaseFence(database: database)
        guard let bytes = try txn.reading.get(meta, Keys.fence(database)) else { return blank }
        do throws(ValueFault) {
            return try MetaCodec.decodeFence(bytes, of: database)
        } catch {
            try setAside(meta, Keys.fence(database), reason: error.description, txn, &context)
            return blank
        }
    }
}

/// Claims: what the log answers about a request_id.
extension LogStore {
    /// Says in the request's entry what became of the transaction that claimed it.
    func setClaim(
        of state: ActiveTransaction, to status: RequestEntry.Status, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) {
        guard try holdsClaim(state, txn, &context) else { return }
        try putClaim(of: state, status, txn, &context)
    }

    func putClaim(
        of state: ActiveTransaction, _ status: RequestEntry.Status, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) {
        let intent = state.begin.record.intent
        let entry = RequestEntry(transaction: state.transaction, intent: intent, status: status)
        StateCodec.encode(entry, into: &context.memory.writer)
        let bytes = context.memory.writer.written
        try txn.put(requests, RequestKey(intent.requestID), bytes)
        context.memory.noteClaim(of: state.transaction, storedAs: bytes)
        context.hasWritten = true
    }

    /// Likewise; where it had given the request_id up and nobody has claimed it since, it stands for it again: what waits for an operator,
    /// or was made by an order, is not begun anew.
    func retakeClaim(
        of state: ActiveTransaction, to status: RequestEntry.Status, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) {
        let intent = state.begin.record.intent
        // What was adopted without a name has no request_id that anybody could send.
        guard try txn.reading.get(requests, RequestKey(intent.requestID)) == nil,
            !state.begin.record.isNameless
        else { return try setClaim(of: state, to: status, txn, &context) }
        try putClaim(of: state, status, txn, &context)
    }

    func settleClaim(
        of state: ActiveTransaction, _ abort: AbortRecord, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) {
        switch abort.claim {
        case .declined: try setClaim(of: state, to: .declined(abort.reason), txn, &context)
        case .madeBy(let other): try setClaim(of: state, to: .madeBy(other), txn, &context)
        case .released:
            guard try holdsClaim(state, txn, &context) else { return }
            try txn.delete(requests, RequestKey(state.begin.record.intent.requestID))
            context.hasWritten = true
        }
    }

    /// Whether the request's entry is this transaction's: after a release the request_id may be another's.
    private func holdsClaim(
        _ state: ActiveTransaction, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> Bool {
        let request = state.begin.record.intent.requestID
        guard let bytes = try txn.reading.get(requests, RequestKey(request)) else { return false }
        if context.memory.isClaim(of: state.transaction, storedAs: bytes) { return true }
        do throws(ValueFault) {
            return try StateCodec.decodeRequest(bytes, of: request).transaction == state.transaction
        } catch {
            // Unless the request_id was given up, nobody else can have written it: the entry is made anew from the
            // state.
            if case .abort(let abort) = state.decision, abort.record.claim == .released { return false }
            try setAside(requests, Keys.request(request), reason: error.description, txn, &context)
            return true
        }
    }
}
