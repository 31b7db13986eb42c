import Foundation

/// What came of an iteration.
struct CrashOutcome: Sendable {
    var wasStruck = false
    var violations: [String] = []
    /// What was done, in order.
    var steps: [String] = []
    var took = Duration.zero
    /// Where its files are, if it failed.
    var directory = ""
}

/// One iteration of the matrix: a process is made to fail at a point, what it leaves is brought to its end, and everybody's view is
/// compared.
final class CrashIteration {
    let plan: CrashPlan
    let world: World
    var outcome = CrashOutcome()
    /// Everything that clients have asked for, by request_id.
    var requests: [String: Payment] = [:]
    /// Transactions at which somebody did at the network what nobody may.
    var excused: Set<String> = []
    /// How long it may take after the last fault until nothing is left to do.
    var settleLimit = Duration.seconds(20)
    private var loads = 0

    init(_ plan: CrashPlan, _ world: World) {
        self.plan = plan
        self.world = world
    }

    /// Runs a plan in a world of its own.
    static func run(_ plan: CrashPlan, cluster: PrivateCluster? = nil) -> CrashOutcome {
        let began = ContinuousClock.now
        var outcome = CrashOutcome()
        do {
            try World.run(databases: plan.databases, environment: environment(of: plan), cluster: cluster) { world in
                let iteration = CrashIteration(plan, world)
                defer { outcome = iteration.outcome }
                iteration.outcome.directory = world.directory
                do {
                    try world.ledger.keep(in: AckFile(world.directory + "/acknowledged.jsonl"))
                    try iteration.plantForeign()
                    try iteration.act()
                    try iteration.end()
                } catch {
                    iteration.outcome.violations.append("\(error)")
                }
            }
        } catch {
            outcome.violations.append("\(error)")
        }
        outcome.took = ContinuousClock.now - began
        if outcome.violations.isEmpty {
            try? FileManager.default.removeItem(atPath: outcome.directory)
        } else {
            try? RunDirectory.shared().keep()
        }
        return outcome
    }

    private static func environment(of plan: CrashPlan) -> [String: String] {
        var environment = [
            "RECOVERY_INTERVAL": "1", "CLEARING_RETRY_MAX": "\(plan.holdRetries)", "DB_POOL_SIZE": "6",
            "DISK_RESERVE_MB": "1", "LOG_MAP_MB": "64", "TWOPC_PREPARE_TIMEOUT": "3", "REVERSAL_BASE_DELAY_MS": "20",
            "RISK_ENABLED": "0",
        ]
        if plan.scene == .trim { environment["LOG_RETENTION"] = "1" }
        if plan.scene == .refusedReversal { environment["REVERSAL_MAX_ATTEMPTS"] = "3" }
        return environment
    }

    // MARK: - Steps

    func note(_ step: String) { outcome.steps.append(step) }

    /// The faults of the network under which payments take every way.
    static let badNetwork = Faults(
        errorRate: 0.1, lostReplyRate: 0.35, declineRate: 0.1, latencyMilliseconds: 3)

    /// Another program's prepared transaction, which nobody of ours may touch.
    func plantForeign() throws {
        for database in world.databases {
            try database.query(
                "BEGIN; CREATE TABLE others (id int); PREPARE TRANSACTION 'other_\(database.name)'")
        }
    }

    func startLoad(at server: ServerProcess, payments: Int = CrashLoad.payments) -> CrashLoad {
        loads += 1
        return CrashLoad(
            .init(port: server.configuration.port, ledger: world.ledger), prefix: "p\(loads)", payments: payments)
    }

    func take(_ load: CrashLoad) throws {
        try load.finish()
        requests.merge(load.requests) { first, _ in first }
    }

    /// A server that dies under load, so that there is something to recover.
    func crashUnderLoad() throws {
        let server = try world.start(fault: plan.firstDeath.variable)
        try world.simulator.set(Self.badNetwork)
        // The network errs, so it may not come to its point; then it is killed when all is answered.
        let load = startLoad(at: server)
        _ = Wait.holds(within: .seconds(5)) { !server.process.isRunning || load.isDone }
        server.crash()
        try take(load)
        note("a server died at \(plan.firstDeath)")
        try world.simulator.set(.none)
    }

    /// The plan's fault and what it needs, as `HOLDFAST_FAULT` takes them.
    var faults: String {
        (Scene.preludes(to: plan.fault.point) + [plan.fault]).map(\.variable).joined(separator: ",")
    }

    /// Waits until the plan's fault has struck, or `isOver` for a moment.
    ///
    /// - Returns: whether it has.
    @discardableResult
    func awaitStrike(in process: ChildProcess, errors: String, unless isOver: () -> Bool) -> Bool {
        let announcement = "injected: \(plan.fault.variable)"
        var patience: Deadline?
        while true {
            let isOverNow = isOver()
            if isStruck(process, errors, announcement) { return true }
            if isOverNow {
                patience = patience ?? Deadline(in: .seconds(3))
                if let patience, patience.hasPassed { return false }
            }
            if !process.isRunning { return isStruck(process, errors, announcement) }
            Wait.sleep(.milliseconds(3))
        }
    }

    private func isStruck(_ process: ChildProcess, _ errors: String, _ announcement: String) -> Bool {
        let isStruck: Bool =
            switch plan.fault.action {
            case .kill, .exit: process.status() == plan.fault.death
            case .stop: process.isStopped
            case .error, .delay: ((try? Files.text(errors)) ?? "").contains(announcement)
            }
        guard isStruck else { return false }
        outcome.wasStruck = true
        note("\(plan.fault) struck \(process.name)")
        return true
    }

    /// What happens beside a process that stands still, and how it goes on.
    func attend(to process: ChildProcess) throws {
        guard plan.fault.action == .stop, process.isStopped else { return }
        switch plan.meanwhile {
        case .secondServer:
            let configuration = try world.configuration(of: "a")
            let second = try ServerProcess(
                ServerConfiguration(
                    port: Loopback.freePort(), stateDirectory: configuration.stateDirectory,
                    environment: configuration.environment), errorsFile: world.directory + "/second.err")
            let status = try second.process.wait(within: Limits.programStart)
            if status != RecoverTool.logInUse {
                outcome.violations.append("a second server on a directory in use ended with \(status)")
            }
        case .recover:
            let result = try world.recover().run()
            if result.status != RecoverTool.logInUse {
                outcome.violations.append("recover on a directory in use: \(result)")
            }
        case .dryRun: _ = try world.recover().run("--dry-run")
        case .client:
            // It is answered when the server goes on, or never.
            let payment = Payment(requestID: "meanwhile", amount: "7.07")
            if let client = try? world.server().client(), (try? client.send(payment)) != nil {
                requests["meanwhile"] = payment
                world.ledger.note(payment, .lost)
            }
        }
        note("it stood still while \(plan.meanwhile.rawValue)")
        if plan.goesOn {
            process.send(SIGCONT)
            note("it went on")
        } else {
            process.kill()
            note("it was killed")
        }
    }
}

extension ChildProcess {
    /// Whether it stands still because of SIGSTOP.
    var isStopped: Bool {
        guard isRunning, let text = try? Files.text("/proc/\(pid)/stat") else { return false }
        return text[(text.lastIndex(of: ")") ?? text.startIndex)...].dropFirst(2).first == "T"
    }
}
