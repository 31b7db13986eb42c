package import Coordinator
package import Payments

/// What a log holds, and what each step makes of it: the rules of the real log's steps, on values in memory.
///
/// A test applies the same random steps to this and to the log on LMDB and compares every receipt, refusal, look-up and snapshot.
package struct LogImage: Sendable {
    /// A record at its place in the history.
    package struct Entry: Sendable {
        package let lsn: LSN
        package let writtenAt: WallTime
        package let record: LogRecord
    }

    /// Pairs whose outcome at one database is unknown; the oldest goes first.
    package static let fenceAttemptsMax = 1024
    /// Former pairs that are remembered of a database.
    package static let fencesFormerMax = 256

    package let log: LogID
    package internal(set) var owner: FencePair
    package internal(set) var nextLSN = LSN(rawValue: 1)
    package internal(set) var records: [Entry] = []
    package internal(set) var active: [TransactionID: ActiveTransaction] = [:]
    package internal(set) var reversals: [TransactionID: ReversalTask] = [:]
    package internal(set) var requests: [RequestID: RequestEntry] = [:]
    package internal(set) var fences: [DatabaseIndex: DatabaseFence] = [:]
    package internal(set) var continuity = LogContinuity.unbroken
    package internal(set) var wholeSince: Epoch?
    /// What it remembers of its age.
    package var age = LogAge()

    /// A log that nobody has opened yet.
    package init(log: LogID) {
        self.log = log
        owner = FencePair(epoch: Epoch(rawValue: 0), incarnation: Incarnation(rawValue: 0))
    }

    /// Takes the log over: the next epoch and this incarnation.
    package mutating func takeOver(incarnation: Incarnation, now: WallTime) {
        owner = FencePair(epoch: Epoch(rawValue: owner.epoch.rawValue + 1), incarnation: incarnation)
        _ = append(.serverStarted(owner), now)
    }

    package var snapshot: LogSnapshot {
        LogSnapshot(
            log: log, owner: owner, nextLSN: nextLSN,
            active: active.values.sorted { $0.transaction < $1.transaction },
            reversals: reversals.values.sorted { $0.transaction < $1.transaction },
            fences: fences.values.sorted { $0.database < $1.database }, quarantined: 0, continuity: continuity,
            wholeSince: wholeSince, trimmedUntil: age.trimmedUntil)
    }

    // MARK: - Steps

    package mutating func take(_ write: LogWrite, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        switch write {
        case .begin(let record): begin(record, now)
        case .commit(let record): commit(record, now)
        case .abort(let record): abort(record, now)
        case .acknowledged(let record): acknowledge(record, now)
        case .end(let record): end(record, now)
        case .park(let record): park(record, now)
        case .reversalRefused(let record):
            changeReversal(record.transaction, .reversalRefused(record), now) { $0.refusals = record.refusals }
        case .closeReversal(let record): closeReversal(record, now)
        case .parkReversal(let record):
            changeReversal(record.transaction, .reversalParked(record), now) { $0.parkedReason = record.reason }
        case .fenceAttempted(let database, let pair): attemptFence(database, pair)
        case .fenceConfirmed(let database, let identity, let pair): confirmFence(database, identity, pair)
        case .databaseSeen(let database, let position): noteDatabase(database, position)
        case .resolve(let record, let needsTwoPersons): resolve(record, needsTwoPersons: needsTwoPersons, now)
        case .adopt(let record): adopt(record, now)
        case .reopen(let ended, let record): reopen(ended, record, now)
        case .releaseReversal(let record):
            changeReversal(record.transaction, .reversalReleased(record), now) {
                $0.parkedReason = nil
                $0.refusals = 0
            }
        case .releaseQuarantined(let record):
            .failure(.notInQuarantine("there is no number \(record.number) in the quarantine"))
        case .reconcile(let warrant): reconcile(warrant, now)
        }
    }

    private mutating func append(_ record: LogRecord, _ now: WallTime) -> LSN {
        let lsn = nextLSN
        records.append(Entry(lsn: lsn, writtenAt: now, record: record))
        nextLSN = LSN(rawValue: lsn.rawValue + 1)
        return lsn
    }

    private func attest<Record>(_ record: Record, _ lsn: LSN, _ now: WallTime) -> Durable<Record> {
        Durable(attestedByLog: record, lsn: lsn, writtenAt: now)
    }

    private mutating func begin(_ record: BeginRecord, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        if let entry = requests[record.intent.requestID] { return .failure(.requestClaimed(entry)) }
        if let same = active[record.transaction] {
            return .failure(
                .requestClaimed(
                    RequestEntry(transaction: same.transaction, intent: same.begin.record.intent, status: .preparing)))
        }
        let durable = attest(record, append(.begin(record), now), now)
        active[record.transaction] = ActiveTransaction(begin: durable, decision: .undecided, acknowledged: [:])
        requests[record.intent.requestID] = RequestEntry(
            transaction: record.transaction, intent: record.intent, status: .preparing)
        return .success(.begun(durable))
    }

    private mutating func commit(_ record: CommitRecord, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        guard var state = active[record.transaction] else { return .failure(.notActive(record.transaction)) }
        guard state.decision == .undecided else { return .failure(.alreadyDecided(state.decision)) }
        let durable = attest(record, append(.commit(record), now), now)
        state.decision = .commit(durable)
        active[record.transaction] = state
        setClaim(of: state, to: .committing)
        return .success(.committing(durable))
    }

    private mutating func abort(_ record: AbortRecord, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        guard var state = active[record.transaction] else { return .failure(.notActive(record.transaction)) }
        guard state.decision == .undecided else { return .failure(.alreadyDecided(state.decision)) }
        let durable = attest(record, append(.abort(record), now), now)
        settleClaim(of: state, record)
        state.decision = .abort(durable)
        active[record.transaction] = state
        if let task = record.reversal { reversals[task.transaction] = task }
        return .success(.aborting(durable))
    }

    private mutating func acknowledge(_ record: AcknowledgedRecord, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        guard let state = active[record.transaction], state.decision != .undecided else {
            return .failure(.notActive(record.transaction))
        }
        _ = append(.acknowledged(record), now)
        active[record.transaction]?.acknowledged[record.participant] = record.proof
        return .success(.noted)
    }

    private mutating func end(_ record: EndRecord, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        guard let state = active[record.transaction], state.decision != .undecided else {
            return .failure(.notActive(record.transaction))
        }
        _ = append(.end(record), now)
        switch (record.outcome, state.decision) {
        case (.committed, _): setClaim(of: state, to: .approved)
        case (.aborted, .abort(let abort)): if state.isParked { settleClaim(of: state, abort.record) }
        case (.aborted, .commit), (.aborted, .undecided): break
        }
        active[record.transaction] = nil
        return .success(.noted)
    }

    private mutating func park(_ record: ParkedRecord, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        guard var state = active[record.transaction] else { return .failure(.notActive(record.transaction)) }
        let durable = attest(record, append(.parked(record), now), now)
        state.park(durable)
        active[record.transaction] = state
        retakeClaim(of: state, to: .heuristic)
        return .success(.parked(durable))
    }

    // MARK: - Reversals and fences

    private mutating func changeReversal(
        _ transaction: TransactionID, _ record: LogRecord, _ now: WallTime, _ change: (inout ReversalTask) -> Void
    ) -> Result<LogReceipt, LogRefusal> {
        guard var task = reversals[transaction] else { return .failure(.noReversal(transaction)) }
        _ = append(record, now)
        change(&task)
        reversals[transaction] = task
        return .success(.noted)
    }

    private mutating func closeReversal(
        _ record: ReversalClosedRecord, _ now: WallTime
    ) -> Result<LogReceipt, LogRefusal> {
        guard reversals[record.transaction] != nil else { return .failure(.noReversal(record.transaction)) }
        _ = append(.reversalClosed(record), now)
        reversals[record.transaction] = nil
        return .success(.noted)
    }

    private mutating func attemptFence(
        _ database: DatabaseIndex, _ pair: FencePair
    ) -> Result<LogReceipt, LogRefusal> {
        var fence = fences[database] ?? DatabaseFence(database: database)
        guard !fence.attempted.contains(pair) else { return .success(.noted) }
        fence.attempted = fence.attempted.suffix(Self.fenceAttemptsMax - 1) + [pair]
        fences[database] = fence
        return .success(.noted)
    }

    private mutating func confirmFence(
        _ database: DatabaseIndex, _ identity: DatabaseIdentity, _ pair: FencePair
    ) -> Result<LogReceipt, LogRefusal> {
        let fence = fences[database] ?? DatabaseFence(database: database)
        fences[database] = fence.confirming(pair, at: identity, formerMax: Self.fencesFormerMax)
        return .success(.noted)
    }

    private mutating func noteDatabase(
        _ database: DatabaseIndex, _ position: DatabasePosition
    ) -> Result<LogReceipt, LogRefusal> {
        var fence = fences[database] ?? DatabaseFence(database: database)
        guard fence.position != position else { return .success(.noted) }
        fence.position = position
        fences[database] = fence
        return .success(.noted)
    }

    // MARK: - Claims

    /// Says in the request's entry what became of the transaction that claimed it: after a release the request_id may be another's.
    private mutating func setClaim(of state: ActiveTransaction, to status: RequestEntry.Status) {
        let intent = state.begin.record.intent
        guard requests[intent.requestID]?.transaction == state.transaction else { return }
        requests[intent.requestID] = RequestEntry(transaction: state.transaction, intent: intent, status: status)
    }

    /// Likewise, where it had given the request_id up and nobody has claimed it since.
    private mutating func retakeClaim(of state: ActiveTransaction, to status: RequestEntry.Status) {
        let intent = state.begin.record.intent
        if requests[intent.requestID] == nil, !state.begin.record.isNameless {
            requests[intent.requestID] = RequestEntry(transaction: state.transaction, intent: intent, status: status)
        }
        setClaim(of: state, to: status)
    }

    private mutating func settleClaim(of state: ActiveTransaction, _ abort: AbortRecord) {
        switch abort.claim {
        case .declined: setClaim(of: state, to: .declined(abort.reason))
        case .madeBy(let other): setClaim(of: state, to: .madeBy(other))
        case .released:
            let request = state.begin.record.intent.requestID
            if requests[request]?.transaction == state.transaction { requests[request] = nil }
        }
    }

    /// Says in the request's entry what the transaction's state means now.
    private mutating func claim(for state: ActiveTransaction) {
        if state.isParked { return retakeClaim(of: state, to: .heuristic) }
        switch state.decision {
        case .undecided: retakeClaim(of: state, to: .preparing)
        case .commit: retakeClaim(of: state, to: .committing)
        case .abort(let abort): settleClaim(of: state, abort.record)
        }
    }

    // MARK: - Interventions

    private mutating func resolve(
        _ record: ResolutionRecord, needsTwoPersons: Bool, _ now: WallTime
    ) -> Result<LogReceipt, LogRefusal> {
        guard var state = active[record.transaction] else { return .failure(.notActive(record.transaction)) }
        let resolving: Resolving
        do throws(ResolutionRefusal) {
            resolving = try state.resolving(record, now: now, continuity: continuity)
        } catch {
            return .failure(.notResolvable(error))
        }
        if needsTwoPersons, record.warrant.authority == .order {
            guard let first = state.proposal, first.record.agrees(with: record) else {
                let proposal = attest(record, append(.resolutionProposed(record), now), now)
                state.proposal = proposal
                active[record.transaction] = state
                return .success(.proposed(proposal))
            }
            guard !first.record.warrant.isBySameActor(as: record.warrant) else {
                return .failure(.notResolvable(.sameActor(record.warrant.actor)))
            }
        }
        _ = append(.resolved(record), now)
        let resolved = state.resolved(resolving, decision: decide(resolving.decision, over: state.decision, now))
        active[record.transaction] = resolved
        if resolving.dropsReversal { reversals[record.transaction] = nil }
        claim(for: resolved)
        return .success(.resumed(resolved))
    }

    private mutating func adopt(_ record: AdoptionRecord, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        let request = record.begin.intent.requestID
        guard active[record.transaction] == nil, requests[request]?.transaction != record.transaction else {
            return .failure(.alreadyActive(record.transaction))
        }
        let begin = attest(record.begin, append(.adopted(record), now), now)
        let decision = decide(record.decision(now: now), over: .undecided, now)
        let state = ActiveTransaction(begin: begin, decision: decision, acknowledged: [:])
        active[record.transaction] = state
        if !record.isNameless, requests[request] == nil {
            requests[request] = RequestEntry(
                transaction: state.transaction, intent: record.begin.intent, status: .preparing)
            claim(for: state)
        }
        return .success(.resumed(state))
    }

    private mutating func reopen(
        _ ended: ActiveTransaction, _ record: ReopenedRecord, _ now: WallTime
    ) -> Result<LogReceipt, LogRefusal> {
        guard active[record.transaction] == nil else { return .failure(.alreadyActive(record.transaction)) }
        let lsn = append(.reopened(record), now)
        var parking: Durable<ParkedRecord>?
        if record.isParked {
            let parked = ParkedRecord(
                transaction: record.transaction, participant: .database(record.database), evidence: record.evidence)
            parking = attest(parked, lsn, now)
        }
        let state = ended.reopened(record, parking: parking)
        active[record.transaction] = state
        claim(for: state)
        return .success(.resumed(state))
    }

    private mutating func decide(
        _ decision: Resolving.Decision, over old: ActiveTransaction.Decision, _ now: WallTime
    ) -> ActiveTransaction.Decision {
        switch decision {
        case .asLogged: return old
        case .commit(let record): return .commit(attest(record, append(.commit(record), now), now))
        case .abort(let record):
            let durable = attest(record, append(.abort(record), now), now)
            if let task = record.reversal { reversals[task.transaction] = task }
            return .abort(durable)
        }
    }

    private mutating func reconcile(_ warrant: Warrant, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        guard continuity.isBroken else { return .success(.noted) }
        continuity = .unbroken
        wholeSince = owner.epoch
        _ = append(.reconciled(warrant), now)
        return .success(.noted)
    }
}
