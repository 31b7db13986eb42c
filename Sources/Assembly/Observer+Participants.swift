import ClearingParticipant
import Coordinator
import NIOCore
import NIOPosix
import PostgresParticipant
import Runtime
import WAL

/// The databases and the network as somebody reaches them who only looks.
struct Onlookers {
    let databases: [PostgresDatabase]
    let clearing: HTTPClearing
    let loop: any EventLoop
    let reader: LogReader
    private let stateDirectory: String

    /// How often the look is begun anew because a server that starts has just fenced the databases.
    private static let attemptsMax = 3

    /// Reaches for every database, lends the participants to `body`, and closes them.
    ///
    /// - Throws: ``StartRefusal``, as recovery itself, if a database must not be used with this log: the directory is a copy or an
    ///   old one, or the database is another.
    static func look<Value>(
        _ settings: NodeSettings, _ reader: LogReader, _ body: (Onlookers) async throws -> Value
    ) async throws -> Value {
        var attempt = 1
        while true {
            let first = try Observer.refusing { () throws(LogError) in try reader.snapshot() }
            let problems = StartProblems()
            let onlookers = try await Onlookers(settings, reader, first, problems)
            let result: Result<Value?, any Error>
            do {
                result = .success(problems.all.isEmpty ? try await body(onlookers) : nil)
            } catch {
                result = .failure(error)
            }
            await onlookers.close()
            if let value = try result.get() { return value }
            let now = try Observer.refusing { () throws(LogError) in try reader.snapshot() }
            guard attempt < attemptsMax, now.fences != first.fences else {
                throw StartRefusal(problems.all.joined(separator: "\n"), exitCode: ProgramExit.configuration)
            }
            attempt += 1
        }
    }

    private init(
        _ settings: NodeSettings, _ reader: LogReader, _ snapshot: LogSnapshot, _ problems: StartProblems
    ) async throws {
        self.reader = reader
        stateDirectory = settings.stateDirectory
        let owner = snapshot.owner.epoch
        let isLive = StateDirectory.isInUse(path: settings.stateDirectory)
        let current = isLive ? owner : Epoch(rawValue: owner.rawValue + 1)
        databases = try settings.databases.enumerated().map { offset, configuration in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            let fence =
                snapshot.fences.first { $0.database == index }
                ?? DatabaseFence(database: index, identity: nil, confirmed: nil, attempted: [])
            return try PostgresDatabase(
                index: index, configuration: configuration, log: snapshot.log,
                role: .observer(current: current, fence: fence),
                events: PostgresEvents(fatal: { why in problems.add("\(index): \(why)") }))
        }
        loop = MultiThreadedEventLoopGroup.singleton.next()
        clearing = try HTTPClearing(
            configuration: settings.clearing, loop: loop, now: { SystemClock.monotonic() })
        for database in databases { try database.start() }
        await Observation.awaitFirstAttempts(databases, atMost: Observation.timeMax, loop: loop)
    }

    private func close() async {
        await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in clearing.shutdown { _ in done(()) } }
        for database in databases {
            await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in database.close { done(()) } }
        }
    }

    /// The plan that recovery would carry out now.
    func plan() async throws -> RecoveryPlan {
        try await Observation.plan(
            databases, loop: loop, isLive: { StateDirectory.isInUse(path: stateDirectory) }, snapshot: reader.snapshot,
            ended: { try reader.ended($0) }, lookUp: { try reader.lookUp($0) }, askNetwork: askNetwork)
    }

    /// What the network says of a transaction.
    @Sendable func askNetwork(_ transaction: TransactionID) async -> ClearingStatus {
        await withCheckedContinuation { continuation in
            clearing.status(transaction) { continuation.resume(returning: $0) }
        }
    }
}
