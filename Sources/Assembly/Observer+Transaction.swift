public import Coordinator
public import Payments
import WAL

/// One transaction as the participants show it now, and as recovery would judge it.
public struct TransactionSight: Sendable {
    /// What recovery would do about everything unfinished; this transaction may be in it.
    public let plan: RecoveryPlan
    /// What each configured database shows of it.
    public let databases: [DatabaseIndex: DatabaseSight]
    /// What the network says; `nil` if it was not asked.
    public let status: ClearingStatus?

    /// Takes what was seen.
    public init(plan: RecoveryPlan, databases: [DatabaseIndex: DatabaseSight], status: ClearingStatus?) {
        self.plan = plan
        self.databases = databases
        self.status = status
    }
}

/// What a database shows of a transaction.
public enum DatabaseSight: Sendable, Hashable {
    /// A branch of it is prepared.
    case prepared
    /// Its row is visible.
    case committed
    /// Neither.
    case absent
    /// It could not be asked. The text says why.
    case unreachable(String)
}

extension Observer {
    /// Looks at one transaction everywhere, without changing anything.
    ///
    /// - Parameter asksNetwork: whether the network is asked what it knows of it; that changes nothing there.
    public static func sight(
        of transaction: TransactionID, _ settings: NodeSettings, asksNetwork: Bool
    ) async throws -> TransactionSight {
        let reader = try open(settings.stateDirectory)
        return try await Onlookers.look(settings, reader) { onlookers in
            let plan = try await onlookers.plan()
            let observations = await Observation.gather(
                onlookers.databases, witnessesOf: [transaction], loop: onlookers.loop)
            var sights: [DatabaseIndex: DatabaseSight] = [:]
            for (index, state) in observations {
                sights[index] = DatabaseSight(of: transaction, at: index, log: plan.log, state)
            }
            return TransactionSight(
                plan: plan, databases: sights,
                status: asksNetwork ? await onlookers.askNetwork(transaction) : nil)
        }
    }

    /// The transaction that a request_id stands for; `nil` if the log knows it not, or no more.
    public static func transaction(of request: RequestID, stateDirectory: String) throws -> TransactionID? {
        let reader = try open(stateDirectory)
        return try refusing { () throws(LogError) in try reader.lookUp(request) }?.transaction
    }
}

extension DatabaseSight {
    init(of transaction: TransactionID, at index: DatabaseIndex, log: LogID, _ state: DatabaseObservation.State) {
        switch state {
        case .unreachable(let why): self = .unreachable(why)
        case .seen(let sighting):
            let isPrepared = sighting.prepared.contains {
                guard let id = GlobalBranchID($0.gid) else { return false }
                return id.log == log && id.transaction == transaction && id.database == index
            }
            self = isPrepared ? .prepared : sighting.witnessed.contains(transaction) ? .committed : .absent
        }
    }
}
