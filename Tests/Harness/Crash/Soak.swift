import Foundation

/// Random plans for a long time, with more than our own programs failing: several faults in each process, PostgreSQL's backends and its
/// postmaster, connections, the network.
struct Soak {
    let seed: UInt64
    let limit: Duration
    /// The one iteration that is run; `nil` for as many as there is time for.
    let only: Int?

    init(seed: UInt64, lasting limit: Duration, only: Int?) {
        self.seed = seed
        self.limit = limit
        self.only = only
    }

    /// - Returns: the exit code.
    func run(say: (String) -> Void) throws -> Int32 {
        let points = try FaultPointName.listed()
        say("crash: random plans for \(limit), seed \(seed); programs in \(Settings.programDirectory)")
        let began = ContinuousClock.now
        var (iterations, payments, failed) = (0, 0, [String]())
        var number = only ?? 1
        repeat {
            let plan = SoakPlan(seed: seed, number: number)
            let iteration = SoakIteration(plan, points)
            let outcome = iteration.run()
            iterations += 1
            payments += iteration.payments
            say(Self.line(plan, iteration.payments, outcome))
            if !outcome.violations.isEmpty { failed.append(plan.replay) }
            number += 1
        } while only == nil && ContinuousClock.now - began < limit
        let minutes = max(1.0 / 60, (ContinuousClock.now - began).seconds / 60)
        say(
            "\n\(iterations) iterations and \(payments) payments in \(String(format: "%.1f", minutes)) min, "
                + String(format: "%.1f", Double(iterations) / minutes)
                + " a minute; \(failed.count) failed; seed \(seed)")
        for replay in failed { say("FAILED: \(replay)") }
        return failed.isEmpty ? 0 : 1
    }

    private static func line(_ plan: SoakPlan, _ payments: Int, _ outcome: CrashOutcome) -> String {
        let seconds = String(format: "%.1f s", outcome.took.seconds)
        let head = "[\(plan.number)] \(plan.databases) db, \(payments) payments, \(outcome.steps.count) steps: "
        guard !outcome.violations.isEmpty else { return head + "ok, \(seconds)" }
        let shown = outcome.violations.prefix(12).map { "    ! " + $0.replacing("\n", with: "\n      ") }
        return
            ([head + "FAILED, \(seconds)"] + shown + outcome.steps.map { "    - " + $0 }
            + ["    files: \(outcome.directory)", "    again: \(plan.replay)"]).joined(separator: "\n")
    }
}

/// One iteration of a soak.
final class SoakIteration {
    private let plan: SoakPlan
    private let points: [FaultPointName]
    private var random: SeededRandom
    private var outcome = CrashOutcome()
    private(set) var payments = 0

    init(_ plan: SoakPlan, _ points: [FaultPointName]) {
        self.plan = plan
        self.points = points
        random = SeededRandom(seed: plan.seed, "course \(plan.number)")
    }

    func run() -> CrashOutcome {
        let began = ContinuousClock.now
        do {
            let environment = [
                "RECOVERY_INTERVAL": "1", "CLEARING_RETRY_MAX": "\(plan.holdRetries)", "DB_POOL_SIZE": "6",
                "DISK_RESERVE_MB": "1", "LOG_MAP_MB": "64", "TWOPC_PREPARE_TIMEOUT": "2", "CLEARING_TIMEOUT": "1",
                "TWOPC_COMMIT_TIMEOUT": "3", "REVERSAL_BASE_DELAY_MS": "20", "RISK_ENABLED": "0",
                "CLEARING_CB_FAILS": "\(plan.breakerFails)", "CLEARING_CB_OPEN_SECS": "0.5",
            ]
            try World.run(databases: plan.databases, environment: environment, behindProxy: true) { world in
                outcome.directory = world.directory
                do {
                    try run(in: world)
                } catch {
                    outcome.violations.append("\(error)")
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

    private func run(in world: World) throws {
        try world.ledger.keep(in: AckFile(world.directory + "/acknowledged.jsonl"))
        let iteration = CrashIteration(CrashPlan(PlannedFault("begin-durable", 1, .kill), seed: plan.seed), world)
        iteration.settleLimit = .seconds(40)
        try iteration.plantForeign()
        let network = try TCPProxy(upstream: world.simulator.port)
        defer { try? network.close() }
        world.environment["CLEARING_URL"] = "http://127.0.0.1:\(network.port)"
        let course = SoakCourse(world, network, points, random)
        let load = CrashLoad(
            .init(port: try course.startServer(), ledger: world.ledger), prefix: "s", connections: 8, payments: .max,
            isPersistent: true, pause: .milliseconds(80))
        defer { load.stop() }
        do {
            for (pause, event) in plan.events {
                try course.wait(milliseconds: pause)
                try course.carryOut(event)
            }
            try course.wait(milliseconds: 300)
            try course.restoreOrder()
        } catch {
            outcome.steps = course.steps
            throw error
        }
        load.stop()
        try iteration.take(load)
        payments = iteration.requests.count
        defer { outcome.steps = course.steps + iteration.outcome.steps }
        defer { outcome.violations += iteration.outcome.violations }
        try iteration.end()
    }
}
