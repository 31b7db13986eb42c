public import Coordinator
import NIOCore
public import Payments
import Telemetry

/// Taking up what an earlier process left, and knowing when nothing is left.
extension PaymentCoordinator {
    /// Carries a plan out.
    ///
    /// - Parameter decided: called on the loop when every transaction of the plan has its decision in the log (an ABORT for what
    ///   was undecided) and those that are carried out again are unfinished there; the deliveries then go on in the background.
    ///   It is told how many decisions by evidence the log did not take; the next look finds those again.
    public func carryOut(_ plan: RecoveryPlan, decided: @escaping @Sendable (Int) -> Void) {
        loop.execute { [self] in
            let pending = PendingDecisions(completion: decided)
            let current = unfinished(of: plan)
            for verdict in plan.transactions where current.active.contains(verdict.transaction.transaction) {
                let isOpen = current.reversals.contains(verdict.transaction.transaction)
                carryOut(verdict, hasReversal: isOpen, pending)
            }
            for adoption in plan.adoptions { carryOut(adoption, pending) }
            for stray in plan.strays { carryOut(stray, pending) }
            for task in plan.reversals where current.reversals.contains(task.transaction) {
                guard flights[task.transaction]?.reversalHold ?? .nothing == .nothing else { continue }
                enqueueReversal(task, mayHaveBeenSent: true)
            }
            pending.allEnrolled()
        }
    }

    /// What of a plan the log still has as unfinished: an operator, or a transaction's own machine, may have ended it since the look.
    private func unfinished(of plan: RecoveryPlan) -> (active: Set<TransactionID>, reversals: Set<TransactionID>) {
        guard !plan.transactions.isEmpty || !plan.reversals.isEmpty else { return ([], []) }
        do {
            let snapshot = try log.snapshot()
            return (Set(snapshot.active.map(\.transaction)), Set(snapshot.reversals.map(\.transaction)))
        } catch {
            // The plan was read from the same log a moment ago. What has ended since is told once more, which changes nothing.
            events.emit(.error, .log, .message("the log could not be read again for its plan: \(error)"))
            return (Set(plan.transactions.map(\.transaction.transaction)), Set(plan.reversals.map(\.transaction)))
        }
    }

    /// - Parameter hasReversal: whether the log has an open reversal of it.
    private func carryOut(_ verdict: TransactionVerdict, hasReversal: Bool, _ pending: PendingDecisions) {
        let active = verdict.transaction
        guard flights[active.transaction] == nil else { return }
        switch verdict.verdict {
        case .inFlight, .awaitEvidence:
            return
        case .commitOnEvidence:
            decide(verdict, .committed, "its row is committed in \(verdict.witnesses)", pending)
        case .abortOnEvidence:
            let said = verdict.status.map { "\($0)" } ?? "nothing"
            decide(verdict, .aborted, "no database has its row, and the network says \(said)", pending)
        case .presumeAbort:
            pending.enrol(active.transaction)
            resume(active, reversal: .untilPaymentDatabase) { pending.leave(active.transaction) }
        case .rollBack:
            let isProven = active.begin.record.paymentDatabase.map { active.proven[$0] != nil } ?? true
            resume(active, reversal: hasReversal && !isProven ? .untilPaymentDatabase : .nothing) {}
        case .commit, .parked, .parkRolledBack:
            resume(active) {}
        case .parkContradiction:
            let witnessed = verdict.findings.first { $0.state == .witnessed }?.branch.participant
            pending.enrol(active.transaction)
            park(
                ParkedRecord(
                    transaction: active.transaction, participant: witnessed ?? .clearing,
                    evidence: witnessed == nil
                        ? "the network has confirmed the payment, and no database shows its row"
                        : "the payment's row is committed there, but the log holds no decision to commit")
            ) { pending.leave(active.transaction) }
        }
    }

    /// Decides by evidence what a broken log cannot tell, and carries the decision out.
    private func decide(
        _ verdict: TransactionVerdict, _ outcome: Outcome, _ evidence: String, _ pending: PendingDecisions
    ) {
        let transaction = verdict.transaction.transaction
        let record = ResolutionRecord(
            transaction: transaction, outcome: outcome, isForced: false,
            warrant: Warrant(.evidence, actor: "recovery", reason: evidence))
        intervene(.resolve(record, needsTwoPersons: false), transaction, pending)
    }

    /// Takes in what a broken log has no record of.
    private func carryOut(_ adoption: AdoptionVerdict, _ pending: PendingDecisions) {
        switch adoption.verdict {
        case .adopt(let record): intervene(.adopt(record), record.transaction, pending)
        case .awaitEvidence: break
        case .contradiction(let how):
            events.emit(
                .error, .recovery, .transactionID(adoption.found.transaction.description),
                .message("of the log's lost tail, and kept as it is: \(how)"))
        }
    }

    private func intervene(_ write: LogWrite, _ transaction: TransactionID, _ pending: PendingDecisions) {
        pending.enrol(transaction)
        order(write) { [self] result in
            if case .failure(let refusal) = result {
                events.emit(
                    .error, .recovery, .transactionID(transaction.description),
                    .message("the evidence was not taken: \(refusal)"))
                pending.noteRefused()
            } else {
                faults.hit(.decisionRecovered)
            }
            pending.leave(transaction)
        }
    }

    /// - Parameters:
    ///   - former: the flight as it was before an intervention, with those who wait for its outcome.
    ///   - decided: called when the decision is durable; at once if it is already.
    func resume(
        _ active: ActiveTransaction, inPlaceOf former: Flight? = nil, reversal hold: ReversalHold = .nothing,
        decided: @escaping @Sendable () -> Void
    ) {
        let now = time.monotonic()
        let (machine, effects) = TransactionMachine.resume(
            active, timing: settings.timing, now: time.wall())
        let flight = former ?? Flight(begin: active.begin.record, machine: machine, startedAt: now)
        flight.machine = machine
        watchSteps?(MachineStep(before: "log", event: "taken up", after: machine.stateName))
        flight.answer = nil
        flight.generation += 1
        flight.reversalHold = hold
        flight.isHeuristic = active.isParked
        flight.isResumed = true
        flight.countsAsUndecided = false
        flights[active.transaction] = flight
        // Another transaction may stand for the request_id by now, if this one released it.
        if flightOfRequest[flight.intent.requestID] == nil {
            flightOfRequest[flight.intent.requestID] = active.transaction
        }
        if machine.isUndecided {
            flight.whenDecided = decided
        } else {
            decided()
        }
        apply(effects, to: flight)
    }

    private func park(_ record: ParkedRecord, then done: @escaping @Sendable () -> Void) {
        parkedWithoutFlight.insert(record.transaction)
        counters.add(.heuristic)
        events.emit(
            .error, .heuristic, .transactionID(record.transaction.description),
            .message("\(record.participant): \(record.evidence)"))
        write(record, attempt: 1, then: done)
    }

    /// Writes a parking; what there is no room for is written later, because no machine comes back to it.
    ///
    /// - Parameter done: called after the first attempt: a full log does not keep the others waiting for what is not decided anyway.
    private func write(_ record: ParkedRecord, attempt: Int, then done: @escaping @Sendable () -> Void) {
        log.append(.park(record), urgency: .forced) { [self] result in
            onLoop { [self] in
                switch result {
                case .success: faults.hit(.decisionRecovered)
                case .failure(let refusal):
                    events.emit(.error, .log, .message("\(record.transaction) could not be parked: \(refusal)"))
                    guard refusal == .full else { break }
                    let wait = settings.logRetry.delay(afterAttempt: attempt)
                    loop.scheduleTask(in: .milliseconds(wait.count)) { [self] in
                        write(record, attempt: attempt + 1) {}
                    }
                }
                done()
            }
        }
    }

    // MARK: - Draining

    /// From now on new payments are refused; repeats are still answered.
    public func beginDraining() {
        loop.execute { [self] in
            isDraining = true
            takeFromQueue()
            wakeIdleWatchers()
        }
    }

    /// Calls back on the loop as soon as nothing is left to deliver but what waits for an operator.
    ///
    /// - Parameter includingReversals: whether open reversals count.
    public func whenIdle(includingReversals: Bool, _ completion: @escaping @Sendable () -> Void) {
        loop.execute { [self] in
            watchForIdle(includingReversals, completion)
        }
    }

    private func watchForIdle(_ includingReversals: Bool, _ completion: @escaping @Sendable () -> Void) {
        if isIdle(includingReversals) { return completion() }
        idleWatchers.append { [self] in watchForIdle(includingReversals, completion) }
    }

    private func isIdle(_ includingReversals: Bool) -> Bool {
        queue.isEmpty && flights.values.allSatisfy(\.machine.waitsForOperator)
            && (!includingReversals || reversals.openCount == 0 && reversalsToTakeUp.isEmpty)
    }

    func wakeIdleWatchers() {
        guard !idleWatchers.isEmpty else { return }
        let watchers = idleWatchers
        idleWatchers = []
        for watcher in watchers { watcher() }
    }

    // MARK: - Questions

    /// What is known of a request_id; `nil` if nothing is. Called back on the loop.
    public func status(
        of request: RequestID, completion: @escaping @Sendable (Result<PaymentStatus?, any Error>) -> Void
    ) {
        loop.execute { [self] in
            if let transaction = flightOfRequest[request], let flight = flights[transaction] {
                return completion(.success(status(of: flight)))
            }
            completion(
                Result {
                    try log.lookUp(request).map { PaymentStatus($0) }
                })
        }
    }

    private func status(of flight: Flight) -> PaymentStatus {
        let state: PaymentStatus.State =
            switch flight.answer {
            case _ where flight.isHeuristic: .heuristic
            case .approved, .madeBy: .approved
            case .declined: .declined
            case .pending, .refused, nil: .pending
            }
        return PaymentStatus(intent: flight.intent, transaction: flight.machine.transaction, state: state)
    }

    /// Those in the queue, those that wait for their transaction's END, and those whose closing waits for room in the log.
    private var openReversals: Int {
        reversals.openCount + flights.values.count { $0.reversalHold != .nothing } + reversalsToTakeUp.count
            + reversalsToWrite.count
    }

    /// For the metrics. Called back on the loop.
    public func gauges(completion: @escaping @Sendable (Gauges) -> Void) {
        loop.execute { [self] in
            completion(
                Gauges(
                    undecided: undecided, unfinished: flights.count + parkedWithoutFlight.count, queued: queue.count,
                    openReversals: openReversals,
                    parked: flights.values.count(where: \.isHeuristic) + parkedWithoutFlight.count,
                    isBreakerClosed: breaker.isClosed, isDraining: isDraining))
        }
    }
}

/// How things stand now.
public struct Gauges: Sendable {
    /// Payments between BEGIN and decision.
    public let undecided: Int
    /// Transactions that have not ended.
    public let unfinished: Int
    /// Payments that wait for a place.
    public let queued: Int
    public let openReversals: Int
    /// Transactions that wait for an operator.
    public let parked: Int
    public let isBreakerClosed: Bool
    public let isDraining: Bool
}

extension TransactionVerdict {
    /// The databases that show the payment's row.
    fileprivate var witnesses: String {
        findings.filter { $0.state == .witnessed }.map(\.branch.participant.description).joined(separator: " and ")
    }
}

/// Counts the decisions that a start waits for. Confined to the coordinator's loop.
final class PendingDecisions: @unchecked Sendable {
    private var open: Set<TransactionID> = []
    private var isComplete = false
    /// Steps that the log did not take.
    private var refused = 0
    private let completion: @Sendable (Int) -> Void

    init(completion: @escaping @Sendable (Int) -> Void) { self.completion = completion }

    func noteRefused() { refused += 1 }

    func enrol(_ transaction: TransactionID) { open.insert(transaction) }

    func leave(_ transaction: TransactionID) {
        guard open.remove(transaction) != nil else { return }
        if isComplete, open.isEmpty { completion(refused) }
    }

    func allEnrolled() {
        isComplete = true
        if open.isEmpty { completion(refused) }
    }
}
