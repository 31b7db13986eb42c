/// The two-phase commit of one payment operation, with presumed abort: events in, effects out.
///
/// It keeps rule 0 by construction: ``PrepareOrder`` and ``ResolveOrder`` are made from `Durable` records only, and those come
/// from the log. Votes and results that arrive after they can matter are taken and change nothing.
/// Two machines are equal when they would do the same from here on.
public struct TransactionMachine: Sendable, Hashable {
    public let transaction: TransactionID
    private let timing: Timing
    /// Read by the tests, which tell the states apart that they have seen.
    private(set) var state: TransactionState
    private let begin: BeginRecord
    private let decideBy: MonotonicTime
    private(set) var hasAnswered = false

    public struct Timing: Sendable, Hashable {
        /// Between two tellings of a decision to a participant that has not proven it done.
        public let delivery: Backoff
        /// Between two tries to write what the log had no room for.
        public let log: Backoff

        public init(delivery: Backoff, log: Backoff) {
            self.delivery = delivery
            self.log = log
        }
    }

    // MARK: - Start

    /// A new transaction.
    ///
    /// - Parameter decideBy: when ``deadlinePassed()`` will be called; participants are given it with each order.
    public init(begin: BeginRecord, decideBy: MonotonicTime, timing: Timing) {
        precondition(
            begin.branches.count { $0.role.contains(.payment) } == 1,
            "the payment's row is in one database: it is the witness of the commit")
        precondition(
            Set(begin.branches.map(\.participant)).count == begin.branches.count, "a participant has one branch")
        transaction = begin.transaction
        self.begin = begin
        self.decideBy = decideBy
        self.timing = timing
        state = .beginning(deadlinePassedAt: nil)
    }

    /// The first effects of a new transaction.
    public func start() -> [Effect] {
        guard case .beginning = state else { impossible("start") }
        return [.append(.begin(begin), .forced)]
    }

    /// Takes up a transaction that the log says is unfinished.
    ///
    /// An undecided one is aborted by presumption, so the caller must know that the log is unbroken and that no witness of it
    /// is visible (``RecoveryPlan``); one that was parked for such a witness goes on waiting. A decided one is carried out.
    ///
    /// - Parameter now: for the reversal task's age.
    public static func resume(
        _ active: ActiveTransaction, timing: Timing, now: WallTime
    ) -> (machine: TransactionMachine, effects: [Effect]) {
        var machine = TransactionMachine(
            begin: active.begin.record, decideBy: MonotonicTime(nanoseconds: 0), timing: timing)
        switch active.decision {
        case .undecided where active.isParked:
            machine.state = .parkedUndecided
            return (machine, [])
        case .undecided:
            let everyone = active.begin.record.branches.map(\.participant)
            let votes = everyone.map { ($0, Vote.unknown("the server that asked is gone")) }
            let effects = machine.decideAbort(
                .init(
                    begin: active.begin, stagesLeft: [], outstanding: [],
                    votes: Dictionary(uniqueKeysWithValues: votes)),
                now: now)
            return (machine, effects)
        case .commit(let decision):
            let effects = machine.deliver(commit: decision, begin: active.begin, resumedFrom: active)
            return (machine, effects)
        case .abort(let decision):
            let effects = machine.deliver(
                abort: decision, begin: active.begin, asked: machine.databaseParticipants, outstanding: [],
                resumedFrom: active)
            return (machine, effects)
        }
    }

    // MARK: - Events

    /// A step of this transaction is durable.
    public mutating func logged(_ write: LogWrite, _ receipt: LogReceipt) -> [Effect] {
        switch (receipt, state) {
        case (.begun(let begin), .beginning(let deadlinePassedAt)):
            let stages = PreparePolicy.stages(of: begin.record.intent.kind, branches: begin.record.branches)
            let preparing = TransactionState.Preparing(
                begin: begin, stagesLeft: stages[...], outstanding: [], votes: [:])
            if let deadlinePassedAt { return decideAbort(preparing, now: deadlinePassedAt) }
            return askNextStage(preparing)
        case (.committing(let decision), .deciding(let preparing)):
            return deliver(commit: decision, begin: preparing.begin, resumedFrom: nil)
        case (.aborting(let decision), .deciding(let preparing)):
            return deliver(
                abort: decision, begin: preparing.begin, asked: mayBePrepared(preparing),
                outstanding: preparing.outstanding, resumedFrom: nil)
        case (.noted, .ending):
            // Acknowledgements may be noted after END was sent; only END's own receipt ends it.
            guard case .end = write else { return [] }
            state = .finished
            return [.finished]
        case (.noted, _), (.parked, _):
            return []
        case (.begun, _), (.committing, _), (.aborting, _), (.resumed, _), (.proposed, _):
            impossible("the log's receipt \(receipt)")
        }
    }

    /// The log did not take a step of this transaction; nothing was written.
    public mutating func refused(_ write: LogWrite, urgency: LogUrgency, _ refusal: LogRefusal) -> [Effect] {
        switch (write, state) {
        case (.begin, .beginning):
            state = .finished
            return [answer(refusal.answerToBegin), .releaseClaim, .finished].compactMap(\.self)
        case (.commit, .deciding), (.abort, .deciding):
            switch refusal {
            case .alreadyDecided(.commit(let decision)): return logged(write, .committing(decision))
            case .alreadyDecided(.abort(let decision)): return logged(write, .aborting(decision))
            case .full: return [retry(write, urgency)]
            case .notActive:
                // The log set the record aside as damaged. Without a decision nobody may be told anything.
                state = .parkedUndecided
                return [answer(.pending(transaction))].compactMap(\.self)
            case .alreadyDecided(.undecided), .requestClaimed, .noReversal, .notResolvable, .alreadyActive,
                .notInQuarantine:
                impossible("a decision refused with \(refusal)")
            }
        case (.acknowledged, _), (.end, .finished), (.park, .finished):
            // An acknowledgement that finds no room is proven again by the next recovery.
            return []
        case (.end, _), (.park, _):
            // An end and a parking are not left out.
            if case .full = refusal { return [retry(write, urgency)] }
            // The transaction is not in the log any more: an operator resolved it beside us.
            state = .finished
            return [.finished]
        case (.begin, _), (.commit, _), (.abort, _), (.reversalRefused, _), (.closeReversal, _), (.parkReversal, _),
            (.fenceAttempted, _), (.fenceConfirmed, _), (.databaseSeen, _), (.resolve, _), (.adopt, _), (.reopen, _),
            (.releaseReversal, _), (.releaseQuarantined, _), (.reconcile, _):
            impossible("\(write) refused with \(refusal)")
        }
    }

    /// A participant voted. `now` is for the record of an abort.
    public mutating func voted(_ participant: Participant, _ vote: Vote, now: WallTime) -> [Effect] {
        switch state {
        case .preparing(var preparing):
            guard preparing.outstanding.remove(participant) != nil else { return [] }
            preparing.votes[participant] = vote
            state = .preparing(preparing)
            // All of a stage are heard before it is judged: another coordinator's outcome outweighs a failure.
            guard preparing.outstanding.isEmpty else { return [] }
            guard preparing.votes.values.allSatisfy(\.isYes) else { return decideAbort(preparing, now: now) }
            return askNextStage(preparing)
        case .deciding(var preparing):
            guard preparing.outstanding.remove(participant) != nil else { return [] }
            preparing.votes[participant] = vote
            state = .deciding(preparing)
            return []
        case .aborting(var delivering):
            guard delivering.outstanding.remove(participant) != nil else { return [] }
            if case .no = vote {
                delivering.open.remove(participant)
                state = .aborting(delivering)
                return endIfDone()
            }
            state = .aborting(delivering)
            return [.resolve(order(participant, delivering), isRepeat: false)]
        case .beginning, .committing, .ending, .parkedUndecided, .finished:
            return []
        }
    }

    /// The time to decide is over. While BEGIN is on its way this is remembered: then nobody is asked any more.
    public mutating func deadlinePassed(now: WallTime) -> [Effect] {
        switch state {
        case .beginning:
            state = .beginning(deadlinePassedAt: now)
            return []
        case .preparing(let preparing):
            return decideAbort(preparing, now: now)
        case .deciding, .committing, .aborting, .ending, .parkedUndecided, .finished:
            return []
        }
    }

    /// A participant was told the decision.
    public mutating func resolved(_ participant: Participant, _ resolution: Resolution) -> [Effect] {
        switch state {
        case .committing(var delivering):
            guard delivering.open.contains(participant) else { return [] }
            let effects = take(resolution, of: participant, &delivering)
            state = .committing(delivering)
            guard case .done = resolution else { return effects }
            return effects + afterCommit(of: participant, delivering) + endIfDone()
        case .aborting(var delivering):
            guard delivering.open.contains(participant) else { return [] }
            let effects = take(resolution, of: participant, &delivering)
            state = .aborting(delivering)
            return effects + endIfDone()
        case .beginning, .preparing, .deciding, .ending, .parkedUndecided, .finished:
            return []
        }
    }

    /// A database went back in time, behind its acknowledgement: it is told the decision again. Its new answer, done or parked, is
    /// written like the first one. Where END is on its way nothing is done: an ended transaction is reopened.
    public mutating func acknowledgementLost(by participant: Participant) -> [Effect] {
        switch state {
        case .committing(var delivering):
            guard mayHaveLost(participant, delivering) else { return [] }
            delivering.open.insert(participant)
            state = .committing(delivering)
            return [.resolve(order(participant, delivering), isRepeat: true)]
        case .aborting(var delivering):
            guard mayHaveLost(participant, delivering) else { return [] }
            delivering.open.insert(participant)
            state = .aborting(delivering)
            return [.resolve(order(participant, delivering), isRepeat: true)]
        case .beginning, .preparing, .deciding, .ending, .parkedUndecided, .finished:
            return []
        }
    }

    private func mayHaveLost<Decision>(
        _ participant: Participant, _ delivering: TransactionState.Delivering<Decision>
    ) -> Bool {
        databaseParticipants.contains(participant) && !delivering.open.contains(participant)
            && !delivering.outstanding.contains(participant) && !delivering.parked.contains(participant)
    }

    /// The wait of a ``Effect/scheduleRetry(_:after:)`` is over.
    public func retryDue(_ subject: RetrySubject) -> [Effect] {
        switch subject {
        case .log(let write, let urgency):
            return [.append(write, urgency)]
        case .participant(let participant):
            switch state {
            case .committing(let delivering) where delivering.open.contains(participant):
                return [.resolve(order(participant, delivering), isRepeat: true)]
            case .aborting(let delivering) where delivering.open.contains(participant):
                return [.resolve(order(participant, delivering), isRepeat: true)]
            case .beginning, .preparing, .deciding, .committing, .aborting, .ending, .parkedUndecided, .finished:
                return []
            }
        }
    }
}

// MARK: - Preparing and deciding

extension TransactionMachine {
    private mutating func askNextStage(_ preparing: TransactionState.Preparing) -> [Effect] {
        var preparing = preparing
        guard let stage = preparing.stagesLeft.popFirst() else {
            state = .deciding(preparing)
            let code = preparing.authorizationCode
            return [.append(.commit(CommitRecord(transaction: transaction, authorizationCode: code)), .forced)]
        }
        preparing.outstanding = Set(stage.map(\.participant))
        state = .preparing(preparing)
        let code = preparing.authorizationCode
        return stage.map { branch in
            .prepare(
                PrepareOrder(
                    allowedBy: preparing.begin, branch: branch, authorizationCode: code, deadline: decideBy))
        }
    }

    private mutating func decideAbort(_ preparing: TransactionState.Preparing, now: WallTime) -> [Effect] {
        state = .deciding(preparing)
        let (reason, claim) = Verdict.ofAbort(preparing)
        let network = preparing.votes[.clearing]
        let mayHold = preparing.outstanding.contains(.clearing) || network.map { !$0.isNo } ?? false
        let reversal =
            mayHold ? ReversalTask(transaction: transaction, intent: begin.intent, createdAt: now) : nil
        let record = AbortRecord(transaction: transaction, reason: reason, claim: claim, reversal: reversal)
        return [.append(.abort(record), .forced)]
    }

    /// Databases that were asked and did not definitely refuse.
    private func mayBePrepared(_ preparing: TransactionState.Preparing) -> Set<Participant> {
        databaseParticipants.filter { participant in
            preparing.outstanding.contains(participant) || preparing.votes[participant].map { !$0.isNo } ?? false
        }
    }

    private var databaseParticipants: Set<Participant> {
        Set(begin.branches.map(\.participant).filter { $0 != .clearing })
    }
}

// MARK: - Carrying the decision out

extension TransactionMachine {
    private mutating func deliver(
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

    private mutating func deliver(
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
    private mutating func afterCommit(
        of participant: Participant, _ delivering: TransactionState.Delivering<CommitRecord>
    ) -> [Effect] {
        guard participant == firstDatabase else { return [] }
        var effects = [answer(.approved(transaction))].compactMap(\.self)
        if delivering.open.contains(.clearing) {
            effects.append(.resolve(order(.clearing, delivering), isRepeat: delivering.resumed))
        }
        return effects
    }

    private func take<Decision>(
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

    private mutating func endIfDone() -> [Effect] {
        let outcome: Outcome
        switch state {
        case .committing(let delivering):
            guard delivering.open.isEmpty, delivering.parked.isEmpty else { return [] }
            outcome = .committed
        case .aborting(let delivering):
            guard delivering.open.isEmpty, delivering.outstanding.isEmpty, delivering.parked.isEmpty else { return [] }
            outcome = .aborted
        case .beginning, .preparing, .deciding, .ending, .parkedUndecided, .finished:
            return []
        }
        state = .ending
        let record = EndRecord(transaction: transaction, requestID: begin.intent.requestID, outcome: outcome)
        return [.append(.end(record), .lazy)]
    }

    /// The database of the payment's row.
    var firstDatabase: Participant {
        begin.branches.first { $0.role.contains(.payment) }?.participant ?? .clearing
    }

    private func branch(_ participant: Participant) -> Branch {
        guard let branch = begin.branches.first(where: { $0.participant == participant }) else {
            impossible("\(participant) is no participant")
        }
        return branch
    }

    private func order(
        _ participant: Participant, _ delivering: TransactionState.Delivering<CommitRecord>
    ) -> ResolveOrder {
        ResolveOrder(
            allowedBy: delivering.decision, begin: begin, branch: branch(participant), isResumed: delivering.resumed)
    }

    private func order(
        _ participant: Participant, _ delivering: TransactionState.Delivering<AbortRecord>
    ) -> ResolveOrder {
        ResolveOrder(
            allowedBy: delivering.decision, begin: begin, branch: branch(participant), isResumed: delivering.resumed)
    }

    // MARK: - Small things

    private mutating func answer(_ answer: Answer) -> Effect? {
        guard !hasAnswered else { return nil }
        hasAnswered = true
        return .answer(answer)
    }

    private func retry(_ write: LogWrite, _ urgency: LogUrgency) -> Effect {
        .scheduleRetry(.log(write, urgency), after: timing.log.base)
    }

    private static func byNumber(_ left: Participant, _ right: Participant) -> Bool {
        left.description < right.description
    }

    private func impossible(_ event: String) -> Never {
        preconditionFailure("transaction \(transaction) in state \(state.name): \(event)")
    }
}
