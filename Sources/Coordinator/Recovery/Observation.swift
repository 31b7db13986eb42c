/// A prepared transaction as a database lists it (`pg_prepared_xacts`).
public struct PreparedTransaction: Sendable, Hashable {
    public let gid: String
    public let owner: String
    /// The database of the cluster that it belongs to.
    public let databaseName: String
    public let preparedAt: WallTime

    public init(gid: String, owner: String, databaseName: String, preparedAt: WallTime) {
        self.gid = gid
        self.owner = owner
        self.databaseName = databaseName
        self.preparedAt = preparedAt
    }
}

/// What was seen of one database, in this order: the prepared list, then the witnesses in a later statement.
public struct DatabaseObservation: Sendable, Hashable {
    public let database: DatabaseIndex
    public let state: State

    public enum State: Sendable, Hashable {
        /// Nothing may be concluded. The text says why.
        case unreachable(String)
        case seen(Sighting)
    }

    public struct Sighting: Sendable, Hashable {
        /// Every prepared transaction of the cluster, foreign ones and other databases' included.
        public let prepared: [PreparedTransaction]
        /// The names among them that belong to other databases of the cluster.
        public let elsewhere: Set<String>
        /// Of the transactions asked about, those whose row is visible.
        public let witnessed: Set<TransactionID>
        /// Whether a backend of an older epoch of this log is still alive, so that a branch may yet appear.
        public let olderBackendsAlive: Bool

        public init(
            prepared: [PreparedTransaction], elsewhere: Set<String> = [], witnessed: Set<TransactionID>,
            olderBackendsAlive: Bool
        ) {
            self.prepared = prepared
            self.elsewhere = elsewhere
            self.witnessed = witnessed
            self.olderBackendsAlive = olderBackendsAlive
        }
    }

    public init(database: DatabaseIndex, state: State) {
        self.database = database
        self.state = state
    }
}

extension DatabaseObservation.State {
    /// This look, with only those prepared transactions that an earlier one listed too: what came or went between the two is in
    /// the hands of a running server. Without an earlier look nothing is known to have stayed.
    public func listedAlsoIn(_ earlier: Self) -> Self {
        switch (self, earlier) {
        case (.unreachable, _): return self
        case (.seen, .unreachable): return earlier
        case (.seen(let now), .seen(let before)):
            let stayed = Set(before.prepared)
            return .seen(
                .init(
                    prepared: now.prepared.filter(stayed.contains), elsewhere: now.elsewhere, witnessed: now.witnessed,
                    olderBackendsAlive: now.olderBackendsAlive))
        }
    }
}

/// What the network says it knows of a transaction.
public enum ClearingStatus: Sendable, Hashable {
    /// A hold is in place, not confirmed.
    case held
    /// The authorization is confirmed.
    case settled
    /// The hold was given back.
    case released
    /// The hold was refused.
    case declined
    /// An abort came before any prepare; a later prepare will be refused.
    case tombstone
    /// The network has never heard of it. It may yet: a prepare can still be under way.
    case unknown
    /// The network could not be asked, or its answer not be read. The text says why. Nothing may be concluded.
    case unreachable(String)
}
