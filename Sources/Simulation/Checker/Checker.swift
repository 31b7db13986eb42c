import Coordinator
import Payments
import Runtime

/// Somebody who sees everything, and looks after each step whether what must hold still holds.
final class Checker {
    unowned var world: World!
    private(set) var violation: Violation?
    var facts: [TransactionID: Facts] = [:]
    /// By log, the rules of its history.
    var histories: [LogID: HistoryCheck] = [:]
    /// Final answers that a server gave to a request_id.
    var finalAnswers: [AnswerKey: FinalAnswer] = [:]
    var answers: [String: Int] = [:]
    var strangers: [Set<String>] = []

    struct AnswerKey: Hashable {
        let log: LogID
        let request: RequestID
        let content: KeyedDigest
    }

    struct FinalAnswer {
        let isApproved: Bool
        let transaction: TransactionID
    }

    func fail(_ invariant: Invariant, _ transaction: TransactionID?, _ message: @autoclosure () -> String) {
        guard violation == nil else { return }
        let text = message()
        world.note(transaction, 999, "VIOLATION of \(invariant.rawValue): \(text)")
        violation = Violation(
            invariant: invariant, transaction: transaction, message: text, step: world.scheduler.steps)
    }

    func factsOf(_ transaction: TransactionID) -> Facts? { facts[transaction] }

    /// Whether the outcome of a transaction may be another than the log's.
    func isDisturbed(_ transaction: TransactionID) -> Bool { facts[transaction]?.disturbances.isEmpty == false }

    func disturb(_ transaction: TransactionID, _ how: Disturbance) { facts[transaction]?.disturbances.insert(how) }

    // MARK: - The log

    func recordIsDurable(_ entry: LogImage.Entry, log: SimulatedLog) {
        follow(entry, log.log)
        var check = histories[log.log] ?? HistoryCheck()
        check.advance(to: entry.lsn) { _ in true }
        let taken = check.take(entry.record, at: entry.lsn, writtenAt: entry.writtenAt)
        histories[log.log] = check
        if let violation = taken.violation {
            fail(.historyRules, violation.transaction, "LSN \(violation.lsn): \(violation.reason)")
        }
        checkClaim(after: entry, check, log.disk.image)
    }

    private func follow(_ entry: LogImage.Entry, _ log: LogID) {
        switch entry.record {
        case .begin(let begin):
            let facts = Facts(begin.transaction, log, begin)
            facts.hasBegun = true
            facts.madeBefore = facts.firstDatabase.flatMap {
                world.database($0).maker(of: begin.intent.requestID)
            }
            self.facts[begin.transaction] = facts
        case .adopted(let adoption):
            let facts = self.facts[adoption.transaction] ?? Facts(adoption.transaction, log, adoption.begin)
            facts.hasBegun = true
            facts.isDecisionExpected = true
            facts.disturbances.insert(.lostLog)
            if !adoption.isNameless { facts.begin = adoption.begin }
            self.facts[adoption.transaction] = facts
        case .commit(let record): decided(record.transaction, .committed)
        case .abort(let record):
            decided(record.transaction, .aborted)
            if record.reversal != nil { facts[record.transaction]?.reversalTasks += 1 }
        case .end(let record):
            facts[record.transaction]?.outcome = record.outcome
            facts[record.transaction]?.endedAt = world.now
        case .parked(let record): parked(record.transaction, record.evidence)
        case .reversalClosed(let record): facts[record.transaction]?.reversalsClosed += 1
        case .reversalParked(let record): facts[record.transaction]?.isReversalParked = true
        case .reversalReleased(let record): facts[record.transaction]?.isReversalParked = false
        case .resolved(let record):
            facts[record.transaction]?.isDecisionExpected = true
            noteOrder(record, log)
            disturb(record.transaction, record.warrant.authority == .order ? .ordered : .lostLog)
        case .reopened(let record):
            facts[record.transaction]?.outcome = nil
            if facts[record.transaction]?.disturbances.isEmpty == true {
                fail(.noFalseAlarm, record.transaction, "taken up again, and no database went back: \(record.evidence)")
            }
            if record.isParked { parked(record.transaction, record.evidence) }
        case .serverStarted, .acknowledged, .reversalRefused, .resolutionProposed, .quarantineReleased, .broken,
            .reconciled:
            break
        }
    }

    private func decided(_ transaction: TransactionID, _ outcome: Outcome) {
        guard let facts = facts[transaction] else { return }
        if let before = facts.decision, !facts.isDecisionExpected, !facts.disturbances.contains(.lostLog) {
            fail(.decisionIsWrittenOnce, transaction, "\(before) was decided, and now \(outcome) is")
        }
        facts.isDecisionExpected = false
        facts.decision = outcome
        facts.decisions += 1
    }

    private func parked(_ transaction: TransactionID, _ evidence: String) {
        guard let facts = facts[transaction] else { return }
        facts.parkings += 1
        world.coverage.hit(.outcome, "parked")
        if facts.disturbances.isEmpty {
            fail(.parkedForAReason, transaction, "it is parked, and nobody did otherwise: \(evidence)")
        }
    }

    /// A server's log was lost; what takes its place knows less, or nothing.
    func logIsLost(_ log: LogID, _ image: LogImage) {
        histories[log] = HistoryCheck()
        // What it remembers of request_ids is remembered; the rest begins anew.
        finalAnswers = finalAnswers.filter { key, answer in
            key.log != log || image.requests[key.request]?.transaction == answer.transaction
        }
        for facts in facts.values where facts.log == log {
            let isKnown = image.ended([facts.transaction]).isEmpty == false && facts.outcome != nil
            let isOpen = image.active[facts.transaction] != nil || image.reversals[facts.transaction] != nil
            if !isKnown || isOpen { facts.disturbances.insert(.lostLog) }
        }
    }

    // MARK: - Orders, where they leave the coordinator

    func prepareOrdered(_ order: PrepareOrder, at participant: Participant, log: SimulatedLog) {
        let transaction = order.begin.transaction
        guard let facts = facts[transaction], facts.hasBegun, log.disk.image.active[transaction] != nil else {
            return fail(
                .beginBeforePrepare, transaction, "\(participant) is asked to prepare, and BEGIN is not durable")
        }
        if facts.decision != nil {
            fail(.beginBeforePrepare, transaction, "\(participant) is asked to prepare after the decision")
        }
    }

    func resolveOrdered(_ order: ResolveOrder, log: SimulatedLog) {
        let transaction = order.begin.transaction
        guard let facts = facts[transaction], isDecided(facts, order, log) else {
            return fail(
                .decisionBeforeResolve, transaction,
                "\(order.branch.participant) is told \(order.decision), and that is not durable")
        }
        if order.branch.participant == .clearing { confirmArrives(transaction) }
    }

    /// Of a log that lost its records only what is in it counts.
    private func isDecided(_ facts: Facts, _ order: ResolveOrder, _ log: SimulatedLog) -> Bool {
        guard facts.disturbances.contains(.lostLog) else { return facts.decision == order.decision }
        switch log.disk.image.active[facts.transaction]?.decision {
        case .commit: return order.decision == .committed
        case .abort: return order.decision == .aborted
        case .undecided: return false
        // It has ended: a plan that was made before may tell everybody once more.
        case nil: return facts.decision == order.decision
        }
    }

    func reversalOrdered(_ order: ReversalOrder, log: SimulatedLog) { reversalArrives(order.transaction) }

    // MARK: - Orders, where they arrive

    func prepareArrives(_ id: GlobalBranchID, _ begin: BeginRecord) {
        if facts[id.transaction]?.hasBegun != true {
            fail(.beginBeforePrepare, id.transaction, "\(id.database) hears of it, and BEGIN is not durable")
        }
    }

    func isPrepared(_ id: GlobalBranchID, _ begin: BeginRecord) {
        facts[id.transaction]?.prepared.insert(id.database)
    }

    func willResolve(
        _ id: GlobalBranchID, _ begin: BeginRecord, _ decision: Outcome, at index: DatabaseIndex, byHand: Bool
    ) {
        guard !byHand else { return disturb(id.transaction, .byHand) }
        guard let facts = facts[id.transaction] else {
            return fail(.decisionBeforeResolve, id.transaction, "\(index) resolves what no log knows")
        }
        guard facts.disturbances.isEmpty, facts.decision != decision else { return }
        fail(
            .decisionBeforeResolve, id.transaction,
            "\(index) carries \(decision) out, and the log says \(facts.decision.map { "\($0)" } ?? "nothing")")
    }

    func holdArrives(_ order: PrepareOrder) {
        if facts[order.begin.transaction]?.hasBegun != true {
            fail(.beginBeforePrepare, order.begin.transaction, "the network hears of it, and BEGIN is not durable")
        }
    }

    func confirmArrives(_ transaction: TransactionID) {
        guard let facts = facts[transaction], facts.disturbances.isEmpty else { return }
        guard facts.decision == .committed else {
            return fail(.decisionBeforeResolve, transaction, "the network is told to confirm what is not decided so")
        }
        guard let first = facts.firstDatabase, world.database(first).hasRow(of: transaction) else {
            return fail(
                .databaseBeforeNetwork, transaction,
                "the network is told before the payment's own database has committed")
        }
    }

    func reversalArrives(_ transaction: TransactionID) {
        guard let facts = facts[transaction], facts.disturbances.isEmpty else { return }
        guard facts.decision == .aborted, facts.reversalTasks > 0 else {
            return fail(.taskBeforeReversal, transaction, "the network is told to undo without ABORT and its task")
        }
        if let database = facts.databases.first(where: { world.database($0).hasRow(of: transaction) }) {
            fail(.taskBeforeReversal, transaction, "the network is told to undo what \(database) has committed")
        }
    }

    func holdExpired(_ transaction: TransactionID) { disturb(transaction, .expired) }

    func databaseRewound(_ index: DatabaseIndex) {
        for facts in facts.values where facts.databases.contains(index) { facts.disturbances.insert(.rewound) }
    }

    // MARK: - Servers

    func serverDied(_ node: Node) {
        world.clients.serverDied(node)
        // The votes that it had heard are gone with it.
        for facts in facts.values where facts.log == node.disk.image.log && facts.decision == nil {
            facts.hasMetAnother = false
        }
    }

    func startRefused(_ node: Node, _ why: String) {
        // A database may be restored behind the first fence of the log, which an operator puts back. Every other that it shows is known.
        if node.awaitsOperator || node.hasLostLog { return }
        fail(.startIsAllowed, nil, "server \(node.number + 1) may not start on its own log: \(why)")
    }

    func planned(_ plan: RecoveryPlan, by process: ServerProcess, isServing: Bool) {
        world.coverage.note(plan)
        checkPresumption(plan)
    }
}
