import Coordinator

/// What recovery looks at, in few words.
enum Recovery {
    static func prepared(_ gid: String) -> PreparedTransaction {
        PreparedTransaction(
            gid: gid, owner: "holdfast", databaseName: "payments", preparedAt: WallTime(microseconds: 0))
    }

    static func branch(
        at database: DatabaseIndex, epoch: UInt64, log: LogID = Samples.log,
        of transaction: TransactionID = Samples.transaction
    ) -> PreparedTransaction {
        prepared(
            GlobalBranchID(
                log: log, epoch: Epoch(rawValue: epoch), transaction: transaction, database: database
            ).description)
    }

    static func seen(
        prepared: [PreparedTransaction] = [], witnessed: Set<TransactionID> = [], olderBackendsAlive: Bool = false
    ) -> DatabaseObservation.State {
        .seen(.init(prepared: prepared, witnessed: witnessed, olderBackendsAlive: olderBackendsAlive))
    }

    static func plan(
        active: [ActiveTransaction] = [], reversals: [ReversalTask] = [], liveEpoch: UInt64? = nil,
        observations: [DatabaseIndex: DatabaseObservation.State] = [:],
        history: [TransactionID: ActiveTransaction] = [:]
    ) -> RecoveryPlan {
        let snapshot = LogSnapshot(
            log: Samples.log,
            owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 7)),
            nextLSN: LSN(rawValue: 100), active: active, reversals: reversals, fences: [], quarantined: 0)
        return RecoveryPlan(
            .init(
                snapshot: snapshot, liveEpoch: liveEpoch.map(Epoch.init(rawValue:)), observations: observations,
                history: history))
    }
}
