import Coordinator
import NIOCore
import Telemetry

/// The reversal worker: sends what is due, as soon as the breaker lets it.
extension PaymentCoordinator {
    func enqueueReversal(_ task: ReversalTask, mayHaveBeenSent: Bool) {
        let openBefore = reversals.openCount
        reversals.enqueue(task, at: time.monotonic(), mayHaveBeenSent: mayHaveBeenSent)
        // One that is parked or here already is not taken.
        counters.add(.reversalEnqueued, reversals.openCount - openBefore)
        sendDueReversals()
    }

    /// Sends the open reversals of transactions, where the log has any.
    func takeUpReversals(of transactions: Set<TransactionID>) {
        do {
            let tasks = try log.snapshot().reversals.filter { transactions.contains($0.transaction) }
            for task in tasks.sorted(by: { ($0.createdAt, $0.transaction) < ($1.createdAt, $1.transaction) }) {
                enqueueReversal(task, mayHaveBeenSent: true)
            }
        } catch {
            let names = transactions.sorted().map(\.description).joined(separator: ", ")
            events.emit(
                .error, .reversal,
                .message("reversals could not be read; the next start sends them: \(error); of \(names)"))
        }
    }

    /// Ends the hold on a transaction's reversal; the log is read once for all whose holds end at about the same time.
    func takeUpReversalSoon(of flight: Flight) {
        flight.reversalHold = .nothing
        let isScheduled = !reversalsToTakeUp.isEmpty
        reversalsToTakeUp.insert(flight.machine.transaction)
        guard !isScheduled else { return }
        loop.scheduleTask(in: .milliseconds(RuntimeLimits.takeUpPause.count)) { [self] in
            takeUpReversals(of: reversalsToTakeUp)
            reversalsToTakeUp = []
            wakeIdleWatchers()
        }
    }

    func sendDueReversals() {
        loop.assertInEventLoop()
        let now = time.monotonic()
        while let order = reversals.takeDue(at: now) {
            guard breaker.admit(at: now) else {
                reversals.postpone(order.transaction, until: breaker.nextAdmission(at: now) ?? now + .seconds(1))
                continue
            }
            clearing.reverse(order) { [self] reply in
                loop.execute { self.replied(order, reply) }
            }
            faults.hit(.reversalSent)
        }
        scheduleNextReversal()
    }

    private func scheduleNextReversal() {
        reversalTimer?.cancel()
        reversalTimer = nil
        guard let due = reversals.nextDue else { return }
        let wait = due.since(time.monotonic()).count + 1
        reversalTimer = loop.scheduleTask(in: .milliseconds(wait)) { [self] in sendDueReversals() }
    }

    private func replied(_ order: ReversalOrder, _ reply: ReversalReply) {
        let now = time.monotonic()
        switch reply {
        case .acknowledged:
            breakerSucceeded()
            counters.add(.reversalSucceeded)
            faults.hit(.reversalAcknowledged)
        case .refused(let reason):
            breakerSucceeded()
            counters.add(.reversalFailed)
            events.emit(
                .warning, .reversal, .transactionID(order.transaction.description),
                .message("the network refused the reversal: \(reason)"))
        case .failed:
            breakerFailed()
            counters.add(.reversalFailed)
        }
        if let write = reversals.replied(order.transaction, reply, at: now) { record(write, of: order.transaction) }
        sendDueReversals()
        wakeIdleWatchers()
    }

    /// Losing one of these in a crash costs a repeat: the network's effect is the same. What there is no room for is written later: the task
    /// left the queue with the reply, so nobody would come back to it.
    private func record(_ write: LogWrite, of transaction: TransactionID) {
        var urgency = LogUrgency.lazy
        if case .parkReversal(let record) = write {
            urgency = .forced
            counters.add(.reversalParked)
            events.emit(
                .error, .reversal, .transactionID(record.transaction.description),
                .message("the reversal is parked for an operator: \(record.reason)"))
        }
        append(write, of: transaction, urgency, attempt: 1)
    }

    private func append(_ write: LogWrite, of transaction: TransactionID, _ urgency: LogUrgency, attempt: Int) {
        log.append(write, urgency: urgency) { [self] result in
            onLoop { [self] in
                guard case .failure(let refusal) = result else {
                    reversalsToWrite.remove(transaction)
                    return
                }
                events.emit(.warning, .reversal, .message("a reversal's state was not written: \(refusal)"))
                guard refusal == .full else {
                    reversalsToWrite.remove(transaction)
                    return
                }
                if write.closesReversal { reversalsToWrite.insert(transaction) }
                let wait = settings.logRetry.delay(afterAttempt: attempt)
                loop.scheduleTask(in: .milliseconds(wait.count)) { [self] in
                    append(write, of: transaction, urgency, attempt: attempt + 1)
                }
            }
        }
    }
}

extension LogWrite {
    /// Whether the reversal has left the queue with it.
    fileprivate var closesReversal: Bool {
        switch self {
        case .closeReversal, .parkReversal: true
        case .begin, .commit, .abort, .acknowledged, .end, .park, .reversalRefused, .fenceAttempted, .fenceConfirmed,
            .databaseSeen, .resolve, .adopt, .reopen, .releaseReversal, .releaseQuarantined, .reconcile:
            false
        }
    }
}
