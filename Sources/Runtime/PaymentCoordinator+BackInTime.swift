public import Coordinator
import NIOCore
import Telemetry

/// What a database has lost is done again, durably and loudly.
extension PaymentCoordinator {
    /// Makes an ended transaction unfinished again and goes on with it: its decision is carried out again, or it waits for an
    /// operator, as the record says.
    ///
    /// - Parameter completion: called on the loop when that is in the log: with false if the transaction is unfinished already, so
    ///   that it is in the hands of its own machine.
    public func reopen(
        _ ended: ActiveTransaction, _ record: ReopenedRecord,
        completion: @escaping @Sendable (Result<Bool, OrderRefusal>) -> Void
    ) {
        order(.reopen(ended, record)) { [self] result in
            switch result {
            case .success:
                noteLost(ended, record.evidence)
                completion(.success(true))
            case .failure(.busy), .failure(.log(.alreadyActive)): completion(.success(false))
            case .failure(let refusal):
                events.emit(
                    .error, .backInTime, .transactionID(record.transaction.description),
                    .message("\(record.evidence); it could not be reopened and is tried again: \(refusal)"))
                completion(.failure(refusal))
            }
        }
    }

    /// Tells a database the decisions of unfinished transactions again, behind whose acknowledgements it went back.
    ///
    /// - Parameter completion: called on the loop when the orders are on their way.
    public func tellAgain(_ lost: [LostCommit], completion: @escaping @Sendable () -> Void) {
        loop.execute { [self] in
            for loss in lost {
                guard let flight = flights[loss.transaction.transaction] else { continue }
                let effects = step(.acknowledgementLost(.database(loss.database)), flight)
                if !effects.isEmpty { noteLost(loss.transaction, loss.evidence) }
                apply(effects, to: flight)
            }
            completion()
        }
    }

    private func noteLost(_ transaction: ActiveTransaction, _ evidence: String) {
        if case .commit = transaction.decision { counters.add(.lostCommit) }
        events.emit(
            .error, .backInTime, .requestID(transaction.begin.record.intent.requestID.text),
            .transactionID(transaction.transaction.description), .message(evidence))
    }

    /// A branch of an ended transaction is prepared again: the database went back in time. Its decision is carried out again.
    func carryOut(_ stray: StrayVerdict, _ pending: PendingDecisions) {
        guard case .preparedAgain(let ended) = stray.verdict, flights[ended.transaction] == nil else { return }
        let record = ReopenedRecord(
            transaction: ended.transaction, database: stray.seenFrom, isParked: false,
            evidence: "\(stray.seenFrom) went back in time: a branch that had ended is prepared again")
        pending.enrol(ended.transaction)
        // What is refused is found again by the next look at the prepared transactions.
        reopen(ended, record) { _ in pending.leave(ended.transaction) }
    }
}
