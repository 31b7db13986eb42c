import BenchmarkKit
import Coordinator
import Dispatch
import Foundation
import Glibc
import NIOCore
import NIOPosix
import Payments
import PostgresParticipant
import Runtime
import Synchronization
import Telemetry
import WAL

/// Log, databases and coordinator as the server puts them together, without sockets, and with a card network that answers at once.
final class InProcessNode {
    /// For the databases' first connection and migration.
    private static let startTimeMax = DispatchTimeInterval.seconds(60)
    private static let closeTimeMax = DispatchTimeInterval.seconds(20)

    let coordinator: PaymentCoordinator
    let log: LMDBLog
    private let databases: [PostgresDatabase]
    private let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let coordinatorLoop: any EventLoop

    /// - Parameters:
    ///   - stateDirectory: made if it is missing; on a real disk.
    ///   - inFlightMax: payments between their BEGIN and their decision.
    init(stateDirectory: String, uris: [String], inFlightMax: Int, poolSize: Int = 32) throws {
        let loop = loops.next()
        coordinatorLoop = loop
        let log = try LMDBLog.open(
            in: StateDirectory.acquire(path: stateDirectory), configuration: LogConfiguration(),
            incarnation: IdentifierSource.incarnation(), newLogID: IdentifierSource.logID(),
            clock: { SystemClock.wall() }, deliver: { batch in loop.execute(batch) },
            failure: { message in
                Progress.note(message)
                _exit(1)
            })
        self.log = log
        let databases = try uris.enumerated().map { offset, uri in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            return try PostgresDatabase(
                index: index, configuration: PostgresConfiguration(uri: uri, poolSize: poolSize), log: log.log,
                role: .owner(log.owner, fence: DatabaseFence(database: index), log: log),
                events: PostgresEvents(
                    fatal: { Progress.note("\(index): \($0)") },
                    note: { level, text in if level == .error { Progress.note(text) } }))
        }
        self.databases = databases
        var settings = CoordinatorSettings()
        settings.inFlightMax = inFlightMax
        // Cards are few here, and what is measured is the protocol.
        settings.velocity = nil
        coordinator = PaymentCoordinator(
            loop: loop, log: log, epoch: log.owner.epoch, databases: databases, clearing: AgreeingNetwork(),
            settings: settings, events: EventLog(write: nil, now: { 0 }), counters: Counters(),
            faults: .off, logAdmits: { log.pressure.admitsNewTransactions })
        try start()
    }

    private func start() throws {
        for database in databases {
            try database.start()
            let attempted = DispatchSemaphore(value: 0)
            database.firstAttempt { _ in attempted.signal() }
            _ = attempted.wait(timeout: .now() + Self.startTimeMax)
            guard database.isAvailable else { throw BenchmarkFailure("\(database.index) is \(database.state)") }
        }
    }

    /// Runs `body` on the coordinator's thread.
    func onLoop(_ body: @escaping @Sendable () -> Void) { coordinatorLoop.execute(body) }

    /// Waits until everything that was decided is carried out and told.
    func waitUntilIdle(_ limit: DispatchTimeInterval) -> Bool {
        let idle = DispatchSemaphore(value: 0)
        coordinator.whenIdle(includingReversals: true) { idle.signal() }
        return idle.wait(timeout: .now() + limit) == .success
    }

    /// Closes the connections and the log.
    func close() {
        for database in databases {
            let closed = DispatchSemaphore(value: 0)
            database.close { closed.signal() }
            _ = closed.wait(timeout: .now() + Self.closeTimeMax)
        }
        log.close()
        do {
            try loops.syncShutdownGracefully()
        } catch {
            Progress.note("the event loop did not end: \(error)")
        }
    }
}

/// A card network that agrees to everything, at once and in this process.
final class AgreeingNetwork: ClearingNetwork {
    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        completion(.yes(authorizationCode: "A00001"))
    }

    func confirm(_ order: ResolveOrder, isRepeat: Bool, completion: @escaping @Sendable (Resolution) -> Void) {
        completion(.done(.acknowledgement))
    }

    func reverse(_ order: ReversalOrder, completion: @escaping @Sendable (ReversalReply) -> Void) {
        completion(.acknowledged)
    }
}
