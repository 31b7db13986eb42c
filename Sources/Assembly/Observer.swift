import ClearingParticipant
public import Coordinator
import NIOCore
import NIOPosix
import PostgresParticipant
import Runtime
import WAL

/// Looks at a log and its participants without changing anything, beside a running server or without one.
public enum Observer {
    /// How often the look is begun anew because a server that starts has just fenced the databases.
    private static let attemptsMax = 3

    /// The plan that recovery would carry out now.
    ///
    /// - Throws: ``StartRefusal``, as recovery itself, if a database must not be used with this log: the directory is a copy or an
    ///   old one, or the database is another.
    public static func plan(_ settings: NodeSettings) async throws -> RecoveryPlan {
        let reader = try open(settings.stateDirectory)
        var attempt = 1
        while true {
            let first = try refusing { () throws(LogError) in try reader.snapshot() }
            let problems = StartProblems()
            if let plan = try await plan(settings, reader, first, problems) { return plan }
            let now = try refusing { () throws(LogError) in try reader.snapshot() }
            guard attempt < attemptsMax, now.fences != first.fences else {
                throw StartRefusal(problems.all.joined(separator: "\n"), exitCode: ProgramExit.configuration)
            }
            attempt += 1
        }
    }

    /// - Returns: `nil` if a database is not to be used with this log, for the reasons in `problems`.
    private static func plan(
        _ settings: NodeSettings, _ reader: LogReader, _ first: LogSnapshot, _ problems: StartProblems
    ) async throws -> RecoveryPlan? {
        let isLive = StateDirectory.isInUse(path: settings.stateDirectory)
        let current = isLive ? first.owner.epoch : Epoch(rawValue: first.owner.epoch.rawValue + 1)
        let databases = try settings.databases.enumerated().map { offset, configuration in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            let fence =
                first.fences.first { $0.database == index }
                ?? DatabaseFence(database: index, identity: nil, confirmed: nil, attempted: [])
            return try PostgresDatabase(
                index: index, configuration: configuration, log: first.log,
                role: .observer(current: current, fence: fence),
                events: PostgresEvents(fatal: { why in problems.add("\(index): \(why)") }))
        }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        for database in databases { try database.start() }
        await Observation.awaitFirstAttempts(databases, atMost: Observation.timeMax, loop: loop)
        let plan = problems.all.isEmpty ? try await plan(settings, reader, databases, loop) : nil
        for database in databases {
            await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in database.close { done(()) } }
        }
        return plan
    }

    private static func plan(
        _ settings: NodeSettings, _ reader: LogReader, _ databases: [PostgresDatabase], _ loop: any EventLoop
    ) async throws -> RecoveryPlan {
        let clearing = try HTTPClearing(
            configuration: settings.clearing, group: MultiThreadedEventLoopGroup.singleton,
            now: { SystemClock.monotonic() })
        let plan = try await Observation.plan(
            databases, loop: loop, isLive: { StateDirectory.isInUse(path: settings.stateDirectory) },
            snapshot: reader.snapshot, ended: { try reader.ended($0) }, lookUp: { try reader.lookUp($0) },
            askNetwork: { transaction in
                await withCheckedContinuation { continuation in
                    clearing.status(transaction) { continuation.resume(returning: $0) }
                }
            })
        await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in
            clearing.shutdown { _ in done(()) }
        }
        return plan
    }

    /// What the log holds unfinished.
    public static func snapshot(stateDirectory: String) throws -> LogSnapshot {
        let reader = try open(stateDirectory)
        return try refusing { () throws(LogError) in try reader.snapshot() }
    }

    /// The records of one transaction, oldest first.
    public static func history(
        of transaction: TransactionID, stateDirectory: String
    ) throws -> [HistoryEntry] {
        let reader = try open(stateDirectory)
        return try refusing { () throws(LogError) in try reader.history(of: transaction) }.map {
            HistoryEntry(lsn: $0.lsn, writtenAt: $0.writtenAt, record: $0.record)
        }
    }

    /// A record in its place.
    public struct HistoryEntry: Sendable {
        public let lsn: LSN
        public let writtenAt: WallTime
        public let record: LogRecord
    }

    static func open(_ stateDirectory: String) throws -> LogReader {
        try refusing { () throws(LogError) in try LogReader(path: stateDirectory) }
    }

    /// What the log says against it, for the operator.
    private static func refusing<Value>(_ body: () throws(LogError) -> Value) throws(StartRefusal) -> Value {
        do {
            return try body()
        } catch {
            throw StartRefusal(error)
        }
    }
}
