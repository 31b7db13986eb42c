/// The two-phase commit of one payment operation, with presumed abort: events in, effects out.
///
/// It keeps rule 0 by construction: ``PrepareOrder`` and ``ResolveOrder`` are made from `Durable` records only, and those come
/// from the log. Votes and results that arrive after they can matter are taken and change nothing.
/// Two machines are equal when they would do the same from here on.
public struct TransactionMachine: Sendable, Hashable {
    public let transaction: TransactionID
    let timing: Timing
    /// Changed in the machine's own files alone.
    var state: TransactionState
    let begin: BeginRecord
    let decideBy: MonotonicTime
    var hasAnswered = false

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
            let effects = machine.giveUp(
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
            if let deadlinePassedAt { return giveUp(preparing, now: deadlinePassedAt) }
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
            guard preparing.take(vote, of: participant) else { return [] }
            state = .preparing(preparing)
            // All of a stage are heard before it is judged: another coordinator's outcome outweighs a failure.
            guard preparing.outstanding.isEmpty else { return [] }
            guard preparing.votes.values.allSatisfy(\.isYes) else { return giveUp(preparing, now: now) }
            return askNextStage(preparing)
        case .lookingUp(var preparing):
            guard preparing.take(vote, of: participant) else { return [] }
            state = .lookingUp(preparing)
            return []
        case .deciding(var preparing):
            guard preparing.take(vote, of: participant) else { return [] }
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

    /// The payment's database was asked for the request_id. `now` is for the record of the abort.
    public mutating func lookedUp(_ prior: PriorPayment, now: WallTime) -> [Effect] {
        guard case .lookingUp(let preparing) = state else { return [] }
        // A vote that came meanwhile says as much.
        return decideAbort(preparing, preparing.knowsPrior ? .none : prior, now: now)
    }

    /// The time to decide is over. While BEGIN is on its way this is remembered: then nobody is asked any more.
    public mutating func deadlinePassed(now: WallTime) -> [Effect] {
        switch state {
        case .beginning:
            state = .beginning(deadlinePassedAt: now)
            return []
        case .preparing(let preparing):
            return giveUp(preparing, now: now)
        case .lookingUp, .deciding, .committing, .aborting, .ending, .parkedUndecided, .finished:
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
        case .beginning, .preparing, .lookingUp, .deciding, .ending, .parkedUndecided, .finished:
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
        case .beginning, .preparing, .lookingUp, .deciding, .ending, .parkedUndecided, .finished:
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
            case .beginning, .preparing, .lookingUp, .deciding, .committing, .aborting, .ending, .parkedUndecided,
                .finished:
                return []
            }
        }
    }
}
