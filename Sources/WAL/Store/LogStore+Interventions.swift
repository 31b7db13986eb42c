import Coordinator
import Payments

/// Steps that an operator or evidence stands behind. Like all steps they check first and write after.
extension LogStore {
    func resolve(
        _ record: ResolutionRecord, needsTwoPersons: Bool, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard let open = try loadActive(record.transaction, txn, &context) else {
            return .refused(.notActive(record.transaction))
        }
        let state = open.state
        let resolving: Resolving
        do throws(ResolutionRefusal) {
            resolving = try state.resolving(record, now: context.now, continuity: continuity(txn))
        } catch {
            return .refused(.notResolvable(error))
        }
        if needsTwoPersons, record.warrant.authority == .order {
            guard let first = state.proposal, first.record.agrees(with: record) else {
                let lsn = try append(.resolutionProposed(record), txn, &context)
                let durable = Durable(attestedByLog: record, lsn: lsn, writtenAt: context.now)
                context.change(open) { $0.proposal = durable }
                return .proposed(record, lsn)
            }
            guard !first.record.warrant.isBySameActor(as: record.warrant) else {
                return .refused(.notResolvable(.sameActor(record.warrant.actor)))
            }
        }
        _ = try append(.resolved(record), txn, &context)
        let decision = try write(resolving.decision, over: state.decision, txn, &context)
        let resolved = state.resolved(resolving, decision: decision)
        context.put(resolved)
        if resolving.dropsReversal { try txn.delete(reversals, Keys.transaction(record.transaction)) }
        try claim(for: resolved, txn, &context)
        return .resumed(resolved)
    }

    func adopt(
        _ record: AdoptionRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard try loadActive(record.transaction, txn, &context) == nil else {
            return .refused(.alreadyActive(record.transaction))
        }
        // It may have ended since somebody looked: its request's entry tells.
        if let bytes = try txn.reading.get(requests, Keys.request(record.begin.intent.requestID)),
            (try? StateCodec.decodeRequest(bytes, of: record.begin.intent.requestID))?.transaction
                == record.transaction
        {
            return .refused(.alreadyActive(record.transaction))
        }
        let lsn = try append(.adopted(record), txn, &context)
        let begin = Durable(attestedByLog: record.begin, lsn: lsn, writtenAt: context.now)
        let undecided = ActiveTransaction.Decision.undecided
        let decision = try write(record.decision(now: context.now), over: undecided, txn, &context)
        let state = ActiveTransaction(begin: begin, decision: decision, acknowledged: [:])
        context.put(state)
        // A request_id that somebody has claimed since is theirs.
        let request = record.begin.intent.requestID
        if !record.isNameless, try txn.reading.get(requests, Keys.request(request)) == nil {
            try putClaim(of: state, .preparing, txn, &context)
            try claim(for: state, txn, &context)
        }
        return .resumed(state)
    }

    func reopen(
        _ ended: ActiveTransaction, _ record: ReopenedRecord, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        precondition(ended.transaction == record.transaction, "the history of another transaction")
        guard try loadActive(record.transaction, txn, &context) == nil else {
            return .refused(.alreadyActive(record.transaction))
        }
        let lsn = try append(.reopened(record), txn, &context)
        var parking: Durable<ParkedRecord>?
        if record.isParked {
            let parked = ParkedRecord(
                transaction: record.transaction, participant: .database(record.database), evidence: record.evidence)
            parking = Durable(attestedByLog: parked, lsn: lsn, writtenAt: context.now)
        }
        let state = ended.reopened(record, parking: parking)
        context.put(state)
        try claim(for: state, txn, &context)
        return .resumed(state)
    }

    func releaseReversal(
        _ record: ReversalReleasedRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard var task = try loadReversal(record.transaction, txn, &context) else {
            return .refused(.noReversal(record.transaction))
        }
        _ = try append(.reversalReleased(record), txn, &context)
        task.parkedReason = nil
        task.refusals = 0
        try txn.put(reversals, Keys.transaction(record.transaction), StateCodec.encode(task))
        return .noted
    }

    func reconcile(
        _ warrant: Warrant, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        guard try txn.delete(meta, Keys.continuity) else { return .noted }
        // What began in an earlier epoch was judged by evidence; not all of it has left a trace here.
        if let owner = try? readOwner(in: txn.reading) {
            try txn.put(meta, Keys.wholeSince, MetaCodec.encodeWholeSince(owner.epoch))
        }
        _ = try append(.reconciled(warrant), txn, &context)
        return .noted
    }

    /// Writes a value of the quarantine back where it was, if it can be read now and nothing else is there; or lets it go.
    func releaseQuarantined(
        _ record: QuarantineReleasedRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> StepOutcome {
        // A value of `active` goes back only where nothing is.
        try writeStates(txn, &context)
        let key = Keys.record(LSN(rawValue: record.number))
        guard let bytes = try txn.reading.get(quarantine, key) else {
            return .refused(.notInQuarantine("there is no number \(record.number) in the quarantine"))
        }
        if record.wasRestored {
            let value: QuarantinedValue
            do throws(ValueFault) {
                value = try MetaCodec.decodeQuarantined(bytes)
            } catch {
                return .refused(.notInQuarantine("number \(record.number) cannot be read itself: \(error)"))
            }
            guard let home = databases.first(where: { $0.name == value.database && $0 != quarantine }) else {
                return .refused(.notInQuarantine("number \(record.number) came from no place of this log"))
            }
            if let fault = fault(of: value, in: home) {
                return .refused(.notInQuarantine("number \(record.number) still cannot be read: \(fault)"))
            }
            guard try txn.reading.get(home, value.key) == nil else {
                return .refused(.notInQuarantine("another value is at the place of number \(record.number) by now"))
            }
            try txn.put(home, value.key, value.bytes)
        }
        _ = try append(.quarantineReleased(record), txn, &context)
        try txn.delete(quarantine, key)
        return .noted
    }

    /// What keeps a value from being read in its place; `nil` if nothing does.
    private func fault(of value: QuarantinedValue, in home: Database) -> ValueFault? {
        value.key.withUnsafeBytes { key in
            value.bytes.withUnsafeBytes { bytes in
                do throws(ValueFault) {
                    if home == records {
                        guard let lsn = Keys.lsn(from: key) else { throw .misplaced }
                        _ = try RecordCodec.decode(bytes, at: lsn)
                    } else if home == active {
                        guard let id = Keys.transaction(from: key) else { throw .misplaced }
                        _ = try StateCodec.decodeActive(bytes, of: id)
                    } else if home == reversals {
                        guard let id = Keys.transaction(from: key) else { throw .misplaced }
                        _ = try StateCodec.decodeReversal(bytes, of: id)
                    } else if home == requests {
                        guard let id = Keys.request(from: key) else { throw .misplaced }
                        _ = try StateCodec.decodeRequest(bytes, of: id)
                    } else {
                        guard let database = Keys.fence(from: key) else { throw .misplaced }
                        _ = try MetaCodec.decodeFence(bytes, of: database)
                    }
                    return nil
                } catch {
                    return error
                }
            }
        }
    }

    // MARK: parts

    /// A marker that cannot be read is a broken log: the owner would not have opened with it.
    private func continuity(_ txn: borrowing WriteTransaction) -> LogContinuity {
        (try? readContinuity(in: txn.reading)) ?? .unbroken
    }

    /// Writes the record of a new decision and its reversal task.
    private func write(
        _ decision: Resolving.Decision, over old: ActiveTransaction.Decision, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) -> ActiveTransaction.Decision {
        switch decision {
        case .asLogged: return old
        case .commit(let record):
            let lsn = try append(.commit(record), txn, &context)
            return .commit(Durable(attestedByLog: record, lsn: lsn, writtenAt: context.now))
        case .abort(let record):
            let lsn = try append(.abort(record), txn, &context)
            if let task = record.reversal {
                try txn.put(reversals, Keys.transaction(task.transaction), StateCodec.encode(task))
            }
            return .abort(Durable(attestedByLog: record, lsn: lsn, writtenAt: context.now))
        }
    }

    /// Says in the request's entry what the transaction's state means now.
    private func claim(
        for state: ActiveTransaction, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) {
        if state.isParked { return try retakeClaim(of: state, to: .heuristic, txn, &context) }
        switch state.decision {
        case .undecided: try retakeClaim(of: state, to: .preparing, txn, &context)
        case .commit: try retakeClaim(of: state, to: .committing, txn, &context)
        case .abort(let abort): try settleClaim(of: state, abort.record, txn, &context)
        }
    }
}
