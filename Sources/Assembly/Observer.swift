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
        let first = try reader.snapshot()
        let current =
            liveEpoch(settings.stateDirectory, first) ?? Epoch(rawValue: first.owner.epoch.rawValue + 1)
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
        let transactions = first.active.map(\.transaction)
        var observations = await Observation.gather(databases, witnessesOf: transactions, loop: loop)
        let snapshot = try reader.snapshot()
        let live = liveEpoch(settings.stateDirectory, snapshot)
        if live != nil {
            // As the server's own pass does: only what stays from one look to the next is judged.
            observations = await Observation.gather(databases, witnessesOf: transactions, loop: loop)
                .merging(observations) { $0.listedAlsoIn($1) }
        }
        let history = try Observation.history(of: observations, snapshot: snapshot) { try reader.ended($0) }
        for database in databases {
            await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in database.close { done(()) } }
        }
        return RecoveryPlan(
            .init(snapshot: snapshot, liveEpoch: live, observations: observations, history: history))
    }

    /// What the log holds unfinished.
    public static func snapshot(stateDirectory: String) throws -> LogSnapshot {
        let reader = try open(stateDirectory)
        return try reader.snapshot()
    }

    /// The records of one transaction, oldest first.
    public static func history(
        of transaction: TransactionID, stateDirectory: String
    ) throws -> [HistoryEntry] {
        let reader = try open(stateDirectory)
        return try reader.history(of: transaction).map {
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
        do {
            return try LogReader(path: stateDirectory)
        } catch {
            throw StartRefusal(error.message, exitCode: ProgramExit.failure)
        }
    }

    private static func liveEpoch(_ stateDirectory: String, _ snapshot: LogSnapshot) -> Epoch? {
        StateDirectory.isInUse(path: stateDirectory) ? snapshot.owner.epoch : nil
    }
}
