public import Coordinator

/// What a look at a database found for a preflight: facts, in PostgreSQL's words. What they mean is for the caller to judge.
public struct PostgresDiagnosis: Sendable, Hashable {
    /// Which database of which cluster it is.
    public var identity: DatabaseIdentity
    /// The timeline of its write-ahead log.
    public var timeline: UInt32?
    /// Settings as they are in force in our session, in the unit of `pg_settings`.
    public var settings: [String: String] = [:]
    /// `nil` if it could not be read, as everything that is optional here; ``unreadable`` says why.
    public var role: Role?
    /// Rights on the tables that are there and that the role lacks, such as `INSERT on transactions`.
    public var rightsMissing: [String] = []
    /// Every prepared transaction of the cluster, whoever made it, the oldest first.
    public var prepared: [Prepared] = []
    /// This log's row in the fence table; `nil` if there is none.
    public var fence: Fence?
    /// Rows of other logs in the fence table.
    public var otherFences = 0
    /// `nil` if the tables were never made.
    public var schema: TableVersion?
    /// Sessions of this log's servers, of every epoch.
    public var backends: Backends?
    /// Standbys that count as synchronous now; `nil` if the role may not see it.
    public var synchronousStandbys: Int?
    public var clock: ClockOffset?
    public var probe: Probe?
    /// Probes that an earlier preflight left behind.
    public var leftovers: [Leftover] = []
    /// What could not be read, and why.
    public var unreadable: [Unreadable] = []

    package init(identity: DatabaseIdentity, timeline: UInt32?) {
        self.identity = identity
        self.timeline = timeline
    }

    /// The role that we are connected as.
    public struct Role: Sendable, Hashable {
        public var name: String
        public var isSuperuser: Bool
        /// Connections that the role may have; `nil` without a limit.
        public var connectionsMax: Int?
        /// Connections that the database may have; `nil` without a limit.
        public var databaseConnectionsMax: Int?
        public var databaseName: String
        /// Whether it may create tables where its `search_path` puts them.
        public var mayCreateTables: Bool
        /// Connections to the whole cluster now, ours included.
        public var connectionsUsed: Int

        package init(
            name: String, isSuperuser: Bool, connectionsMax: Int?, databaseConnectionsMax: Int?, databaseName: String,
            mayCreateTables: Bool, connectionsUsed: Int
        ) {
            self.name = name
            self.isSuperuser = isSuperuser
            self.connectionsMax = connectionsMax
            self.databaseConnectionsMax = databaseConnectionsMax
            self.databaseName = databaseName
            self.mayCreateTables = mayCreateTables
            self.connectionsUsed = connectionsUsed
        }
    }

    /// A prepared transaction, anybody's.
    public struct Prepared: Sendable, Hashable {
        public var gid: String
        public var owner: String
        public var databaseName: String
        public var age: Milliseconds
        /// Transactions that the cluster has begun since.
        public var xidAge: Int
        /// Whether nothing in the cluster is older, so that vacuum waits for it.
        public var holdsHorizon: Bool
        /// Whether a preflight made it: this one in another database, another one at work, or one that was killed.
        public var isProbe: Bool { ProbeName(gid) != nil }

        package init(
            gid: String, owner: String, databaseName: String, age: Milliseconds, xidAge: Int, holdsHorizon: Bool
        ) {
            self.gid = gid
            self.owner = owner
            self.databaseName = databaseName
            self.age = age
            self.xidAge = xidAge
            self.holdsHorizon = holdsHorizon
        }
    }

    /// Who may work on the log's behalf, as the database has it.
    public struct Fence: Sendable, Hashable {
        public var pair: FencePair
        public var database: DatabaseIndex

        package init(pair: FencePair, database: DatabaseIndex) {
            self.pair = pair
            self.database = database
        }
    }

    /// The version of our tables.
    public struct TableVersion: Sendable, Hashable {
        public var applied: Int
        /// The oldest schema version whose programs can work with them.
        public var usableFrom: Int
        /// What this program brings tables to.
        public static let ours = Schema.version

        package init(applied: Int, usableFrom: Int) {
            self.applied = applied
            self.usableFrom = usableFrom
        }
    }

    /// Sessions that carry the log's application name.
    public struct Backends: Sendable, Hashable {
        public var count: Int
        /// Of these, how many our role may not terminate.
        public var notTerminable: Int
        /// The roles of those.
        public var foreignRoles: String

        package init(count: Int, notTerminable: Int, foreignRoles: String) {
            self.count = count
            self.notTerminable = notTerminable
            self.foreignRoles = foreignRoles
        }
    }

    /// How far the database's clock is ahead of ours.
    public struct ClockOffset: Sendable, Hashable {
        public var microseconds: Int64
        /// The true value differs by no more: half of the round trip.
        public var boundMicroseconds: Int64

        package init(microseconds: Int64, boundMicroseconds: Int64) {
            self.microseconds = microseconds
            self.boundMicroseconds = boundMicroseconds
        }
    }

    /// A real PREPARE and ROLLBACK PREPARED of nothing.
    public struct Probe: Sendable, Hashable {
        public enum Outcome: Sendable, Hashable {
            /// Both were done, in this time all together.
            case passed(microseconds: Int64)
            /// The server said no, in its words.
            case refused(String)
            /// No clear answer in time.
            case unclear(String)
        }

        public var gid: String
        public var outcome: Outcome
        /// Whether it is listed still, after every attempt to remove it.
        public var isLeft: Bool

        package init(gid: String, outcome: Outcome, isLeft: Bool) {
            self.gid = gid
            self.outcome = outcome
            self.isLeft = isLeft
        }
    }

    /// What a preflight that was killed left prepared.
    public struct Leftover: Sendable, Hashable {
        public var gid: String
        /// Why it is there still; `nil` if it was removed now.
        public var keptBecause: String?

        package init(gid: String, keptBecause: String?) {
            self.gid = gid
            self.keptBecause = keptBecause
        }
    }

    /// Something that the server would not tell.
    public struct Unreadable: Sendable, Hashable {
        public var what: String
        public var reason: String

        package init(what: String, reason: String) {
            self.what = what
            self.reason = reason
        }
    }
}

/// Why a database could not be looked at.
public struct PostgresDiagnosisError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// No connection, or it was lost. May be otherwise the next time.
        case unreachable
        /// A standby.
        case standby
        /// An operator has to do what the text says.
        case refused
    }

    public let kind: Kind
    public let reason: String
    public var description: String { reason }

    package init(_ kind: Kind, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }
}

extension PostgresDatabase {
    /// Looks at everything that a server would depend on, and prepares and rolls back a transaction of its own that touches no
    /// table. Changes nothing else; for an observer, after ``firstAttempt(completion:)``. `completion` is called exactly once,
    /// within a bounded time.
    ///
    /// - Parameter probeAge: a probe that was prepared longer ago was left behind by a preflight that is gone, and is removed.
    public func diagnose(
        removingProbesOlderThan probeAge: Milliseconds = PostgresLimits.probeAgeMax,
        completion: @escaping @Sendable (Result<PostgresDiagnosis, PostgresDiagnosisError>) -> Void
    ) {
        submit({ $0.diagnose(probeAge, completion) }) { error in
            completion(.failure(PostgresDiagnosisError(.unreachable, error.reason)))
        }
    }

    /// One look at how far the database's clock is ahead of ours; `nil` if it could not be read.
    public func clockOffset(completion: @escaping @Sendable (PostgresDiagnosis.ClockOffset?) -> Void) {
        submit({ core in core.clockOffset { completion($0) } }) { _ in completion(nil) }
    }
}
