import Coordinator
import Payments
import Runtime
import Telemetry

/// One run of a server: its log, its participants and the real coordinator, from the takeover of the log to its death.
final class ServerProcess: @unchecked Sendable {
    // @unchecked: a simulation runs on one thread.

    unowned let world: World
    unowned let node: Node
    let life = Life()
    let loop: SimulatedLoop
    let log: SimulatedLog
    let pair: FencePair
    private(set) var databases: [SimulatedDatabase] = []
    let clearing: SimulatedClearing
    private(set) var coordinator: PaymentCoordinator!
    /// Whether the port is open.
    private(set) var isServing = false
    private(set) var isDraining = false
    var isReconciling: Bool
    var passIsRunning = false
    /// What the database of each number was looked at for since it came into use.
    var looks: [DatabaseIndex: Int] = [:]
    var verifying: Set<DatabaseIndex> = []
    var tailsChecked: Set<DatabaseIndex> = []
    /// The first plan of this start, for whoever compares.
    var startPlan: RecoveryPlan?

    /// How long a start waits for its databases.
    static let databaseWait: UInt64 = .seconds(5)
    /// How long one look at a database may take.
    static let lookTime: UInt64 = .seconds(3)

    init(_ world: World, _ node: Node) {
        self.world = world
        self.node = node
        let life = life
        loop = SimulatedLoop(world.scheduler, life)
        log = SimulatedLog(world, node: node.number, disk: node.disk, life: life, loop: loop, wall: { node.wall })
        pair = node.disk.image.owner
        isReconciling = node.disk.image.continuity.isBroken
        clearing = SimulatedClearing(world, life: life, log: log)
        let image = node.disk.image
        databases = []
        for number in 1...world.scenario.databases {
            let index = DatabaseIndex(rawValue: UInt8(number))
            databases.append(
                SimulatedDatabase(
                    world, index: index, fence: image.fences[index] ?? DatabaseFence(database: index), owner: pair,
                    log: log, life: life, onFencedOut: { [weak self] why in self?.end("fenced out: \(why)") },
                    onRefused: { [weak self] why in self?.refused(why) }))
        }
        makeCoordinator()
    }

    private func makeCoordinator() {
        let counters = Counters()
        let (world, node) = (world, node)
        let write: @Sendable ([UInt8]) -> Void = { line in
            world.note(nil, 300, "log line: \(String(decoding: line.dropLast(), as: UTF8.self))")
        }
        let events = EventLog(
            write: world.trace.isKept ? write : nil, now: { node.wall.microseconds })
        coordinator = PaymentCoordinator(
            loop: loop, log: log, epoch: pair.epoch, databases: databases, clearing: clearing,
            settings: world.scenario.settings, events: events, counters: counters, faults: .off,
            logAdmits: { [weak self] in self.map { $0.log.admits && !$0.isReconciling } ?? false },
            time: TimeSource(wall: { node.wall }, monotonic: { world.monotonic }),
            newTransaction: { now in world.newTransaction(at: now) })
        coordinator.watchSteps = { [unowned self] step in
            noteBreaker()
            world.coverage.hit(.transition, "\(step.before): \(step.event)")
            world.coverage.hit(.state, step.after)
        }
    }

    private func noteBreaker() {
        switch coordinator.breakerState {
        case .closed: world.coverage.hit(.breaker, "closed")
        case .open: world.coverage.hit(.breaker, "open")
        case .halfOpen: world.coverage.hit(.breaker, "half open")
        }
    }

    func after(_ delay: UInt64, _ body: @escaping () -> Void) { world.scheduler.after(delay, for: life, body) }

    /// Everything in memory is gone; what was sent is on its way.
    func die() {
        log.crash()
        life.end()
        for database in databases { database.abandonAll() }
    }

    private func end(_ why: String) {
        // Never within the call that found it out.
        after(0) { [self] in node.crash(why) }
    }

    private func refused(_ why: String) {
        guard !isServing else { return }
        after(0) { [self] in node.refuseStart(why) }
    }

    // MARK: - Starting

    func begin() {
        guard node.disk.image.fences.isEmpty else { return startDatabases() }
        var left = databases.count
        let taken = Passed<Bool> { [self] isTaken in
            guard isTaken else { return end("the log takes nothing") }
            left -= 1
            if left == 0 { startDatabases() }
        }
        for database in databases {
            log.append(.fenceAttempted(database.index, pair), urgency: .forced) { result in
                if case .success = result { taken.call(true) } else { taken.call(false) }
            }
        }
    }

    private func startDatabases() {
        var waiting = databases.count
        var goesOn = false
        let goOn = { [self] in
            guard !goesOn else { return }
            goesOn = true
            checkTails { [self] in recover() }
        }
        for database in databases {
            database.start { _ in
                waiting -= 1
                if waiting == 0 { goOn() }
            }
        }
        after(Self.databaseWait) { goOn() }
    }

    /// Before the port opens every undecided BEGIN has its decision.
    private func recover() {
        plan(isServing: false) { [self] plan in
            startPlan = plan
            world.checker.planned(plan, by: self, isServing: false)
            carryOut(plan) { [self] refused in
                settleContinuity(after: plan, refused: refused) { [self] in
                    verifyCommits { [self] in serve() }
                }
            }
        }
    }

    private func serve() {
        isServing = true
        world.note(nil, 240 + node.number, "server \(node.number + 1) takes payments")
        passLater()
        tidyLater()
    }

    private func passLater() {
        after(world.scenario.recoveryInterval) { [self] in
            periodicPass { [self] in passLater() }
        }
    }

    private func tidyLater() {
        after(world.scenario.tidyInterval) { [self] in
            tidy()
            tidyLater()
        }
    }

    // MARK: - Work

    /// Drops what is older than the retention.
    func tidy() {
        log.trim(retention: world.scenario.settings.retention) { [world] dropped in
            if dropped > 0 { world.note(nil, 250, "\(dropped) records are trimmed") }
        }
    }

    /// Finishes what was begun, then stops.
    func drain() {
        guard isServing, !isDraining else { return }
        isDraining = true
        world.note(nil, 260 + node.number, "server \(node.number + 1) drains")
        coordinator.beginDraining()
        var isOver = false
        let stop = Passed<Void> { [self] in
            guard !isOver else { return }
            isOver = true
            log.flush { [self] in after(0) { [self] in node.stopped() } }
        }
        coordinator.whenIdle(includingReversals: false) { stop.call(()) }
        after(.seconds(30)) { stop.call(()) }
    }
}

extension World {
    /// 48 bits of milliseconds, then 80 random bits, as a real server draws them.
    func newTransaction(at now: WallTime) -> TransactionID {
        let milliseconds = UInt64(max(0, now.microseconds / 1000)) & 0xFFFF_FFFF_FFFF
        return TransactionID(high: milliseconds << 16 | identifiers.next() & 0xFFFF, low: identifiers.next())
    }
}
