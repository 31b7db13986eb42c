import Coordinator
import NIOCore
import Payments
import Synchronization

/// A log in memory with the semantics of the port: steps take effect in the order of the calls and complete on the coordinator's
/// loop, when they are "durable". A test may hold that back, refuse steps as a full disk does, and fail look-ups.
final class MemoryLog: TransactionLog {
    struct LookUpFailure: Error {}

    private struct Step: Sendable {
        let write: LogWrite
        let completion: @Sendable (Result<LogReceipt, LogRefusal>) -> Void
    }

    private struct State {
        var book = LogBook()
        /// Taken, not durable.
        var waiting: [Step] = []
        var holds: @Sendable (LogWrite) -> Bool = { _ in false }
        var isFull: @Sendable (LogWrite) -> Bool = { _ in false }
        var failsLookUps = false
    }

    private let loop: any EventLoop
    private let trace: Trace
    private let state = Mutex(State())

    init(loop: any EventLoop, trace: Trace) {
        self.loop = loop
        self.trace = trace
    }

    // MARK: - The port

    func append(
        _ write: LogWrite, urgency: LogUrgency,
        completion: @escaping @Sendable (Result<LogReceipt, LogRefusal>) -> Void
    ) {
        trace.note("append \(write.name) \(urgency)")
        let step = Step(write: write, completion: completion)
        let goesOn = state.withLock { state in
            guard state.waiting.isEmpty, !state.holds(write) else {
                state.waiting.append(step)
                return false
            }
            return true
        }
        if goesOn { loop.execute { self.complete(step) } }
    }

    private func complete(_ step: Step) {
        let result = state.withLock { state -> Result<LogReceipt, LogRefusal> in
            state.isFull(step.write) ? .failure(.full) : state.book.take(step.write)
        }
        switch result {
        case .success: trace.note("durable \(step.write.name)")
        case .failure: trace.note("refused \(step.write.name)")
        }
        step.completion(result)
    }

    func lookUp(_ request: RequestID) throws -> RequestEntry? {
        try state.withLock { state in
            if state.failsLookUps { throw LookUpFailure() }
            return state.book.requests[request]
        }
    }

    func snapshot() throws -> LogSnapshot { state.withLock { $0.book.snapshot } }

    // MARK: - For tests

    /// From now on what matches, and everything after it, does not become durable before ``release()``.
    func hold(_ holds: @escaping @Sendable (LogWrite) -> Bool) { state.withLock { $0.holds = holds } }

    /// Makes everything durable that was held, and holds nothing back any more.
    func release() {
        let waiting = state.withLock { state in
            state.holds = { _ in false }
            let waiting = state.waiting
            state.waiting = []
            return waiting
        }
        for step in waiting { loop.execute { self.complete(step) } }
    }

    func refuseAsFull(_ isFull: @escaping @Sendable (LogWrite) -> Bool) { state.withLock { $0.isFull = isFull } }

    func failLookUps() { state.withLock { $0.failsLookUps = true } }

    /// Writes without a word, as an earlier process did or somebody beside the coordinator does.
    @discardableResult
    func write(_ write: LogWrite) -> Result<LogReceipt, LogRefusal> {
        state.withLock { $0.book.take(write) }
    }

    func put(_ entry: RequestEntry) { state.withLock { $0.book.requests[entry.intent.requestID] = entry } }

    /// As when a damaged record was set aside.
    func lose(_ transaction: TransactionID) { state.withLock { $0.book.active[transaction] = nil } }

    func active(_ transaction: TransactionID) -> ActiveTransaction? {
        state.withLock { $0.book.active[transaction] }
    }

    var active: [ActiveTransaction] { state.withLock { Array($0.book.active.values) } }
    var reversals: [ReversalTask] { state.withLock { Array($0.book.reversals.values) } }
    var recordCount: Int { state.withLock { Int($0.book.lastLSN) } }
}

/// The state that steps change: what ``LogWrite`` documents, and nothing about when.
private struct LogBook {
    var lastLSN: UInt64 = 0
    var active: [TransactionID: ActiveTransaction] = [:]
    var requests: [RequestID: RequestEntry] = [:]
    var reversals: [TransactionID: ReversalTask] = [:]
    var fences: [DatabaseIndex: DatabaseFence] = [:]
    var continuity = LogContinuity.unbroken

    var snapshot: LogSnapshot {
        LogSnapshot(
            log: World.logID, owner: World.pair, nextLSN: LSN(rawValue: lastLSN + 1), active: Array(active.values),
            reversals: Array(reversals.values), fences: Array(fences.values), quarantined: 0,
            continuity: continuity)
    }

    private mutating func attest<Record>(_ record: Record) -> Durable<Record> {
        lastLSN += 1
        return Durable(
            attestedByLog: record, lsn: LSN(rawValue: lastLSN), writtenAt: WallTime(microseconds: Int64(lastLSN)))
    }

    mutating func take(_ write: LogWrite) -> Result<LogReceipt, LogRefusal> {
        switch write {
        case .begin(let record): begin(record)
        case .commit(let record): commit(record)
        case .abort(let record): abort(record)
        case .acknowledged(let record): acknowledge(record)
        case .end(let record): end(record)
        case .park(let record): park(record)
        case .reversalRefused(let record):
            changeReversal(record.transaction) { $0?.refusals = record.refusals }
        case .closeReversal(let record): changeReversal(record.transaction) { $0 = nil }
        case .parkReversal(let record): changeReversal(record.transaction) { $0?.parkedReason = record.reason }
        case .fenceAttempted(let database, let pair):
            fence(database) { $0.attempted.append(pair) }
        case .fenceConfirmed(let database, let identity, let pair):
            fence(database) { $0 = $0.confirming(pair, at: identity, formerMax: 8) }
        case .databaseSeen(let database, let position): fence(database) { $0.position = position }
        case .resolve(let record, let needsTwoPersons): resolve(record, needsTwoPersons)
        case .adopt(let record): adopt(record)
        case .reopen(let ended, let record): reopen(ended, record)
        case .releaseReversal(let record):
            changeReversal(record.transaction) {
                $0?.parkedReason = nil
                $0?.refusals = 0
            }
        case .releaseQuarantined(let record): .failure(.notInQuarantine("\(record.number)"))
        case .reconcile:
            reconcile()
        }
    }

    private mutating func reconcile() -> Result<LogReceipt, LogRefusal> {
        continuity = .unbroken
        return .success(.noted)
    }

    private mutating func resolve(
        _ record: ResolutionRecord, _ needsTwoPersons: Bool
    ) -> Result<LogReceipt, LogRefusal> {
        guard let state = active[record.transaction] else { return .failure(.notActive(record.transaction)) }
        do throws(ResolutionRefusal) {
            let resolving = try state.resolving(record, now: WallTime(microseconds: 1), continuity: continuity)
            if needsTwoPersons, state.proposal?.record.agrees(with: record) != true {
                let proposal = attest(record)
                active[record.transaction]?.proposal = proposal
                return .success(.proposed(proposal))
            }
            if needsTwoPersons, state.proposal?.record.warrant.isBySameActor(as: record.warrant) == true {
                throw .sameActor(record.warrant.actor)
            }
            if resolving.dropsReversal { reversals[record.transaction] = nil }
            let resolved = state.resolved(resolving, decision: decide(resolving.decision, over: state.decision))
            active[record.transaction] = resolved
            settleClaim(of: resolved)
            return .success(.resumed(resolved))
        } catch {
            return .failure(.notResolvable(error))
        }
    }

    private mutating func adopt(_ record: AdoptionRecord) -> Result<LogReceipt, LogRefusal> {
        guard active[record.transaction] == nil else { return .failure(.alreadyActive(record.transaction)) }
        let begin = attest(record.begin)
        let decision = decide(record.decision(now: WallTime(microseconds: 1)), over: .undecided)
        let state = ActiveTransaction(begin: begin, decision: decision, acknowledged: [:])
        active[record.transaction] = state
        return .success(.resumed(state))
    }

    private mutating func reopen(
        _ ended: ActiveTransaction, _ record: ReopenedRecord
    ) -> Result<LogReceipt, LogRefusal> {
        guard active[record.transaction] == nil else { return .failure(.alreadyActive(record.transaction)) }
        let parked = ParkedRecord(
            transaction: record.transaction, participant: .database(record.database), evidence: record.evidence)
        let state = ended.reopened(record, parking: record.isParked ? attest(parked) : nil)
        active[record.transaction] = state
        return .success(.resumed(state))
    }

    private mutating func decide(
        _ decision: Resolving.Decision, over old: ActiveTransaction.Decision
    ) -> ActiveTransaction.Decision {
        switch decision {
        case .asLogged: return old
        case .commit(let record): return .commit(attest(record))
        case .abort(let record):
            reversals[record.transaction] = record.reversal
            return .abort(attest(record))
        }
    }

    private mutating func settleClaim(of state: ActiveTransaction) {
        switch state.decision {
        case .undecided: break
        case .commit: setClaim(of: state, to: .committing)
        case .abort(let abort): setClaim(of: state, to: .declined(abort.record.reason))
        }
    }

    private mutating func begin(_ record: BeginRecord) -> Result<LogReceipt, LogRefusal> {
        if let claimed = requests[record.intent.requestID] { return .failure(.requestClaimed(claimed)) }
        let durable = attest(record)
        active[record.transaction] = ActiveTransaction(
            begin: durable, decision: .undecided, acknowledged: [:])
        requests[record.intent.requestID] = RequestEntry(
            transaction: record.transaction, intent: record.intent, status: .preparing)
        return .success(.begun(durable))
    }

    private mutating func commit(_ record: CommitRecord) -> Result<LogReceipt, LogRefusal> {
        guard var state = active[record.transaction] else { return .failure(.notActive(record.transaction)) }
        guard state.decision == .undecided else { return .failure(.alreadyDecided(state.decision)) }
        let durable = attest(record)
        state.decision = .commit(durable)
        active[record.transaction] = state
        setClaim(of: state, to: .committing)
        return .success(.committing(durable))
    }

    private mutating func abort(_ record: AbortRecord) -> Result<LogReceipt, LogRefusal> {
        guard var state = active[record.transaction] else { return .failure(.notActive(record.transaction)) }
        guard state.decision == .undecided else { return .failure(.alreadyDecided(state.decision)) }
        let durable = attest(record)
        state.decision = .abort(durable)
        active[record.transaction] = state
        reversals[record.transaction] = record.reversal
        switch record.claim {
        case .declined: setClaim(of: state, to: .declined(record.reason))
        case .madeBy(let other): setClaim(of: state, to: .madeBy(other))
        case .released: setClaim(of: state, to: nil)
        }
        return .success(.aborting(durable))
    }

    private mutating func acknowledge(_ record: AcknowledgedRecord) -> Result<LogReceipt, LogRefusal> {
        guard let state = active[record.transaction], state.decision != .undecided else {
            return .failure(.notActive(record.transaction))
        }
        lastLSN += 1
        active[record.transaction]?.acknowledged[record.participant] = record.proof
        return .success(.noted)
    }

    private mutating func end(_ record: EndRecord) -> Result<LogReceipt, LogRefusal> {
        guard let state = active[record.transaction], state.decision != .undecided else {
            return .failure(.notActive(record.transaction))
        }
        lastLSN += 1
        if record.outcome == .committed { setClaim(of: state, to: .approved) }
        active[record.transaction] = nil
        return .success(.noted)
    }

    private mutating func park(_ record: ParkedRecord) -> Result<LogReceipt, LogRefusal> {
        guard let state = active[record.transaction] else { return .failure(.notActive(record.transaction)) }
        let durable = attest(record)
        active[record.transaction]?.park(durable)
        setClaim(of: state, to: .heuristic)
        return .success(.parked(durable))
    }

    /// Only the transaction that holds a claim changes it: after a release the request_id may be another's.
    private mutating func setClaim(of state: ActiveTransaction, to status: RequestEntry.Status?) {
        let intent = state.begin.record.intent
        guard requests[intent.requestID]?.transaction == state.transaction else { return }
        requests[intent.requestID] = status.map {
            RequestEntry(transaction: state.transaction, intent: intent, status: $0)
        }
    }

    private mutating func changeReversal(
        _ transaction: TransactionID, _ change: (inout ReversalTask?) -> Void
    ) -> Result<LogReceipt, LogRefusal> {
        guard reversals[transaction] != nil else { return .failure(.noReversal(transaction)) }
        lastLSN += 1
        change(&reversals[transaction])
        return .success(.noted)
    }

    private mutating func fence(
        _ database: DatabaseIndex, _ change: (inout DatabaseFence) -> Void
    ) -> Result<LogReceipt, LogRefusal> {
        change(
            &fences[
                database, default: DatabaseFence(database: database)])
        return .success(.noted)
    }
}
