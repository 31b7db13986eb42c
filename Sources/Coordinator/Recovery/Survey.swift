/// The order in which a plan's maker looks at the world: results in, the next thing to look at out.
///
/// Beside a running server the order matters: the databases first, the log after them, so that what begins in between is not taken for a
/// stray; then the databases again, and only what both lists show counts, so that neither is what ends in between.
public struct Survey: Sendable {
    /// What is to be looked at next.
    public enum Step: Sendable {
        /// Comes back as ``logRead(_:)``.
        case readLog
        /// Every configured database: its prepared transactions, and later the rows of these. Comes back as
        /// ``databasesSeen(_:isServing:)``.
        case lookAtDatabases(witnessesOf: [TransactionID])
        /// Those of these transactions that have ended, as the history has them. Comes back as ``historyRead(_:)``.
        case readHistory(Set<TransactionID>)
        /// Everything was looked at. A log that has lost its tail needs evidence beyond this.
        case judge(RecoveryPlan.Input)
    }

    private var snapshot: LogSnapshot?
    private var transactions: [TransactionID] = []
    private var observations: [DatabaseIndex: DatabaseObservation.State]?
    private var isServing = false

    public init() {}

    /// The first thing to look at.
    public func begin() -> Step { .readLog }

    public mutating func logRead(_ snapshot: LogSnapshot) -> Step {
        if observations == nil { transactions = snapshot.active.map(\.transaction) }
        self.snapshot = snapshot
        return .lookAtDatabases(witnessesOf: transactions)
    }

    /// - Parameter isServing: whether a server works on the log; asked after the look.
    public mutating func databasesSeen(
        _ seen: [DatabaseIndex: DatabaseObservation.State], isServing: Bool
    ) -> Step {
        if let first = observations {
            let both = seen.merging(first) { $0.listedAlsoIn($1) }
            observations = both
            return .readHistory(unexplained(both))
        }
        observations = seen
        self.isServing = isServing
        return isServing ? .readLog : .readHistory(unexplained(seen))
    }

    public func historyRead(_ history: [TransactionID: ActiveTransaction]) -> Step {
        guard let snapshot, let observations else { preconditionFailure("a history before everything was looked at") }
        return .judge(
            RecoveryPlan.Input(
                snapshot: snapshot, liveEpoch: isServing ? snapshot.owner.epoch : nil, observations: observations,
                history: history))
    }

    /// The listed branches of our log that no unfinished transaction explains.
    private func unexplained(_ seen: [DatabaseIndex: DatabaseObservation.State]) -> Set<TransactionID> {
        guard let snapshot else { preconditionFailure("the databases were looked at before the log") }
        let explained = Set(snapshot.active.map(\.transaction))
        var unexplained: Set<TransactionID> = []
        for case .seen(let sighting) in seen.values {
            for prepared in sighting.prepared {
                guard let id = GlobalBranchID(prepared.gid), id.log == snapshot.log, !explained.contains(id.transaction)
                else { continue }
                unexplained.insert(id.transaction)
            }
        }
        return unexplained
    }
}
