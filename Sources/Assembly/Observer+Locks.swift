public import Coordinator
import PostgresParticipant
import WAL

/// What a prepared branch of this log keeps from others while it is in doubt.
public struct BranchLocks: Sendable, Hashable {
    /// Its name in PostgreSQL.
    public let gid: String
    /// The database that shows it.
    public let database: DatabaseIndex
    /// Sessions that wait for one of its locks, directly or behind a session that does.
    public let blockedSessions: Int
    /// The tables that it locks.
    public let tables: [String]
    /// Transactions that the cluster has begun since.
    public let xidAge: Int
    /// Whether nothing in the cluster is older, so that vacuum waits for this one.
    public let holdsHorizon: Bool

    /// Takes what a database showed.
    public init(
        gid: String, database: DatabaseIndex, blockedSessions: Int, tables: [String], xidAge: Int, holdsHorizon: Bool
    ) {
        self.gid = gid
        self.database = database
        self.blockedSessions = blockedSessions
        self.tables = tables
        self.xidAge = xidAge
        self.holdsHorizon = holdsHorizon
    }

    /// The transaction that it belongs to; `nil` for a name that is none of ours.
    public var transaction: TransactionID? { GlobalBranchID(gid)?.transaction }
}

/// What the prepared branches of this log block, in every database.
public struct LockPicture: Sendable, Hashable {
    /// By database, the oldest first.
    public let branches: [BranchLocks]
    /// Databases that could not be asked, and why.
    public let unreachable: [DatabaseIndex: String]

    /// Takes what the databases showed.
    public init(branches: [BranchLocks], unreachable: [DatabaseIndex: String]) {
        self.branches = branches
        self.unreachable = unreachable
    }
}

extension Observer {
    /// What the prepared branches of this log block. Reads only.
    public static func locks(_ settings: NodeSettings) async throws -> LockPicture {
        let reader = try open(settings.stateDirectory)
        return try await Onlookers.look(settings, reader) { onlookers in
            var branches: [BranchLocks] = []
            var unreachable: [DatabaseIndex: String] = [:]
            let silent = PostgresReadError("no answer within \(Observation.timeMax)")
            for database in onlookers.databases {
                let found: Result<[InDoubtLocks], PostgresReadError> = await withTimeout(
                    Observation.timeMax, on: onlookers.loop, otherwise: .failure(silent)
                ) { done in database.inDoubtLocks { done($0) } }
                switch found {
                case .failure(let error): unreachable[database.index] = error.reason
                case .success(let locks): branches += locks.map { BranchLocks($0, at: database.index) }
                }
            }
            return LockPicture(branches: branches, unreachable: unreachable)
        }
    }
}

extension BranchLocks {
    init(_ locks: InDoubtLocks, at database: DatabaseIndex) {
        self.init(
            gid: locks.gid, database: database, blockedSessions: locks.blockedSessions, tables: locks.lockedRelations,
            xidAge: locks.xidAge, holdsHorizon: locks.holdsHorizon)
    }
}
