public import Coordinator
import WAL

/// Looks at a log and its participants without changing anything, beside a running server or without one.
public enum Observer {
    /// The plan that recovery would carry out now.
    ///
    /// - Throws: ``StartRefusal``, as recovery itself, if a database must not be used with this log: the directory is a copy or an
    ///   old one, or the database is another.
    public static func plan(_ settings: NodeSettings) async throws -> RecoveryPlan {
        let reader = try open(settings.stateDirectory)
        let snapshot = try refusing { () throws(LogError) in try reader.snapshot() }
        try Node.refuseBackup(snapshot, settings.stateDirectory)
        try Node.check(settings.databases.count, against: snapshot)
        return try await Onlookers.look(settings, reader) { try await $0.plan() }
    }

    /// What the log holds unfinished.
    public static func snapshot(stateDirectory: String) throws -> LogSnapshot {
        let reader = try open(stateDirectory)
        return try refusing { () throws(LogError) in try reader.snapshot() }
    }

    /// The records of one transaction, oldest first.
    public static func history(
        of transaction: TransactionID, stateDirectory: String
    ) throws -> [Placed<LogRecord>] {
        let reader = try open(stateDirectory)
        return try refusing { () throws(LogError) in try reader.history(of: transaction) }.map {
            Placed($0.record, lsn: $0.lsn, writtenAt: $0.writtenAt)
        }
    }

    static func open(_ stateDirectory: String) throws -> LogReader {
        try LogAccess.check(stateDirectory)
        return try refusing { () throws(LogError) in try LogReader(path: stateDirectory) }
    }

    /// What the log says against it, for the operator.
    static func refusing<Value>(_ body: () throws(LogError) -> Value) throws(StartRefusal) -> Value {
        do {
            return try body()
        } catch {
            throw StartRefusal(error)
        }
    }
}
