import Coordinator
import Payments

extension DatabaseCore {
    /// The order matters: a backend that is gone before the list is read has prepared all that it ever will, and a branch that
    /// is committed between the list and the witnesses is seen by the latter.
    func observe(
        _ transactions: [TransactionID], _ completion: @escaping @Sendable (DatabaseObservation) -> Void
    ) {
        // Nothing is concluded, or done about it, by a server that was fenced out. Others may be fenced by somebody.
        let fence = owner == nil ? [] : [SessionStatements.fenceRow(of: logID, endsSegment: true)]
        runControl(fence + [SessionStatements.backends(of: logID), Statements.preparedList]) { [unowned self] report in
            if !fence.isEmpty, !isStillFenced(report.results.first) {
                return unreachable("the database is \(state)", completion)
            }
            let results = Array(report.results.dropFirst(fence.count))
            guard report.failure == nil, let backends = results[0].rows, let list = results[1].rows else {
                return unreachable(report.failure ?? "no answer", completion)
            }
            let older = SessionStatements.olderBackends(backends, log: logID, than: currentEpoch)
            let prepared = list.compactMap { PreparedTransaction($0) }
            let elsewhere = Set(list.filter(PreparedTransaction.isElsewhere).compactMap { $0.first.flatMap { $0 } })
            guard prepared.count == list.count else {
                return unreachable("a line of pg_prepared_xacts cannot be read", completion)
            }
            if owner != nil { sizeSlots(from: prepared) }
            witnesses(transactions[...], []) { [index] witnessed, failure in
                if let failure { return self.unreachable(failure, completion) }
                let sighting = DatabaseObservation.Sighting(
                    prepared: prepared, elsewhere: elsewhere, witnessed: witnessed, olderBackendsAlive: !older.isEmpty)
                completion(DatabaseObservation(database: index, state: .seen(sighting)))
            }
        }
    }

    private func unreachable(_ reason: String, _ completion: @Sendable (DatabaseObservation) -> Void) {
        // A connection that was closed because of it is not the reason.
        let isFencedOut = if case .fencedOut = state { true } else { false }
        let why = isFencedOut ? "the database is \(state)" : reason
        completion(DatabaseObservation(database: index, state: .unreachable(why)))
    }

    /// Looks for the rows of `transactions`, a part at a time.
    private func witnesses(
        _ transactions: ArraySlice<TransactionID>, _ found: Set<TransactionID>,
        _ completion: @escaping (Set<TransactionID>, String?) -> Void
    ) {
        guard !transactions.isEmpty else { return completion(found, nil) }
        let part = transactions.prefix(PostgresLimits.witnessesPerStatement)
        runControl([Statements.witnesses(of: part)]) { [unowned self] report in
            guard report.failure == nil, let rows = report.results[0].rows else {
                return completion([], report.failure ?? "no answer")
            }
            let here = rows.compactMap { row in row.first.flatMap { $0 }.flatMap { TransactionID($0) } }
            witnesses(transactions.dropFirst(part.count), found.union(here), completion)
        }
    }

    func listOwnPrepared(_ completion: @escaping @Sendable (Result<[PreparedTransaction], PostgresReadError>) -> Void) {
        runControl([Statements.preparedList]) { [logID, index] report in
            guard report.failure == nil, let list = report.results[0].rows else {
                return completion(.failure(PostgresReadError(report.failure ?? "no answer")))
            }
            let own = list.compactMap { PreparedTransaction($0) }.filter { prepared in
                guard let id = GlobalBranchID(prepared.gid) else { return false }
                return id.log == logID && id.database == index
            }
            completion(.success(own))
        }
    }

    func payment(
        _ request: RequestID, _ completion: @escaping @Sendable (Result<PaymentRow?, PostgresReadError>) -> Void
    ) {
        func read(_ report: JobReport) {
            guard report.failure == nil, let rows = report.results[0].rows else {
                return completion(.failure(PostgresReadError(report.failure ?? "no answer")))
            }
            guard let first = rows.first else { return completion(.success(nil)) }
            guard let row = PaymentRow(first) else {
                return completion(.failure(PostgresReadError("the row of this request_id cannot be read")))
            }
            completion(.success(row))
        }
        guard owner != nil else { return runControl(Statements.row(of: request), read) }
        submit(
            PoolJob(
                Statements.row(of: request), .read, deadline: EventLoop.now() + configuration.resolveTimeout,
                completion: read))
    }
}
