import Coordinator
import Payments
import Runtime

/// What goes wrong by itself from time to time: crashes, outages, full disks, clocks that are set, hands that meddle.
final class Saboteur {
    unowned let world: World
    private var random: Randomness
    private let crashProbability: Double
    private let startCrashProbability: Double
    /// Pictures of the databases, for restorations.
    private var copies: [DatabaseIndex: DatabaseServer.Content] = [:]

    init(_ world: World) {
        self.world = world
        random = Randomness(seed: world.scenario.seed, stream: 20)
        crashProbability = world.scenario.probability(.crashes, atMost: 1 / 150)
        startCrashProbability = world.scenario.probability(.startCrashes, atMost: 1 / 40)
    }

    /// After each step of the world: a crash may come between any two.
    func afterStep() {
        guard world.faultsAreOn else { return }
        for node in world.nodes {
            guard let process = node.process else { continue }
            let probability = process.isServing ? crashProbability : startCrashProbability
            guard random.chance(probability) else { continue }
            world.coverage.hit(.fault, process.isServing ? "crash" : "crash in recovery")
            node.crash("it is killed")
        }
        meddleSometimes()
    }

    /// What is only of interest while payments are under way, so that it comes with the steps and not with the time.
    private func meddleSometimes() {
        let scenario = world.scenario
        if scenario.has(.meddling), random.chance(scenario.probability(.meddling, atMost: 1 / 100)) { meddle() }
        if scenario.has(.rewinds), random.chance(scenario.probability(.rewinds, atMost: 1 / 400)) { rewind() }
        if scenario.has(.lostLogs), random.chance(scenario.probability(.lostLogs, atMost: 1 / 400)) { loseLog() }
    }

    func begin() {
        let scenario = world.scenario
        if scenario.has(.strangers) { addStrangers() }
        world.checker.strangers = world.databases.map { Set($0.content.strangers.keys) }
        repeatedly(.databaseCrashes, 500, 30_000) { [self] in crashDatabase() }
        repeatedly(.clearingOutages, 500, 30_000) { [self] in cutNetwork() }
        repeatedly(.fullLog, 500, 20_000) { [self] in fillLog() }
        repeatedly(.clockJumps, 1000, 30_000) { [self] in setClock() }
        repeatedly(.crashes, 2000, 60_000) { [self] in stopServer() }
    }

    private func repeatedly(_ kind: FaultKind, _ shortest: Int, _ longest: Int, _ body: @escaping () -> Void) {
        guard world.scenario.has(kind) else { return }
        world.after(.milliseconds(random.between(shortest, longest))) { [self] in
            guard world.faultsAreOn else { return }
            body()
            repeatedly(kind, shortest, longest, body)
        }
    }

    private func addStrangers() {
        for database in world.databases {
            let count = random.between(1, max(1, min(2, world.scenario.preparedMax - 1)))
            for number in 0..<count {
                let gid =
                    random.chance(0.5)
                    ? "stranger_\(number)"
                    : GlobalBranchID(
                        log: LogID(high: 9, low: UInt64(number)), epoch: Epoch(rawValue: 1),
                        transaction: TransactionID(high: 1, low: UInt64(number)), database: database.index
                    ).description
                database.addStranger(gid)
            }
            // One that seems to be ours, of which our log knows nothing.
            guard random.chance(0.4), !world.scenario.has(.lostLogs) else { continue }
            let orphan = GlobalBranchID(
                log: random.pick(world.nodes).disk.image.log, epoch: Epoch(rawValue: 0),
                transaction: TransactionID(high: 2, low: UInt64(database.index.rawValue)), database: database.index)
            database.addStranger(orphan.description)
        }
    }

    private func crashDatabase() {
        let database = random.pick(world.databases)
        world.coverage.hit(.fault, "database crash")
        database.crash()
        world.after(.milliseconds(random.between(10, 12_000))) { database.start() }
    }

    private func cutNetwork() {
        world.coverage.hit(.fault, "network outage")
        world.network.setOutage(true)
        world.after(.milliseconds(random.between(10, 40_000))) { [self] in world.network.setOutage(false) }
    }

    private func fillLog() {
        let node = random.pick(world.nodes)
        guard node.disk.reserveLeft == nil else { return }
        world.coverage.hit(.fault, "full log")
        node.disk.reserveLeft = random.pick([0, 2, 10, 1000])
        world.note(
            nil, 280, "the disk of server \(node.number + 1) is full but for \(node.disk.reserveLeft ?? 0) steps")
        world.after(.milliseconds(random.between(100, 20_000))) { [self] in
            node.disk.reserveLeft = nil
            world.note(nil, 281, "the disk of server \(node.number + 1) has room again")
        }
    }

    private func setClock() {
        let node = random.pick(world.nodes)
        let hours = Int64(random.pick([-24, -2, -1, 1, 2, 25]))
        world.coverage.hit(.fault, "clock jump")
        node.wallOffset += hours * 3_600_000_000
        world.note(nil, 282, "the clock of server \(node.number + 1) is set by \(hours) hours")
    }

    private func meddle() {
        let database = random.pick(world.databases)
        let ids = database.content.prepared.keys.sorted {
            ($0.transaction, $0.epoch) < ($1.transaction, $1.epoch)
        }
        guard database.isUp, !ids.isEmpty else { return }
        world.coverage.hit(.fault, "resolved by hand")
        _ = database.resolve(random.pick(ids), random.chance(0.5) ? .committed : .aborted, byHand: true)
    }

    private func stopServer() {
        guard random.chance(0.3) else { return }
        let node = random.pick(world.nodes)
        world.coverage.hit(.fault, "orderly stop")
        node.process?.drain()
    }

    private func rewind() {
        let database = random.pick(world.databases)
        guard let copy = copies[database.index], random.chance(0.3) else {
            copies[database.index] = database.content
            return
        }
        copies[database.index] = nil
        world.coverage.hit(.fault, "database restored")
        world.checker.databaseRewound(database.index)
        var earlier = copy
        // What other programs did is theirs.
        earlier.strangers = database.content.strangers
        database.restore(earlier, isFailover: random.chance(0.5))
    }

    private func loseLog() {
        let node = random.pick(world.nodes)
        guard let backup = node.disk.backup, random.chance(0.4) else {
            node.disk.backup = node.disk.image
            return
        }
        guard node.refusal == nil else { return }
        world.coverage.hit(.fault, "log lost")
        node.loseLog(restoringFrom: random.chance(0.6) ? backup : nil)
    }
}
