import ClearingParticipant
public import Coordinator
import NIOPosix
import PostgresParticipant
import Runtime
import WAL

/// Looks at a log and its participants without changing anything, beside a running server or without one.
public enum Observer {
    /// The plan that recovery would carry out now.
    public static func plan(_ settings: NodeSettings) async throws -> RecoveryPlan {
        let reader = try open(settings.stateDirectory)
        let first = try refusing { () throws(LogError) in try reader.snapshot() }
        let isLive = StateDirectory.isInUse(path: settings.stateDirectory)
        let current = isLive ? first.owner.epoch : Epoch(rawValue: first.owner.epoch.rawValue + 1)
        let databases = try settings.databases.enumerated().map { offset, configuration in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            return try PostgresDatabase(
                index: index, configuration: configuration, log: first.log,
                role: .observer(
                    current: current, identity: first.fences.first { $0.database == index }?.identity),
                events: PostgresEvents())
        }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        for database in databases { try database.start() }
        await Observation.awaitFirstAttempts(databases, atMost: Observation.timeMax, loop: loop)
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
        for database in databases {
            await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in database.close { done(()) } }
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

    private static func open(_ stateDirectory: String) throws -> LogReader {
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
