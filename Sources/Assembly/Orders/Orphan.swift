public import Coordinator

/// A transaction of this log that the log has no record of, as the databases and the network show it.
public struct Orphan: Sendable, Hashable {
    public let transaction: TransactionID
    /// What each configured database shows.
    public let sightings: [Sighting]
    /// What the network says; `nil` if it was not asked.
    public let network: ClearingStatus?

    public struct Sighting: Sendable, Hashable {
        public let database: DatabaseIndex
        public let state: State
    }

    public enum State: Sendable, Hashable {
        case prepared(PreparedTransaction, Epoch)
        /// Its row is there: committed.
        case committed
        case absent
        /// The database could not be asked. The text says why.
        case unknown(String)
    }

    /// What the evidence says; an order decides.
    public enum Proposal: Sendable, Hashable {
        case outcome(Outcome, because: String)
        /// The evidence does not tell, or contradicts itself.
        case none(because: String)
    }

    init(
        _ transaction: TransactionID, log: LogID, _ observations: [DatabaseIndex: DatabaseObservation.State],
        network: ClearingStatus? = nil
    ) {
        self.transaction = transaction
        self.network = network
        sightings = observations.sorted { $0.key < $1.key }.map { index, state in
            Sighting(database: index, state: Self.state(of: transaction, log, index, state))
        }
    }

    private static func state(
        of transaction: TransactionID, _ log: LogID, _ index: DatabaseIndex, _ observed: DatabaseObservation.State
    ) -> State {
        switch observed {
        case .unreachable(let why): return .unknown(why)
        case .seen(let sighting):
            for prepared in sighting.prepared {
                guard let id = GlobalBranchID(prepared.gid), id.log == log, id.transaction == transaction,
                    id.database == index
                else { continue }
                return .prepared(prepared, id.epoch)
            }
            return sighting.witnessed.contains(transaction) ? .committed : .absent
        }
    }

    /// Databases that list a branch of it or show its row.
    var involved: [DatabaseIndex] { sightings.filter(\.isSeen).map(\.database) }

    var isCommittedSomewhere: Bool { sightings.contains { $0.state == .committed } }

    /// Why a database that may have a part in it could not be asked; `nil` if all were.
    var unknown: String? {
        for sighting in sightings {
            if case .unknown(let why) = sighting.state { return "\(sighting.database): \(why)" }
        }
        return nil
    }

    /// The epochs that its branches name.
    var epochs: Set<Epoch> {
        Set(sightings.compactMap { if case .prepared(_, let epoch) = $0.state { epoch } else { nil } })
    }

    /// The verdict that the evidence proposes. A payment that was ever answered APPROVED is committed in a database, and the network is
    /// told of a commit only after a database has it.
    public var proposal: Proposal {
        if let unknown {
            return .none(because: "a database could not be asked (\(unknown)); look again when it is back")
        }
        switch (isCommittedSomewhere, network) {
        case (true, .released), (true, .declined), (true, .tombstone):
            return .none(
                because: "a database has committed it, and the network holds nothing: find out who released it")
        case (true, _): return .outcome(.committed, because: "a database has committed it")
        case (false, .settled): return .outcome(.committed, because: "the network has confirmed it")
        case (false, .released):
            return .outcome(.aborted, because: "no database has committed it, the network has released it")
        case (false, .declined):
            return .outcome(.aborted, because: "no database has committed it, the network declined it")
        case (false, .tombstone):
            return .outcome(.aborted, because: "no database has committed it, the network was told to abort it")
        case (false, .held):
            return .outcome(
                .aborted, because: "no database has committed it, so nobody was told APPROVED; the hold is released")
        case (false, .unknown):
            return .outcome(.aborted, because: "no database has committed it, and the network has never heard of it")
        case (false, .unreachable(let why)): return .none(because: "the network could not be asked: \(why)")
        case (false, nil): return .none(because: "the network was not asked; --ask-network does")
        }
    }
}

extension Orphan.Sighting {
    var isSeen: Bool {
        switch state {
        case .prepared, .committed: true
        case .absent, .unknown: false
        }
    }
}
