import Coordinator

extension DatabaseCore {
    func inDoubtLocks(_ completion: @escaping @Sendable (Result<[InDoubtLocks], PostgresReadError>) -> Void) {
        runControl([LockStatements.prepared, LockStatements.locks, LockStatements.waiting]) { [logID, index] report in
            guard report.failure == nil, let prepared = report.results[0].rows, let locks = report.results[1].rows,
                let waiting = report.results[2].rows
            else { return completion(.failure(PostgresReadError(report.failure ?? "no answer"))) }
            let own = prepared.filter { row in
                guard let id = row.first.flatMap({ $0 }).flatMap({ GlobalBranchID($0) }) else { return false }
                return id.log == logID && id.database == index
            }
            guard let judgement = LockJudgement(locks: locks, waiting: waiting) else {
                return completion(.failure(PostgresReadError("a line of pg_locks cannot be read")))
            }
            let found = own.compactMap { judgement.locks(ofPrepared: $0) }
            guard found.count == own.count else {
                return completion(.failure(PostgresReadError("a line of pg_prepared_xacts cannot be read")))
            }
            completion(.success(found))
        }
    }
}
