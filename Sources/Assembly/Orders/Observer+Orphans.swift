import ClearingParticipant
public import Coordinator
import NIOPosix
import PostgresParticipant
import Runtime
import WAL

extension Observer {
    /// Branches of this log that are prepared and that the log has no record of, by transaction.
    ///
    /// - Parameter asksNetwork: whether the network is asked what it knows of each; that changes nothing there.
    public static func orphans(_ settings: NodeSettings, asksNetwork: Bool) async throws -> [Orphan] {
        let strays = try await plan(settings).strays.filter { $0.verdict == .orphan }
        let transactions = Set(strays.compactMap { GlobalBranchID($0.prepared.gid)?.transaction }).sorted()
        guard !transactions.isEmpty else { return [] }
        let snapshot = try snapshot(stateDirectory: settings.stateDirectory)
        let observations = try await observe(settings, snapshot, witnessesOf: transactions)
        let statuses = asksNetwork ? try await ask(settings, transactions) : [:]
        return transactions.map {
            Orphan($0, log: snapshot.log, observations, network: statuses[$0])
        }.filter { !$0.involved.isEmpty }
    }

    /// Whether a process holds the state directory: a server, or a tool that acts.
    public static func isInUse(stateDirectory: String) -> Bool { StateDirectory.isInUse(path: stateDirectory) }

    /// One at a time: the network is asked about what an operator looks at, not about a load.
    private static func ask(
        _ settings: NodeSettings, _ transactions: [TransactionID]
    ) async throws -> [TransactionID: ClearingStatus] {
        let clearing = try HTTPClearing(
            configuration: settings.clearing, loop: MultiThreadedEventLoopGroup.singleton.next(),
            now: { SystemClock.monotonic() })
        var statuses: [TransactionID: ClearingStatus] = [:]
        for transaction in transactions {
            statuses[transaction] = await withCheckedContinuation { continuation in
                clearing.status(transaction) { continuation.resume(returning: $0) }
            }
        }
        await withCheckedContinuation { continuation in clearing.shutdown { _ in continuation.resume() } }
        return statuses
    }

    private static func observe(
        _ settings: NodeSettings, _ snapshot: LogSnapshot, witnessesOf transactions: [TransactionID]
    ) async throws -> [DatabaseIndex: DatabaseObservation.State] {
        let databases = try settings.databases.enumerated().map { offset, configuration in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            let fence = snapshot.fences.first { $0.database == index } ?? DatabaseFence(database: index)
            return try PostgresDatabase(
                index: index, configuration: configuration, log: snapshot.log,
                role: .observer(current: snapshot.owner.epoch, fence: fence), events: PostgresEvents())
        }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        for database in databases { try database.start() }
        await Observation.awaitFirstAttempts(databases, atMost: Observation.timeMax, loop: loop)
        let observations = await Observation.gather(databases, witnessesOf: transactions, loop: loop)
        for database in databases {
            await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in database.close { done(()) } }
        }
        return observations
    }

    /// Waits until nothing more follows of an order that the server of the state directory has taken, at most as long as given.
    public static func aftermath(
        of order: OperatorOrder, stateDirectory: String, atMost limit: Milliseconds
    ) async throws -> OrderResult {
        let reader = try LogReader(path: stateDirectory)
        let seen = try await Aftermath.follow(order, atMost: limit, snapshot: reader.snapshot)
        return OrderResult(seen, of: order)
    }
}
