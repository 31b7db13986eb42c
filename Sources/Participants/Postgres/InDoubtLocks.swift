/// What a prepared transaction of ours keeps from others while it is in doubt.
public struct InDoubtLocks: Sendable, Hashable {
    /// Its name in PostgreSQL.
    public let gid: String
    /// Sessions that wait for one of its locks, directly or behind a session that does.
    public let blockedSessions: Int
    /// The tables that it locks, named as the session's `search_path` needs it, in order.
    public let lockedRelations: [String]
    /// Transactions that the cluster has begun since this one got its number.
    public let xidAge: Int
    /// Whether nothing in the cluster is older, so that vacuum waits for this one.
    public let holdsHorizon: Bool
}

extension PostgresDatabase {
    /// What the prepared transactions of this log in this database block, the oldest first. Reads only.
    ///
    /// The list and the locks are read one after the other: what is prepared or resolved in between may show without locks.
    public func inDoubtLocks(
        completion: @escaping @Sendable (Result<[InDoubtLocks], PostgresReadError>) -> Void
    ) {
        submit({ $0.inDoubtLocks(completion) }, ifClosed: { completion(.failure($0)) })
    }
}
