import ClearingParticipant
public import Coordinator
import Glibc
import NIOCore
import NIOPosix
public import PostgresParticipant
public import Runtime
import Synchronization
public import Telemetry
public import WAL

/// The owner of a state directory at work: its log, its participants and its coordinator.
///
/// Whoever opens one holds the directory's lock and has raised the epoch; the server does, and `recover` when it acts.
public final class Node: Sendable {
    public let settings: NodeSettings
    public let log: LMDBLog
    public let databases: [PostgresDatabase]
    public let coordinator: PaymentCoordinator
    public let counters: Counters
    public let events: EventLog
    /// Who we are from now on.
    public let pair: FencePair

    private let directory: StateDirectory
    private let loops: MultiThreadedEventLoopGroup
    let clearing: HTTPClearing
    private let problems: StartProblems
    /// What tests make this process do at its named points.
    public let faults: FaultInjector
    private let reconciling: ReconcilingFlag
    let watch = Watch()
    let passes = PassGate()
    let verifying = PassGate()
    let tails = TailsChecked()
    /// Ends the process: this log may not be worked on.
    let onUnusable: @Sendable (String) -> Void
    let clockAtStart = ClockReading.now()
    let verifications = Verifications()
    private let admission: LogAdmission

    /// Takes the state directory over.
    ///
    /// - Throws: ``StartRefusal`` with a message for the operator.
    public static func open(
        _ settings: NodeSettings, events: EventLog, sink: LineSink, onFencedOut: @escaping @Sendable (String) -> Void
    ) throws -> Node {
        let faults = FaultInjector(settings.faults) { plan in
            events.emit(.warning, .fault, .message("injected: \(plan)"))
        }
        let directory = try acquire(settings)
        faults.hit(.directoryLocked)
        try refuseBackup(settings.stateDirectory)
        // One loop for the coordinator alone, one for its HTTP client.
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let (coordinatorLoop, clearingLoop) = (loops.next(), loops.next())
        precondition(coordinatorLoop !== clearingLoop, "the network's answers would keep the coordinator's loop")
        let log: LMDBLog
        do {
            log = try openLog(directory, settings, loop: coordinatorLoop, events: events, sink: sink, faults)
        } catch {
            // Whoever waits for room on the disk tries again.
            try loops.syncShutdownGracefully()
            throw error
        }
        return try Node(
            settings, directory: directory, loops: loops, coordinatorLoop: coordinatorLoop, clearingLoop: clearingLoop,
            log: log, events: events, faults: faults, onFencedOut: onFencedOut)
    }

    private init(
        _ settings: NodeSettings, directory: StateDirectory, loops: MultiThreadedEventLoopGroup,
        coordinatorLoop: any EventLoop, clearingLoop: any EventLoop, log: LMDBLog, events: EventLog,
        faults: FaultInjector, onFencedOut: @escaping @Sendable (String) -> Void
    ) throws {
        faults.hit(.logTakenOver)
        let snapshot = try log.snapshot()
        try Self.check(settings.databases.count, against: snapshot)
        onUnusable = onFencedOut
        let problems = StartProblems()
        let reconciling = ReconcilingFlag(snapshot.continuity.isBroken)
        let admission = LogAdmission(events: events)
        self.admission = admission
        self.reconciling = reconciling
        self.settings = settings
        self.directory = directory
        self.loops = loops
        self.log = log
        self.events = events
        self.problems = problems
        self.faults = faults
        pair = snapshot.owner
        counters = Counters()
        let steps = faults.around(log) { body in coordinatorLoop.execute(body) }
        databases = try settings.databases.enumerated().map { offset, configuration in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            let fence =
                snapshot.fences.first { $0.database == index }
                ?? DatabaseFence(database: index)
            return try PostgresDatabase(
                index: index, configuration: configuration, log: snapshot.log,
                role: .owner(snapshot.owner, fence: fence, log: steps),
                events: Self.databaseEvents(index, events, problems, faults, onFencedOut),
                deliver: { batch in coordinatorLoop.execute(batch) })
        }
        let clearing = try HTTPClearing(
            configuration: settings.clearing, loop: clearingLoop, now: { SystemClock.monotonic() })
        self.clearing = clearing
        coordinator = PaymentCoordinator(
            loop: coordinatorLoop, log: steps, epoch: snapshot.owner.epoch,
            databases: databases.map { faults.around($0) },
            clearing: faults.around(clearing), settings: settings.coordinator, events: events, counters: counters,
            faults: faults,
            logAdmits: { admission.isOpen(log.pressure) && !reconciling.isUp })
    }

    /// Whether the log and its disk have room for new payments.
    public func logAdmits() -> Bool { logObstacle == nil }

    /// Why the log takes no new payments; `nil` if it does.
    public var logObstacle: String? { log.pressure.obstacle?.description }

    /// Tells in the log lines if the log began or ceased to take new payments.
    public func noteLogAdmission() { _ = admission.isOpen(log.pressure) }

    /// Whether the log has lost its tail and not everything in it is decided yet: until then no payment is taken.
    public var isReconciling: Bool { reconciling.isUp }

    func endReconciling() { reconciling.lower() }

    // MARK: - Opening

    /// Working on a backup would take the databases from whoever works on the original.
    static func refuseBackup(_ stateDirectory: String) throws {
        guard LogReader.isThere(in: stateDirectory) else { return }
        let snapshot: LogSnapshot
        do {
            snapshot = try LogReader(path: stateDirectory).snapshot()
        } catch {
            // What is wrong with it is told by who opens it.
            return
        }
        try refuseBackup(snapshot, stateDirectory)
    }

    static func refuseBackup(_ snapshot: LogSnapshot, _ stateDirectory: String) throws {
        guard case .broken(let loss) = snapshot.continuity, loss.cause == .copied else { return }
        throw StartRefusal(
            "\(stateDirectory) is a backup: it lacks what was decided since it was written. If the original is lost, make a state "
                + "directory of it with recover restore \(stateDirectory) --state-dir NEW",
            exitCode: ProgramExit.configuration)
    }

    private static func acquire(_ settings: NodeSettings) throws -> StateDirectory {
        do {
            return try StateDirectory.acquire(
                path: settings.stateDirectory, allowUnsafeFileSystem: settings.allowsUnsafeFileSystem)
        } catch {
            throw StartRefusal(error)
        }
    }

    private static func openLog(
        _ directory: StateDirectory, _ settings: NodeSettings, loop: any EventLoop, events: EventLog, sink: LineSink,
        _ faults: FaultInjector
    ) throws -> LMDBLog {
        let configuration = LogConfiguration(
            mapBytes: settings.logMapMegabytes << 20, reserveBytes: settings.diskReserveMegabytes << 20,
            freeBytesMin: settings.diskFreeMinMegabytes << 20)
        do {
            return try LMDBLog.open(
                in: directory, configuration: configuration, incarnation: IdentifierSource.incarnation(),
                newLogID: IdentifierSource.logID(), clock: { SystemClock.wall() },
                deliver: { batch in loop.execute(batch) },
                failure: { message in
                    // Whether the last batch is durable is unknown: only a fresh start can tell, so nothing more is said to anybody.
                    events.emit(.error, .log, .message(message))
                    sink.flush()
                    _exit(ProgramExit.failure)
                }, probe: faults.logProbe)
        } catch {
            throw StartRefusal(error)
        }
    }

    /// The number of databases is part of where payments live: another one would look for them in the wrong place.
    static func check(_ count: Int, against snapshot: LogSnapshot) throws {
        let known = snapshot.fences.map { Int($0.database.rawValue) }.max() ?? 0
        guard known == 0 || known == count else {
            throw StartRefusal(
                "DB_URI names \(count) database\(count == 1 ? "" : "s"), but this log was made with \(known); "
                    + "name the same ones in the same order, or begin with a new STATE_DIR",
                exitCode: ProgramExit.configuration)
        }
    }

    private static func databaseEvents(
        _ index: DatabaseIndex, _ events: EventLog, _ problems: StartProblems, _ faults: FaultInjector,
        _ onFencedOut: @escaping @Sendable (String) -> Void
    ) -> PostgresEvents {
        PostgresEvents(
            stateChanged: { state in
                switch state {
                case .available:
                    events.emit(.info, .database, .message("\(index) is available"))
                    faults.hit(.databaseFenced)
                case .away(let why): events.emit(.warning, .database, .message("\(index) is away: \(why)"))
                case .refused, .idle, .connecting, .fencedOut, .closed: break
                }
            },
            fencedOut: { why in onFencedOut("\(index): \(why)") },
            fatal: { why in
                problems.add("\(index): \(why)")
                events.emit(.error, .database, .message("\(index): \(why)"))
            },
            wentBack: { regression in
                events.emit(
                    .error, .backInTime,
                    .message("\(index) went back in time, so its commits are verified: \(regression)"))
            },
            note: { level, text in
                let level: Level =
                    switch level {
                    case .info: .info
                    case .warning: .warning
                    case .error: .error
                    }
                events.emit(level, .database, .message(text))
            })
    }

    // MARK: - Starting

    /// Connects and fences the databases. One that is away within the time is left to come later.
    ///
    /// - Throws: ``StartRefusal`` if a database must not be used: a clone, a missing setting, a pooler in between.
    public func startDatabases(waitingAtMost limit: Milliseconds) async throws {
        try await nameDatabases()
        for database in databases { try database.start() }
        await Observation.awaitFirstAttempts(databases, atMost: limit, loop: anyLoop)
        let found = problems.all
        guard found.isEmpty else {
            throw StartRefusal(found.joined(separator: "\n"), exitCode: ProgramExit.configuration)
        }
        try await refuseOlderCopy()
        faults.hit(.databasesTried)
    }

    /// Every configured database is named in the log from the first start on, reached or not. The last one comes first: its number tells
    /// how many there are, so a start that dies in between leaves no log that seems to be one of fewer databases.
    private func nameDatabases() async throws {
        let named = Set(try log.snapshot().fences.map(\.database))
        for database in databases.reversed() where !named.contains(database.index) {
            let result = await withCheckedContinuation { continuation in
                log.append(.fenceAttempted(database.index, pair), urgency: .forced) {
                    continuation.resume(returning: $0)
                }
            }
            guard case .failure(let refusal) = result else { continue }
            throw StartRefusal(
                "the log took no record of \(database.index) (\(refusal)); free space on its disk, then start again",
                exitCode: ProgramExit.failure)
        }
    }

    /// For timers.
    var anyLoop: any EventLoop { loops.next() }

    // MARK: - Stopping

    /// Writes what is not written yet, closes the connections and gives the state directory back.
    public func close() async {
        await verifications.cancel()
        await recordPositions()
        for database in databases {
            await withTimeout(.seconds(5), on: loops.next(), otherwise: ()) { done in database.close { done(()) } }
        }
        log.close()
        faults.hit(.logClosed)
        await withTimeout(.seconds(5), on: loops.next(), otherwise: ()) { done in
            clearing.shutdown { _ in done(()) }
        }
        do {
            try await loops.shutdownGracefully()
        } catch {
            events.emit(.warning, .stopped, .message("\(error)"))
        }
        directory.release()
    }

    /// Our own prepared branches that the reachable databases still list; `nil` if one could not be asked.
    public func preparedBranchesLeft() async -> Int? {
        var left = 0
        for database in databases {
            let listed: Int? = await withTimeout(Observation.timeMax, on: anyLoop, otherwise: nil) { done in
                database.listOwnPrepared { done(try? $0.get().count) }
            }
            guard let listed else { return nil }
            left += listed
        }
        return left
    }
}

/// Up while a log that has lost its tail is being reconciled.
final class ReconcilingFlag: Sendable {
    private let value: Atomic<Bool>
    init(_ isUp: Bool) { value = Atomic(isUp) }
    var isUp: Bool { value.load(ordering: .acquiring) }
    func lower() { value.store(false, ordering: .releasing) }
}
