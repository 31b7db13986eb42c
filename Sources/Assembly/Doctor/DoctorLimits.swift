import Coordinator
import WAL

/// From where on a preflight warns, and how long it waits.
enum DoctorLimits {
    /// For a database's first connection.
    static let connectWait = Milliseconds.seconds(6)
    /// For everything about one database after that, the probe and its removal included.
    static let databaseWait = Milliseconds.seconds(45)
    /// For the network's answer.
    static let clearingWait = Milliseconds.seconds(6)

    /// A sync that takes longer is felt by every payment, nanoseconds.
    static let syncNoted: UInt64 = 20_000_000
    static let syncWarned: UInt64 = 100_000_000
    /// Shares of the log's map: from here on it is time to act; from there on no new payments are taken.
    static let mapShareWarned = 0.5
    static let mapShareMax = LogConfiguration().admissionMapShare
    /// Commits that a reader may be behind.
    static let readerLagWarned = LogLimits.readerLagCommitsMax

    /// Clocks that differ by more than the round trip can explain, beyond this, microseconds.
    static let clockWarned: Int64 = 1_000_000
    static let clockProblem: Int64 = 300_000_000
    /// A round trip for a PREPARE and its rollback that every payment would feel, microseconds.
    static let probeNoted: Int64 = 250_000
    /// Ages of prepared transactions. Ours are resolved within seconds where all is well.
    static let preparedNoted = Milliseconds.seconds(60)
    static let preparedWarned = Milliseconds.seconds(3600)
    /// Transactions that the oldest prepared one holds vacuum back by. The cluster stops at about two thousand millions.
    static let xidAgeWarned = 10_000_000
    static let xidAgeProblem = 500_000_000
    /// Connections that others need beside ours, so that a full pool does not lock the operator out.
    static let connectionsSpare = 5
    /// A round trip to the network that is noted, milliseconds.
    static let clearingNoted: Int64 = 1000
}
