public import Coordinator
import NIOCore
import Telemetry

/// Why an order was not carried out. Nothing was written.
public enum OrderRefusal: Error, Sendable, Hashable {
    /// The transaction is still being worked on: its participants are asked and may change it at any moment.
    case busy(TransactionID)
    case log(LogRefusal)
    /// The step is none that may be ordered.
    case notAnOrder
}

/// What operators order and what evidence proves: steps that no transaction's machine would take by itself.
extension PaymentCoordinator {
    /// Takes an intervention: a resolution, an adoption, a reopening, a change of a reversal, a release from the quarantine, or the
    /// reconciliation of the log. What it leads to is carried out in the background.
    ///
    /// - Parameter completion: called on the loop, with the receipt when the step is durable.
    public func order(
        _ write: LogWrite, completion: @escaping @Sendable (Result<LogReceipt, OrderRefusal>) -> Void
    ) {
        loop.execute { [self] in take(write, completion) }
    }

    private func take(
        _ write: LogWrite, _ completion: @escaping @Sendable (Result<LogReceipt, OrderRefusal>) -> Void
    ) {
        var wasQueued = false
        switch write {
        case .resolve(let record, _):
            // Nothing of it may be on its way: a participant's late reply would be an answer to the other decision.
            guard isAtRest(record.transaction), !reversals.isInFlight(record.transaction) else {
                return completion(.failure(.busy(record.transaction)))
            }
            wasQueued = reversals.withdraw(record.transaction) == .withdrawn
        case .adopt(let record):
            guard flights[record.transaction] == nil else {
                return completion(.failure(.busy(record.transaction)))
            }
        case .reopen(let state, _):
            guard flights[state.transaction] == nil else { return completion(.failure(.busy(state.transaction))) }
        case .parkReversal(let record):
            guard !reversals.isInFlight(record.transaction) else {
                return completion(.failure(.busy(record.transaction)))
            }
            wasQueued = reversals.withdraw(record.transaction) == .withdrawn
        case .releaseReversal, .releaseQuarantined, .reconcile: break
        case .begin, .commit, .abort, .acknowledged, .end, .park, .reversalRefused, .closeReversal, .fenceAttempted,
            .fenceConfirmed, .databaseSeen:
            return completion(.failure(.notAnOrder))
        }
        let isRequeued = wasQueued
        log.append(write, urgency: .forced) { [self] result in
            onLoop { [self] in ordered(write, result, wasQueued: isRequeued, completion) }
        }
    }

    private func ordered(
        _ write: LogWrite, _ result: Result<LogReceipt, LogRefusal>, wasQueued: Bool,
        _ completion: @Sendable (Result<LogReceipt, OrderRefusal>) -> Void
    ) {
        switch result {
        case .failure(let refusal):
            // What waited in the queue before the order goes on waiting there.
            if wasQueued, let transaction = write.subject { takeUpReversals(of: [transaction]) }
            completion(.failure(.log(refusal)))
        case .success(let receipt):
            if case .resumed(let state) = receipt { takeUp(state, holdingReversal: write.asksAgain) }
            if case .releaseReversal(let record) = write { sendNow(record.transaction) }
            if case .parkReversal = write { counters.add(.reversalParked) }
            completion(.success(receipt))
        }
    }

    /// Goes on with a transaction as an intervention left it.
    ///
    /// - Parameter isHeld: whether its open reversal waits until everybody has rolled back.
    private func takeUp(_ state: ActiveTransaction, holdingReversal isHeld: Bool) {
        // Its machine from before the intervention is at rest.
        let former = flights[state.transaction]
        parkedWithoutFlight.remove(state.transaction)
        switch state.decision {
        // What was held back or sent before was about another outcome.
        case .commit: _ = reversals.withdraw(state.transaction)
        case .abort where isHeld: break
        case .abort, .undecided: takeUpReversals(of: [state.transaction])
        }
        resume(state, inPlaceOf: former, reversal: isHeld ? .untilEnd : .nothing) {}
        if state.isParked { noteParked(state) }
    }

    /// A transaction that an intervention left waiting for an operator.
    private func noteParked(_ state: ActiveTransaction) {
        counters.add(.heuristic)
        let evidence = state.parkings.map { "\($0.record.participant): \($0.record.evidence)" }
        events.emit(
            .error, .heuristic, .requestID(state.begin.record.intent.requestID.text),
            .transactionID(state.transaction.description), .message(evidence.joined(separator: "; ")))
        wakeIdleWatchers()
    }

    /// Sends a reversal that was released, whether it was parked or due later.
    private func sendNow(_ transaction: TransactionID) {
        guard reversals.hasten(transaction, at: time.monotonic()) else { return takeUpReversals(of: [transaction]) }
        sendDueReversals()
    }

    /// Whether nothing of the transaction is on its way.
    private func isAtRest(_ transaction: TransactionID) -> Bool {
        flights[transaction]?.machine.waitsForOperator ?? true
    }
}

extension LogWrite {
    /// The transaction whose reversal an order is about.
    fileprivate var subject: TransactionID? {
        switch self {
        case .resolve(let record, _): record.transaction
        case .parkReversal(let record): record.transaction
        case .begin, .commit, .abort, .acknowledged, .end, .park, .reversalRefused, .closeReversal, .fenceAttempted,
            .fenceConfirmed, .databaseSeen, .adopt, .reopen, .releaseReversal, .releaseQuarantined, .reconcile:
            nil
        }
    }

    /// Whether it is an order to ask again who did otherwise than an abort: the money is not given back before they have answered.
    fileprivate var asksAgain: Bool {
        guard case .resolve(let record, _) = self else { return false }
        return record.outcome == .aborted && !record.isForced && record.warrant.authority == .order
    }
}
