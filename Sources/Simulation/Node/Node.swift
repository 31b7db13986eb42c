import Coordinator
import Payments
import Runtime

/// A state directory and the processes that work on it, one after the other.
final class Node: @unchecked Sendable {
    // @unchecked: a simulation runs on one thread.

    unowned let world: World
    let number: Int
    let disk: Disk
    /// How far this machine's clock is from the true time, microseconds.
    var wallOffset: Int64 = 0
    private(set) var process: ServerProcess?
    private(set) var starts = 0
    /// Starts before the look that is compared with the recovery after it.
    var startsAtLook = 0
    private(set) var crashes = 0
    /// Why the last start was refused; nobody starts it again before an operator has done something.
    var refusal: String?
    /// Whether somebody is about to do what a refusal asks for.
    var awaitsOperator = false
    /// Whether its log was lost at some time, so that presumption did not hold.
    var hasLostLog = false

    init(_ world: World, number: Int) {
        self.world = world
        self.number = number
        disk = Disk(LogID(high: world.identifiers.next(), low: world.identifiers.next()))
    }

    var wall: WallTime { WallTime(microseconds: world.wall.microseconds + wallOffset) }

    func begin() { start() }

    /// Starts a process on the state directory; it has the next epoch when this returns.
    func start() {
        guard process == nil, refusal == nil, !isHeldDown else { return }
        starts += 1
        let before = disk.image.records.count
        disk.image.takeOver(incarnation: Incarnation(rawValue: world.identifiers.next()), now: wall)
        world.note(nil, 200 + number, "server \(number + 1) starts with epoch \(disk.image.owner.epoch)")
        let process = ServerProcess(world, self)
        self.process = process
        for entry in disk.image.records[before...] { world.checker.recordIsDurable(entry, log: process.log) }
        process.begin()
    }

    /// The process ends: what it had not written is gone, what it had sent is on its way.
    func crash(_ why: String) {
        guard let process else { return }
        world.note(nil, 210 + number, "server \(number + 1) dies: \(why)")
        crashes += 1
        process.die()
        self.process = nil
        world.checker.serverDied(self)
        guard refusal == nil, !isHeldDown else { return }
        world.after(.milliseconds(world.servers.between(1, 3000))) { [self] in start() }
    }

    /// Whether nobody starts it for now.
    var isHeldDown = false

    /// What recovery would do now, by somebody who only looks; `nil` where more than a look is needed.
    func dryPlan() -> RecoveryPlan? {
        let image = disk.image
        guard !image.continuity.isBroken else { return nil }
        var survey = Survey()
        var step = survey.begin()
        while true {
            switch step {
            case .readLog: step = survey.logRead(image.snapshot)
            case .lookAtDatabases(let transactions):
                var seen: [DatabaseIndex: DatabaseObservation.State] = [:]
                for database in world.databases {
                    seen[database.index] = .seen(
                        DatabaseObservation.Sighting(
                            prepared: database.listPrepared(), witnessed: database.witnessed(among: transactions),
                            olderBackendsAlive: !database.backends(of: image.log).isEmpty))
                }
                step = survey.databasesSeen(seen, isServing: false)
            case .readHistory(let transactions): step = survey.historyRead(image.ended(transactions))
            case .judge(let input): return RecoveryPlan(input)
            }
        }
    }

    /// Nothing is kept.
    func vanish() {
        process?.die()
        process = nil
    }

    /// The process may not work on this state directory.
    func refuseStart(_ why: String) {
        guard refusal == nil else { return }
        refusal = why
        world.note(nil, 220 + number, "server \(number + 1) refuses to start: \(why)")
        crash("it may not work on this log")
        world.checker.startRefused(self, why)
    }

    /// Somebody has done what was asked for: if it did not start for that, it is started.
    func isMended() {
        awaitsOperator = false
        guard refusal != nil else { return }
        refusal = nil
        start()
    }

    /// The process has written everything and ends by itself.
    func stopped() {
        guard let process else { return }
        world.note(nil, 230 + number, "server \(number + 1) stops")
        process.die()
        self.process = nil
        world.checker.serverDied(self)
        world.after(.milliseconds(world.servers.between(1, 1000))) { [self] in start() }
    }

    /// The state directory is gone. A backup, or nothing but the log's name, takes its place.
    func loseLog(restoringFrom backup: LogImage?) {
        crash("its state directory is lost")
        let incarnation = Incarnation(rawValue: world.identifiers.next())
        // Whose clock was wrong at an earlier restoration is told so by the fences, and goes on beyond them.
        let known = world.databases.compactMap { $0.fence(of: disk.image.log)?.pair.epoch }.max() ?? Epoch(rawValue: 0)
        let image =
            backup?.restored(incarnation: incarnation, beyond: known, now: wall)
            ?? LogImage.remade(
                disk.image.log, databases: world.scenario.databases, incarnation: incarnation, beyond: known,
                now: wall)
        world.note(nil, 290, "the log of server \(number + 1) is \(backup == nil ? "made anew" : "restored")")
        hasLostLog = true
        world.checker.logIsLost(disk.image.log, image)
        disk.image = image
        disk.backup = nil
    }

    func heal() {
        disk.reserveLeft = nil
        wallOffset = 0
    }

    /// Whether everything that can be done without an operator is done.
    var isAtRest: Bool {
        if refusal != nil { return !awaitsOperator }
        guard let process, process.isServing, !process.isReconciling else { return false }
        let image = disk.image
        return image.active.values.allSatisfy(\.isParked)
            && image.reversals.values.allSatisfy { $0.parkedReason != nil || image.active[$0.transaction] != nil }
            && process.databases.allSatisfy {
                $0.regression == nil && $0.isAvailable && ($0.isSettled || hasParked)
            }
    }

    private var hasParked: Bool { disk.image.active.values.contains(where: \.isParked) }
}
