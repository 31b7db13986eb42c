import Coordinator

/// What the log, the participants and the process do.
extension World {
    // MARK: - The log

    mutating func sync() {
        let step = pending.removeFirst()
        if settings.flaw == .receiptBeforeSync { logBeforeLastStep = log }
        let result = log.take(step.write)
        if case .success = result { noteDurable(step.write) }
        // The worker's own steps are not the machine's.
        if case .closeReversal = step.write { return }
        report(step, result)
        guard case .commit = step.write, case .success = result else { return }
        switch settings.flaw {
        case .networkBeforeDatabase: confirm()
        case .answersBeforeWitness: apply([.answer(.approved(Samples.transaction))])
        default: break
        }
    }

    private mutating func report(_ step: Step, _ result: Result<LogReceipt, LogRefusal>) {
        onMachine { machine in
            switch result {
            case .success(let receipt): machine.logged(step.write, receipt)
            case .failure(let refusal): machine.refused(step.write, urgency: step.urgency, refusal)
            }
        }
    }

    mutating func refuseStep() {
        fulls += 1
        let step = pending.removeFirst()
        if settings.flaw == .dropsRefusedSteps { return }
        // A reversal that could not be closed stays in the log and is sent again; here at once, in reality by the next start.
        if case .closeReversal = step.write {
            network.isReversing = true
            return
        }
        report(step, .failure(.full))
    }

    // MARK: - Databases

    static let unknown = Vote.unknown("no answer that means anything")

    mutating func prepare(_ index: Int) -> Vote {
        databases[index].isPreparing = false
        if databases[index].state == .none { databases[index].state = .prepared }
        return .yes(authorizationCode: "")
    }

    mutating func vote(_ index: Int, _ vote: Vote) {
        databases[index].owesVote = false
        onMachine { $0.voted(Self.participant(index), vote, now: WallTime(microseconds: 0)) }
    }

    /// An abort is done only when no backend can prepare any more: it is terminated first.
    mutating func carryOut(_ decision: Outcome, at index: Int) -> Resolution {
        switch (decision, databases[index].state) {
        case (.committed, .prepared):
            databases[index].state = .committed
            return .done(.acknowledgement)
        case (.committed, .committed):
            return .done(.witness)
        case (.committed, .none), (.committed, .rolledBack):
            if interferences == 0 { fail("a database that is to commit has nothing prepared") }
            return .heuristic("neither prepared nor committed")
        case (.aborted, .prepared):
            databases[index].state = .rolledBack
            return .done(.acknowledgement)
        case (.aborted, .none), (.aborted, .rolledBack):
            if settings.flaw != .noFencing { databases[index].isPreparing = false }
            return .done(.absence)
        case (.aborted, .committed):
            if interferences == 0 { fail("a database that is to roll back has committed") }
            return .heuristic("committed")
        }
    }

    mutating func resolved(_ participant: Participant, _ resolution: Resolution) {
        if let index = Self.number(participant) {
            databases[index].telling = nil
        } else {
            network.isConfirming = false
        }
        onMachine { $0.resolved(participant, resolution) }
    }

    // MARK: - The network

    /// One hold request arrives. Idempotent: a repeat hears what the first one heard.
    mutating func executeHold(accepts: Bool) -> Bool {
        network.holds -= 1
        if network.state == .none { network.state = accepts ? .held : .declined }
        return network.state == .held || network.state == .confirmed
    }

    mutating func answerHold(accepts: Bool) {
        // A network may decline the repeat of a hold that it has placed: "duplicate".
        let isHeld = executeHold(accepts: accepts) && (accepts || network.attempts == 1)
        let isFirst = network.attempts == 1 || settings.flaw == .declineAfterLossIsFinal
        // A refusal after an attempt whose outcome is unknown is unknown.
        finishHold(
            isHeld ? .yes(authorizationCode: "") : isFirst ? .no(.declined("funds")) : Self.unknown)
    }

    mutating func loseHold(executed: Bool, retries: Bool) {
        losses += 1
        if executed { _ = executeHold(accepts: true) }
        guard retries else {
            return finishHold(settings.flaw == .unknownHoldIsNo ? .no(.unavailable("timeout")) : Self.unknown)
        }
        network.attempts += 1
        network.holds += 1
    }

    private mutating func finishHold(_ vote: Vote) {
        network.attempts = 0
        onMachine { $0.voted(.clearing, vote, now: WallTime(microseconds: 0)) }
    }

    mutating func executeConfirmation() -> Resolution {
        switch network.state {
        case .held:
            network.state = .confirmed
            return .done(.acknowledgement)
        case .confirmed:
            return .done(.acknowledgement)
        case .none, .released, .declined:
            if interferences == 0 { fail("the network is to confirm what it does not hold") }
            return .heuristic("no such hold")
        }
    }

    mutating func executeReversal() {
        switch network.state {
        case .held: network.state = .released
        case .none: if settings.flaw != .noTombstones { network.state = .released }
        case .confirmed: fail("a confirmed payment is reversed")
        case .released, .declined: break
        }
    }

    mutating func lookedUp(_ prior: PriorPayment) {
        databases[0].owesLookUp = false
        onMachine { $0.lookedUp(prior, now: WallTime(microseconds: 0)) }
    }

    // MARK: - The process

    mutating func crash(durable: Int, executed: Bool) {
        crashes += 1
        for step in pending.prefix(durable) {
            if case .success = log.take(step.write) { noteDurable(step.write) }
        }
        if durable == 0, let before = logBeforeLastStep { log = before }
        if executed { executeEverything() }
        isUp = false
        machine = nil
        pending = []
        retries = []
        network.attempts = 0
        network.isConfirming = false
        network.isReversing = false
        for index in databases.indices {
            databases[index].owesVote = false
            databases[index].owesLookUp = false
            databases[index].telling = nil
        }
    }

    private mutating func executeEverything() {
        for index in databases.indices {
            if let decision = databases[index].telling { _ = carryOut(decision, at: index) }
        }
        if network.isConfirming { _ = executeConfirmation() }
        if network.isReversing { executeReversal() }
    }

    /// What the server's start does: fence, look, plan, carry out.
    mutating func restart() {
        isUp = true
        isFinished = false
        isDeadlineDue = false
        if settings.flaw != .noFencing {
            for index in databases.indices { databases[index].isPreparing = false }
        }
        if log.active?.decision == .undecided, databases.contains(where: { $0.state == .committed }) {
            isContradicted = true
        }
        let plan = RecoveryPlan(
            .init(snapshot: snapshot, liveEpoch: nil, observations: observations, history: [:]))
        if !plan.strays.isEmpty, settings.flaw == .none {
            fail("recovery finds a branch that the log does not explain")
        }
        for verdict in plan.transactions { carryOut(verdict) }
        if !plan.reversals.isEmpty, settings.flaw != .forgetsReversalsAtRestart { network.isReversing = true }
    }

    private mutating func carryOut(_ verdict: TransactionVerdict) {
        switch verdict.verdict {
        case .presumeAbort where settings.flaw == .presumedCommit:
            log.overwrite(with: Samples.commit(verdict.transaction.begin.record))
            hasCommitted = true
            if let active = log.active { resume(active) }
        case .presumeAbort, .commit, .rollBack:
            resume(verdict.transaction)
        case .parked, .parkRolledBack:
            if interferences == 0 { fail("recovery parks what nobody interfered with") }
            resume(verdict.transaction)
        case .parkContradiction:
            if interferences == 0 { fail("recovery sees a contradiction where there is none") }
            guard let witness = verdict.findings.first(where: { $0.state == .witnessed }) else {
                return fail("a contradiction without a witness")
            }
            let record = ParkedRecord(
                transaction: Samples.transaction, participant: witness.branch.participant, evidence: "witnessed")
            pending.append(Step(write: .park(record), urgency: .forced))
        case .commitOnEvidence, .abortOnEvidence, .awaitEvidence:
            fail("recovery takes a whole log for a broken one")
        case .inFlight:
            fail("recovery leaves the work to a server that is not there")
        }
    }

    private mutating func resume(_ active: ActiveTransaction) {
        let (resumed, effects) = TransactionMachine.resume(
            active, timing: Samples.timing, now: WallTime(microseconds: 0))
        machine = resumed
        apply(effects)
    }

    private var snapshot: LogSnapshot {
        LogSnapshot(
            log: Samples.log, owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 0)),
            nextLSN: LSN(rawValue: 9), active: log.active.map { [$0] } ?? [],
            reversals: log.reversal.map { [$0] } ?? [], fences: [], quarantined: 0)
    }

    private var observations: [DatabaseIndex: DatabaseObservation.State] {
        var states: [DatabaseIndex: DatabaseObservation.State] = [:]
        for (index, database) in databases.enumerated() {
            let number = Samples.database(UInt8(index + 1))
            states[number] = .seen(
                .init(
                    prepared: database.state == .prepared ? [Self.listed[index]] : [],
                    witnessed: database.state == .committed ? [Samples.transaction] : [],
                    olderBackendsAlive: database.isPreparing))
        }
        return states
    }

    private static let listed = [UInt8(1), 2].map { number in
        let gid = GlobalBranchID(
            log: Samples.log, epoch: Epoch(rawValue: 1), transaction: Samples.transaction,
            database: Samples.database(number))
        return PreparedTransaction(
            gid: gid.description, owner: "holdfast", databaseName: "payments",
            preparedAt: WallTime(microseconds: 0))
    }
}
