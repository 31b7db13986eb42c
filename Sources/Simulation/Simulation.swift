import Coordinator
import Payments

/// What one simulation is to do.
public struct SimulationOptions: Sendable {
    public var seed: UInt64
    /// Steps with faults; then everything is mended.
    public var stepsMax: Int
    /// Faults that do not happen.
    public var without: Set<FaultKind>
    /// The numbers of the payments that are made; `nil` for all.
    public var payments: Set<Int>?
    /// Whether what happens is kept as text.
    public var keepsTrace: Bool
    /// A world that breaks its promises to the server, so that something must be found: the check that failures are seen.
    public var control: Control?

    /// What such a world does.
    public enum Control: String, CaseIterable, Sendable {
        /// The disk says that a batch is durable, and loses the last ones in a crash.
        case lyingDisk = "lying-disk"
        /// A database says that a branch is prepared, and rolls it back at its next crash.
        case forgetfulDatabase = "forgetful-database"
    }

    public init(
        seed: UInt64, stepsMax: Int = 20_000, without: Set<FaultKind> = [], payments: Set<Int>? = nil,
        keepsTrace: Bool = false, control: Control? = nil
    ) {
        self.control = control
        self.seed = seed
        self.stepsMax = stepsMax
        self.without = without
        self.payments = payments
        self.keepsTrace = keepsTrace
    }
}

/// What came of one simulation.
public struct SimulationResult: Sendable {
    public let seed: UInt64
    public let violation: Violation?
    public let steps: Int
    /// Virtual time that passed, nanoseconds.
    public let virtualNanoseconds: UInt64
    /// Two runs of one seed have the same.
    public let digest: UInt64
    public let payments: Int
    public let submissions: Int
    public let crashes: Int
    public let answers: [String: Int]
    /// Lines of what happened, if they were kept.
    public let trace: [String]
    /// Faults that this world had.
    public let faults: Set<FaultKind>
}

/// One seeded world from its beginning to its end.
public final class Simulation {
    private let options: SimulationOptions
    private let world: World

    /// How long everything may take to end once nothing goes wrong any more, nanoseconds of virtual time.
    static let restTime: UInt64 = .seconds(1800)
    /// Between two looks whether everything is at rest.
    static let restPoll: UInt64 = .milliseconds(500)
    /// The longest time with faults, nanoseconds of virtual time.
    static let faultTime: UInt64 = .seconds(240)
    /// How long faults go on when nobody wants anything any more, nanoseconds of virtual time.
    static let quietTime: UInt64 = .seconds(20)
    /// Steps that no world comes to.
    static let stepsLimit = 3_000_000

    public init(_ options: SimulationOptions) {
        self.options = options
        world = World(options)
    }

    public var coverage: Coverage { world.coverage }

    public func run() -> SimulationResult {
        world.begin()
        runWithFaults()
        if goesOn {
            world.heal()
            if options.seed % 2 == 0 { lookBeforeRecovery() }
            if rest("after the faults") { judgeEnd() }
        }
        for kind in world.scenario.faults { world.coverage.hit(.fault, kind.rawValue) }
        let result = result
        world.dismantle()
        return result
    }

    private var goesOn: Bool { world.checker.violation == nil }

    private func step() -> Bool {
        guard world.scheduler.step() else { return false }
        world.saboteur.afterStep()
        return true
    }

    private func runWithFaults() {
        let end = world.now + Self.faultTime
        // A payment that is answered may still be under way, so nothing ends before the time does or the steps.
        var quietSince: UInt64?
        while goesOn, world.scheduler.steps < options.stepsMax, world.now < end {
            guard step() else { return }
            // When everybody has what they wanted, a while is left for what comes late.
            quietSince = world.clients.isDone ? quietSince ?? world.now : nil
            if let quietSince, world.now > quietSince + Self.quietTime { break }
        }
        world.clients.stop()
    }

    /// Goes on until everything is at rest.
    ///
    /// - Returns: whether it came to rest, and nothing was broken.
    private func rest(_ when: String) -> Bool {
        let end = world.now + Self.restTime
        var nextLook = world.now + Self.restPoll
        while goesOn {
            if world.now >= nextLook {
                nextLook = world.now + Self.restPoll
                if world.isEverybodyAtRest { return true }
            }
            guard world.now < end, world.scheduler.steps < Self.stepsLimit else {
                world.checker.fail(.liveness, nil, "\(when) not everything has ended: \(world.whatIsOpen)")
                return false
            }
            guard step() else { return true }
        }
        return false
    }

    /// Kills every server at once, lets what is on its way arrive, and looks at what recovery would do. Then it does just that.
    private func lookBeforeRecovery() {
        for node in world.nodes {
            node.isHeldDown = true
            node.crash("to look before it recovers")
        }
        let end = world.now + .seconds(180)
        while goesOn, world.now < end, step() {}
        let plans = world.nodes.map { $0.dryPlan() }
        let images = world.nodes.map(\.disk.image.nextLSN)
        for (node, next) in zip(world.nodes, images) {
            if node.disk.image.nextLSN != next { world.checker.fail(.dryRun, nil, "a look has written something") }
            node.isHeldDown = false
            node.startsAtLook = node.starts
            node.start()
        }
        guard rest("after a look and a recovery") else { return }
        for (node, plan) in zip(world.nodes, plans) where node.starts == node.startsAtLook + 1 {
            guard let plan, let done = node.process?.startPlan, node.refusal == nil else { continue }
            world.checker.compare(plan, done, node)
        }
    }

    private func judgeEnd() {
        world.checker.checkEnd()
        checkPlaces()
        guard goesOn else { return }
        recoverAgain()
        guard goesOn else { return }
        settleAndForget()
    }

    /// Where nothing is in flight, no place in flight is taken.
    private func checkPlaces() {
        for node in world.nodes {
            guard let process = node.process, process.isServing else { continue }
            var isTold = false
            let take = Passed<Int> { [world] undecided in
                isTold = true
                guard undecided != 0 else { return }
                world.checker.fail(.liveness, nil, "nothing is in flight, and \(undecided) places are taken")
            }
            process.coordinator.gauges { take.call($0.undecided) }
            let end = world.now + Self.restPoll
            while goesOn, !isTold, world.now < end, step() {}
        }
    }

    /// A second recovery finds nothing to do, and a look before it changes nothing.
    private func recoverAgain() {
        let images = world.nodes.map(\.disk.image)
        for node in world.nodes { node.crash("to recover once more") }
        guard rest("after a second recovery") else { return }
        for (node, image) in zip(world.nodes, images) where node.refusal == nil {
            world.checker.compare(image, node.disk.image)
        }
        world.checker.checkEnd()
        for node in world.nodes {
            guard let plan = node.process?.startPlan else { continue }
            world.checker.checkSecondPlan(plan, node)
        }
    }

    /// What waits for a person is decided, and after the retention nothing is left.
    private func settleAndForget() {
        world.network.relent()
        for _ in 0..<5 {
            world.operators.settleEverything()
            guard rest("after the operators' orders") else { return }
        }
        let retention = UInt64(world.scenario.settings.retention.count) * 1_000_000
        guard world.scenario.has(.trimming) else { return }
        let end = world.now + retention + .seconds(130)
        while goesOn, world.now < end, step() {}
        guard goesOn else { return }
        world.checker.checkForgotten()
    }

    private var result: SimulationResult {
        SimulationResult(
            seed: options.seed, violation: world.checker.violation, steps: world.scheduler.steps,
            virtualNanoseconds: world.now, digest: world.trace.digest, payments: world.clients.payments,
            submissions: world.clients.submissions, crashes: world.nodes.reduce(0) { $0 + $1.crashes },
            answers: world.checker.answers, trace: world.trace.lines.map(Self.text), faults: world.scenario.faults)
    }

    private static func text(_ line: Trace.Line) -> String {
        let microseconds = line.at / 1000
        let seconds = String(microseconds / 1_000_000)
        let rest = String(microseconds % 1_000_000)
        let time =
            String(repeating: " ", count: max(0, 4 - seconds.count)) + seconds + "."
            + String(repeating: "0", count: 6 - rest.count) + rest
        return time + "  " + (line.transaction.map { "\($0.shortName) " } ?? "") + line.text
    }
}

extension TransactionID {
    /// Enough to tell the few of a trace apart.
    var shortName: String { "T" + String(low >> 48, radix: 16) }
}

extension World {
    /// For a message.
    var whatIsOpen: String {
        var words: [String] = []
        if !clients.isDone { words.append("clients wait") }
        if !network.isIdle { words.append("messages to the network are on their way") }
        for database in databases where !database.isIdle { words.append("\(database.index) is busy") }
        for node in nodes where !node.isAtRest { words.append("server \(node.number + 1): \(node.whatIsOpen)") }
        return words.joined(separator: "; ")
    }
}

extension Node {
    var whatIsOpen: String {
        guard let process else { return "not running" }
        guard process.isServing else { return "not serving" }
        if process.isReconciling { return "reconciling" }
        let image = disk.image
        let active = image.active.values.filter { !$0.isParked }.map { "\($0.transaction.shortName)" }.sorted()
        let reversals = image.reversals.values.filter { $0.parkedReason == nil }.map { "\($0.transaction.shortName)" }
            .sorted()
        let away = process.databases.filter { !$0.isAvailable || $0.regression != nil || !$0.branches.isEmpty }
            .map { "\($0.index)" }
        return "unfinished \(active), reversals \(reversals), databases \(away)"
    }
}

extension Checker {
    /// A look and the recovery after it, with nothing in between. A start ends older backends before it looks, so what each database showed
    /// may differ in whether more may appear.
    func compare(_ looked: RecoveryPlan, _ done: RecoveryPlan, _ node: Node) {
        for (first, second) in zip(looked.transactions, done.transactions)
        where first.transaction != second.transaction
            || (first.verdict != second.verdict && !Self.differInWhatMayAppear(first, second))
        {
            return fail(
                .dryRun, first.transaction.transaction,
                "the plan was \(first.verdict), done was \(second.verdict) of \(second.transaction.transaction)")
        }
        let strays = [looked, done].map { $0.strays.filter { $0.verdict != .foreign } }
        let isSame =
            looked.transactions.count == done.transactions.count && looked.reversals == done.reversals
            && looked.heldReversals == done.heldReversals && strays[0] == strays[1]
        if !isSame {
            fail(
                .dryRun, nil,
                "the plan had \(looked.transactions.count) transactions, \(strays[0].count) strays and \(looked.reversals.count) "
                    + "reversals, done were \(done.transactions.count), \(strays[1].count) and \(done.reversals.count)")
        }
    }

    /// COMMIT, and one of the two saw an older backend that may still prepare the branch: it cannot tell that it was rolled back.
    private static func differInWhatMayAppear(_ one: TransactionVerdict, _ other: TransactionVerdict) -> Bool {
        func sawOlder(_ verdict: TransactionVerdict) -> Bool {
            verdict.verdict == .commit && verdict.findings.contains { $0.state == .absent(mayStillAppear: true) }
        }
        return (sawOlder(one) && other.verdict == .parkRolledBack)
            || (sawOlder(other) && one.verdict == .parkRolledBack)
    }

    /// What a second recovery has made of the log: nothing but its start, and what was trimmed meanwhile.
    func compare(_ before: LogImage, _ after: LogImage) {
        let isSame =
            Set(before.active.keys) == Set(after.active.keys) && before.reversals == after.reversals
            && after.requests.allSatisfy { before.requests[$0.key] == $0.value }
            && before.active.values.allSatisfy { $0.isParked || after.active[$0.transaction] == $0 }
        if !isSame { fail(.recoveryTwice, nil, "a second recovery has changed what the log says") }
    }

    /// The plan of a start that has nothing to do.
    func checkSecondPlan(_ plan: RecoveryPlan, _ node: Node) {
        let work = plan.transactions.filter(\.verdict.isWork)
        if let first = work.first {
            fail(.recoveryTwice, first.transaction.transaction, "a second recovery still finds: \(first.verdict)")
        }
        if let stray = plan.strays.first(where: { if case .preparedAgain = $0.verdict { true } else { false } }) {
            fail(.recoveryTwice, nil, "a second recovery finds \(stray.prepared.gid) prepared again")
        }
    }

    /// After the retention only what waits for a person is left, and the last record.
    func checkForgotten() {
        for node in world.nodes where node.refusal == nil && node.process?.isServing == true {
            let image = node.disk.image
            let left = image.records.dropLast().filter { entry in
                guard let transaction = entry.record.transaction else { return false }
                return image.active[transaction] == nil && image.reversals[transaction] == nil
            }
            if let entry = left.first {
                fail(
                    .boundedLog, entry.record.transaction,
                    "\(left.count) records are left after the retention, the first at LSN \(entry.lsn)")
            }
            let last = image.records.last?.record.transaction
            let claims = image.requests.values
                .filter { image.active[$0.transaction] == nil && $0.transaction != last }
                .filter { image.reversals[$0.transaction] == nil }
            if let claim = claims.min(by: { $0.transaction < $1.transaction }) {
                fail(.boundedLog, claim.transaction, "\(claims.count) claims are left after the retention")
            }
        }
    }
}
