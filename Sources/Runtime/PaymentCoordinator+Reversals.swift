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
        if let write = reversals.replied(order.transaction, reply, at: now) { record(write) }
        sendDueReversals()
        wakeIdleWatchers()
    }

    /// Losing one of these in a crash costs a repeat: the network's effect is the same. What there is no room for is written later: the task
    /// left the queue with the reply, so nobody would come back to it.
    private func record(_ write: LogWrite) {
        var urgency = LogUrgency.lazy
        if case .parkReversal(let record) = write {
            urgency = .forced
            counters.add(.reversalParked)
            events.emit(
                .error, .reversal, .transactionID(record.transaction.description),
                .message("the reversal is parked for an operator: \(record.reason)"))
        }
        append(write, urgency, attempt: 1)
    }

    private func append(_ write: LogWrite, _ urgency: LogUrgency, attempt: Int) {
        log.append(write, urgency: urgency) { [self] result in
            guard case .failure(let refusal) = result else { return }
            events.emit(.warning, .reversal, .message("a reversal's state was not written: \(refusal)"))
            guard refusal == .full else { return }
            onLoop { [self] in
                let wait = settings.logRetry.delay(afterAttempt: attempt)
                loop.scheduleTask(in: .milliseconds(wait.count)) { [self] in
                    append(write, urgency, attempt: attempt + 1)
                }
            }
        }
    }
}
