/// Carrying the decision out, until every participant has proven that it did.
extension TransactionMachine {
    mutating func deliver(
        commit decision: Durable<CommitRecord>, begin: Durable<BeginRecord>, resumedFrom active: ActiveTransaction?
    ) -> [Effect] {
        let parked = active?.parkedParticipants ?? []
        let done = Set(active?.proven.keys.map(\.self) ?? [])
        let delivering = TransactionState.Delivering(
            begin: begin, decision: decision, outstanding: [],
            open: Set(begin.record.branches.map(\.participant)).subtracting(done).subtracting(parked), attempts: [:],
            parked: parked, resumed: active != nil)
        state = .committing(delivering)
        var effects: [Effect] = databaseParticipants.intersection(delivering.open).sorted(by: Self.byNumber).map {
            .resolve(order($0, delivering), isRepeat: delivering.resumed)
        }
        // The payment's own database may have been committed before the crash: then the network is next.
        if done.contains(firstDatabase) { effects += afterCommit(of: firstDatabase, delivering) }
        return effects + endIfDone()
    }

    mutating func deliver(
        abort decision: Durable<AbortRecord>, begin: Durable<BeginRecord>, asked: Set<Participant>,
        outstanding: Set<Participant>, resumedFrom active: ActiveTransaction?
    ) -> [Effect] {
        let parked = active?.parkedParticipants ?? []
        let done = Set(active?.proven.keys.map(\.self) ?? [])
        let delivering = TransactionState.Delivering(
            begin: begin, decision: decision, outstanding: outstanding.intersection(asked),
            open: asked.subtracting(done).subtracting(parked), attempts: [:], parked: parked, resumed: active != nil)
        state = .aborting(delivering)
        var effects: [Effect] = []
        if active == nil, let task = decision.record.reversal { effects.append(.enqueueReversal(task)) }
        switch decision.record.claim {
        case .declined:
            effects += [answer(.declined(decision.record.reason, transaction))].compactMap(\.self)
        case .released:
            let isConflict = decision.record.reason == .idempotencyConflict
            let known: Answer = isConflict ? .refused(.idempotencyConflict) : .pending(transaction)
            effects += [answer(known), .releaseClaim].compactMap(\.self)
        case .madeBy(let other):
            effects += [answer(.madeBy(other))].compactMap(\.self)
        }
        let tellNow = delivering.open.subtracting(delivering.outstanding)
        effects += tellNow.sorted(by: Self.byNumber).map {
            .resolve(order($0, delivering), isRepeat: delivering.resumed)
        }
        return effects + endIfDone()
    }

    /// The payment's own database is the witness: when it has committed, the client may be told, and only then the network.
    mutating func afterCommit(
        of participant: Participant, _ delivering: TransactionState.Delivering<CommitRecord>
    ) -> [Effect] {
        guard participant == firstDatabase else { return [] }
        var effects = [answer(.approved(transaction))].compactMap(\.self)
        if delivering.open.contains(.clearing) {
            effects.append(.resolve(order(.clearing, delivering), isRepeat: delivering.resumed))
        }
        return effects
    }

    func take<Decision>(
        _ resolution: Resolution, of participant: Participant,
        _ delivering: inout TransactionState.Delivering<Decision>
    ) -> [Effect] {
        switch resolution {
        case .done(let proof):
            delivering.open.remove(participant)
            let record = AcknowledgedRecord(transaction: transaction, participant: participant, proof: proof)
            return [.append(.acknowledged(record), .lazy)]
        case .heuristic(let evidence):
            delivering.open.remove(participant)
            delivering.parked.insert(participant)
            let record = ParkedRecord(transaction: transaction, participant: participant, evidence: evidence)
            return [.append(.park(record), .forced)]
        case .open:
            let attempts = delivering.attempts[participant, default: 0] + 1
            delivering.attempts[participant] = attempts
            let wait = timing.delivery.delay(afterAttempt: attempts, spread: transaction.low)
            return [.scheduleRetry(.participant(participant), after: wait)]
        }
    }

    mutating func endIfDone() -> [Effect] {
        let outcome: Outcome
        switch state {
        case .committing(let delivering):
            guard delivering.open.isEmpty, delivering.parked.isEmpty else { return [] }
            outcome = .committed
        case .aborting(let delivering):
            guard delivering.open.isEmpty, delivering.outstanding.isEmpty, delivering.parked.isEmpty else { return [] }
            outcome = .aborted
        case .beginning, .preparing, .lookingUp, .deciding, .ending, .parkedUndecided, .finished:
            return []
        }
        state = .ending
        let record = EndRecord(transaction: transaction, requestID: begin.intent.requestID, outcome: outcome)
        return [.append(.end(record), .lazy)]
    }

    /// The database of the payment's row.
    var firstDatabase: Participant {
        begin.paymentDatabase ?? .clearing
    }

    func branch(_ participant: Participant) -> Branch {
        guard let branch = begin.branches.first(where: { $0.participant == participant }) else {
            impossible("\(participant) is no participant")
        }
        return branch
    }

    func order(
        _ participant: Participant, _ delivering: TransactionState.Delivering<CommitRecord>
    ) -> ResolveOrder {
        ResolveOrder(
            allowedBy: delivering.decision, begin: begin, branch: branch(participant), isResumed: delivering.resumed)
    }

    func order(
        _ participant: Participant, _ delivering: TransactionState.Delivering<AbortRecord>
    ) -> ResolveOrder {
        ResolveOrder(
            allowedBy: delivering.decision, begin: begin, branch: branch(participant), isResumed: delivering.resumed)
    }

    // MARK: - Small things

    mutating func answer(_ answer: Answer) -> Effect? {
        guard !hasAnswered else { return nil }
        hasAnswered = true
        return .answer(answer)
    }

    func retry(_ write: LogWrite, _ urgency: LogUrgency) -> Effect {
        .scheduleRetry(.log(write, urgency), after: timing.log.base)
    }

    static func byNumber(_ left: Participant, _ right: Participant) -> Bool {
        left.description < right.description
    }

    func impossible(_ event: String) -> Never {
        preconditionFailure("transaction \(transaction) in state \(state.name): \(event)")
    }
}
