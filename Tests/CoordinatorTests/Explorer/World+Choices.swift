import Coordinator

/// Everything that may happen next.
extension World {
    enum Choice: Hashable {
        case sync
        case logIsFull
        case databasePrepares(Int)
        case databaseRefuses(Int, Vote.Refusal)
        case voteIsLost(Int)
        case latePrepare(Int)
        case requestIsLookedUp
        case lookUpIsLost
        case databaseIsTold(Int)
        case tellingIsLost(Int, executed: Bool)
        case holdIsAnswered(accepts: Bool)
        case holdIsLost(executed: Bool, retries: Bool)
        case lateHold(accepts: Bool)
        case networkConfirms
        case confirmationIsLost(executed: Bool)
        case networkReverses
        case reversalIsLost(executed: Bool)
        case retry(RetrySubject)
        case deadline
        /// The process dies; so many steps of those on their way to the log are durable, and requests that were on their way
        /// to a participant have arrived or not.
        case crash(durable: Int, executed: Bool)
        case restart
        case interfere(Int, commits: Bool)
    }

    /// What must happen some time if nothing else does. None of these: the world is at rest.
    var mandatoryChoices: [Choice] {
        guard isUp else { return [.restart] }
        var choices: [Choice] = pending.isEmpty ? [] : [.sync]
        for (index, database) in databases.enumerated() {
            if database.owesVote {
                choices.append(.databasePrepares(index))
                choices += settings.refusals.map { .databaseRefuses(index, $0) }
            }
            if database.owesLookUp { choices.append(.requestIsLookedUp) }
            if database.telling != nil { choices.append(.databaseIsTold(index)) }
        }
        if network.attempts > 0 {
            choices.append(.holdIsAnswered(accepts: true))
            if network.state == .none || network.attempts > 1 { choices.append(.holdIsAnswered(accepts: false)) }
        }
        if network.isConfirming { choices.append(.networkConfirms) }
        if network.isReversing { choices.append(.networkReverses) }
        choices += retries.map { .retry($0) }
        return choices
    }

    /// What may happen or not.
    var optionalChoices: [Choice] {
        var choices: [Choice] = []
        for (index, database) in databases.enumerated() {
            if database.isPreparing, !database.owesVote { choices.append(.latePrepare(index)) }
            if database.state == .prepared, interferences < settings.interferencesMax {
                choices += [.interfere(index, commits: true), .interfere(index, commits: false)]
            }
        }
        if network.holds > (network.attempts > 0 ? 1 : 0) {
            choices.append(.lateHold(accepts: true))
            if network.state == .none { choices.append(.lateHold(accepts: false)) }
        }
        guard isUp else { return choices }
        if let machine, machine.isUndecided, isDeadlineDue { choices.append(.deadline) }
        if fulls < settings.fullsMax, !pending.isEmpty { choices.append(.logIsFull) }
        if losses < settings.lossesMax { choices += lossChoices }
        if crashes < settings.crashesMax { choices += crashChoices }
        return choices
    }

    private var lossChoices: [Choice] {
        var choices: [Choice] = []
        for (index, database) in databases.enumerated() {
            if database.owesVote { choices.append(.voteIsLost(index)) }
            if database.owesLookUp { choices.append(.lookUpIsLost) }
            if database.telling != nil {
                choices += [.tellingIsLost(index, executed: true), .tellingIsLost(index, executed: false)]
            }
        }
        if network.attempts > 0 {
            for retries in [true, false] where !retries || network.attempts < 2 {
                choices += [
                    .holdIsLost(executed: true, retries: retries), .holdIsLost(executed: false, retries: retries),
                ]
            }
        }
        if network.isConfirming {
            choices += [.confirmationIsLost(executed: true), .confirmationIsLost(executed: false)]
        }
        if network.isReversing {
            choices += [.reversalIsLost(executed: true), .reversalIsLost(executed: false)]
        }
        return choices
    }

    private var crashChoices: [Choice] {
        let isWaiting = network.isConfirming || network.isReversing || databases.contains { $0.telling != nil }
        return (0...pending.count).flatMap { durable -> [Choice] in
            isWaiting
                ? [.crash(durable: durable, executed: false), .crash(durable: durable, executed: true)]
                : [.crash(durable: durable, executed: false)]
        }
    }

    mutating func take(_ choice: Choice) {
        switch choice {
        case .sync: sync()
        case .logIsFull: refuseStep()
        case .databasePrepares(let index): vote(index, prepare(index))
        case .databaseRefuses(let index, let refusal):
            databases[index].isPreparing = false
            vote(index, .no(refusal))
        case .voteIsLost(let index):
            losses += 1
            vote(index, Self.unknown)
        case .latePrepare(let index): _ = prepare(index)
        case .requestIsLookedUp: lookedUp(.none)
        case .lookUpIsLost:
            losses += 1
            lookedUp(.unknown("lost"))
        case .databaseIsTold(let index):
            guard let decision = databases[index].telling else { return fail("nothing to tell") }
            resolved(Self.participant(index), carryOut(decision, at: index))
        case .tellingIsLost(let index, let executed):
            losses += 1
            if executed, let decision = databases[index].telling { _ = carryOut(decision, at: index) }
            let isGuess = settings.flaw == .absenceWithoutProof && databases[index].telling == .aborted
            resolved(Self.participant(index), isGuess ? .done(.absence) : .open("lost"))
        case .holdIsAnswered(let accepts): answerHold(accepts: accepts)
        case .holdIsLost(let executed, let retries): loseHold(executed: executed, retries: retries)
        case .lateHold(let accepts): _ = executeHold(accepts: accepts)
        case .networkConfirms: resolved(.clearing, executeConfirmation())
        case .confirmationIsLost(let executed):
            losses += 1
            if executed { _ = executeConfirmation() }
            resolved(.clearing, .open("lost"))
        case .networkReverses:
            executeReversal()
            network.isReversing = false
            pending.append(
                Step(write: .closeReversal(ReversalClosedRecord(transaction: Samples.transaction)), urgency: .lazy))
        case .reversalIsLost(let executed):
            losses += 1
            if executed { executeReversal() }
        case .retry(let subject):
            retries.remove(subject)
            onMachine { $0.retryDue(subject) }
        case .deadline:
            isDeadlineDue = false
            onMachine { $0.deadlinePassed(now: WallTime(microseconds: 0)) }
        case .crash(let durable, let executed): crash(durable: durable, executed: executed)
        case .restart: restart()
        case .interfere(let index, let commits):
            interferences += 1
            databases[index].state = commits ? .committed : .rolledBack
        }
    }

    mutating func onMachine(_ body: (inout TransactionMachine) -> [Effect]) {
        guard var running = machine else { return }
        let effects = body(&running)
        machine = running
        apply(effects)
    }
}
