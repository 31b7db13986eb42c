import BenchmarkKit
import Coordinator
import Dispatch
import Foundation
import NIOCore
import PostgresParticipant
import Runtime
import Synchronization
import Telemetry
import WAL

/// A node: log, databases and coordinator put together as a server has them, and a network that says yes at once.
final class BenchNode: Sendable {
    let coordinator: PaymentCoordinator
    private let opened: BenchLog
    private let databases: [PostgresDatabase]

    init(directory path: String, databases uris: [String], connections: Int, inFlight: Int) throws {
        let opened = try BenchLog(directory: path, threads: 1)
        self.opened = opened
        let (log, loop) = (opened.log, opened.loop)
        let snapshot = try log.snapshot()
        databases = try uris.enumerated().map { offset, uri in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            return try PostgresDatabase(
                index: index, configuration: PostgresConfiguration(uri: uri, poolSize: connections), log: snapshot.log,
                role: .owner(snapshot.owner, fence: DatabaseFence(database: index), log: log),
                events: PostgresEvents(
                    fatal: { Progress.note($0) },
                    note: { level, text in if level == .error { Progress.note(text) } }),
                deliver: { batch in loop.execute(batch) })
        }
        var settings = CoordinatorSettings()
        settings.inFlightMax = max(settings.inFlightMax, inFlight)
        let lines = LineSink(descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC))
        coordinator = PaymentCoordinator(
            loop: loop, log: log, epoch: snapshot.owner.epoch, databases: databases,
            clearing: InstantClearing(), settings: settings,
            events: EventLog(sink: lines, now: { SystemClock.wall().microseconds }), counters: Counters(),
            faults: FaultInjector(), logAdmits: { log.pressure.admitsNewTransactions })
        try start(connections)
    }

    var log: LMDBLog { opened.log }
    private var loop: any EventLoop { opened.loop }

    private func start(_ connections: Int) throws {
        for database in databases { try database.start() }
        for database in databases {
            let done = DispatchSemaphore(value: 0)
            let failure = Mutex<String?>(nil)
            database.firstAttempt { attempt in
                if case .failed(let why) = attempt { failure.withLock { $0 = why } }
                done.signal()
            }
            done.wait()
            if let failure = failure.withLock({ $0 }) { throw BenchmarkFailure("the database: \(failure)") }
        }
        // It is available with its first connection; it is measured with all of them.
        let deadline = Monotonic.now() + 10_000_000_000
        while Monotonic.now() < deadline, databases.contains(where: { Self.connectionsReady(of: $0) < connections }) {
            usleep(5000)
        }
    }

    private static func connectionsReady(of database: PostgresDatabase) -> Int {
        let done = DispatchSemaphore(value: 0)
        let count = Mutex(0)
        database.statistics { statistics in
            count.withLock { $0 = statistics?.connectionsReady ?? 0 }
            done.signal()
        }
        done.wait()
        return count.withLock { $0 }
    }

    func close() {
        for database in databases {
            let done = DispatchSemaphore(value: 0)
            database.close { done.signal() }
            done.wait()
        }
        opened.close()
    }

    /// Keeps so many payments open for a time, and waits for the end of all of them.
    func run(inFlight: Int, seconds: Double) throws -> PaymentCourse {
        let done = DispatchSemaphore(value: 0)
        let course = PaymentCourse(
            coordinator, PaymentSource(seed: UInt64.random(in: 0 ... .max), databases: databases.count),
            inFlight: inFlight, nanoseconds: UInt64(seconds * 1e9), done: { done.signal() })
        loop.execute { course.begin() }
        done.wait()
        if let wrong = course.wrong { throw BenchmarkFailure("a payment was answered \(wrong)") }
        return course
    }
}

/// A network that says yes to everything, at once. What it costs to ask a real one is for the `server` benchmark to tell.
final class InstantClearing: ClearingNetwork {
    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        completion(.yes(authorizationCode: "A1B2C3"))
    }

    func confirm(_ order: ResolveOrder, isRepeat: Bool, completion: @escaping @Sendable (Resolution) -> Void) {
        completion(.done(.acknowledgement))
    }

    func reverse(_ order: ReversalOrder, completion: @escaping @Sendable (ReversalReply) -> Void) {
        completion(.acknowledged)
    }
}
