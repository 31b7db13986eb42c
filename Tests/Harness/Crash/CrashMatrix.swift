import Foundation
import Synchronization

/// Every point with every action, at the first hit and at a later one.
struct CrashMatrix {
    let seed: UInt64
    let plans: [CrashPlan]
    let points: [FaultPointName]

    /// - Parameters:
    ///   - only: `point`, `point:n` or `point:n:action`; whatever begins so.
    ///   - share: each how-manieth plan is taken.
    init(seed: UInt64, only: String? = nil, share: Int = 1) throws {
        self.seed = seed
        points = try FaultPointName.listed()
        var random = SeededRandom(seed: seed, "hits")
        var faults: [PlannedFault] = []
        for point in points {
            let last = Scene.hitsMax(of: point.name)
            let later = last > 1 ? random.number(in: 2...last) : 1
            for action in PlannedFault.Action.allCases where action != .error || point.canFail {
                for hit in Set([1, later]).sorted() { faults.append(PlannedFault(point.name, hit, action)) }
            }
        }
        if let only {
            if let exact = PlannedFault(only) {
                faults = points.contains { $0.name == exact.point } ? [exact] : []
            } else {
                faults = faults.filter { $0.point == only || $0.description.hasPrefix(only + ":") }
            }
            guard !faults.isEmpty else { throw HarnessError("ONLY=\(only): there is no such point, hit or action") }
        } else if share > 1 {
            // Neighbours are alike; the share takes another action at each point.
            faults = faults.enumerated().filter { $0.offset % share == Int(seed % UInt64(share)) }.map(\.element)
        }
        plans = faults.map { CrashPlan($0, seed: seed) }
    }

    /// What a run came to.
    struct Result: Sendable {
        var outcomes: [(plan: CrashPlan, outcome: CrashOutcome)] = []
        var took = Duration.zero

        var failures: [(plan: CrashPlan, outcome: CrashOutcome)] { outcomes.filter { !$0.outcome.violations.isEmpty } }

        /// Points of the plans that no iteration came to.
        var missed: [String] {
            let struck = Set(outcomes.filter(\.outcome.wasStruck).map(\.plan.fault.point))
            var missed: [String] = []
            for (plan, _) in outcomes where !struck.contains(plan.fault.point) && !missed.contains(plan.fault.point) {
                missed.append(plan.fault.point)
            }
            return missed
        }

        var perMinute: Double { Double(outcomes.count) / max(1, took.seconds) * 60 }
    }

    /// Runs the plans, several at a time.
    ///
    /// - Parameter say: told a line for each iteration, and more for one that failed.
    func run(jobs: Int, say: @escaping @Sendable (String) -> Void) throws -> Result {
        // Before there is more than one thread: they share it.
        _ = try PrivateCluster.forRun()
        let began = ContinuousClock.now
        let state = Mutex((next: 0, result: Result()))
        let running = Atomic(jobs)
        for _ in 0..<jobs {
            Thread { [plans] in
                while true {
                    let index = state.withLock { state in
                        defer { state.next += 1 }
                        return state.next
                    }
                    guard index < plans.count else { break }
                    let outcome = CrashIteration.run(plans[index])
                    say(Self.line(index + 1, plans.count, plans[index], outcome))
                    state.withLock { $0.result.outcomes.append((plans[index], outcome)) }
                }
                running.subtract(1, ordering: .sequentiallyConsistent)
            }.start()
        }
        while running.load(ordering: .sequentiallyConsistent) > 0 { Wait.sleep(.milliseconds(20)) }
        return state.withLock { state in
            var result = state.result
            result.took = ContinuousClock.now - began
            return result
        }
    }

    static func line(_ number: Int, _ count: Int, _ plan: CrashPlan, _ outcome: CrashOutcome) -> String {
        let seconds = String(format: "%.1f s", outcome.took.seconds)
        let head = "[\(number)/\(count)] \(plan): "
        guard !outcome.violations.isEmpty else {
            return head + (outcome.wasStruck ? "ok" : "ok, but not reached") + ", \(seconds)"
        }
        let shown = outcome.violations.prefix(12).map { "    ! " + $0.replacing("\n", with: "\n      ") }
        return
            ([head + "FAILED, \(seconds)"] + shown + outcome.steps.map { "    - " + $0 }
            + ["    files: \(outcome.directory)", "    again: \(plan.replay)"]).joined(separator: "\n")
    }

    /// A line for each point: iterations, how many of them came there, how many failed.
    static func table(_ result: Result) -> String {
        var order: [String] = []
        var counts: [String: (runs: Int, struck: Int, failed: Int)] = [:]
        for (plan, outcome) in result.outcomes.sorted(by: { $0.plan.fault.point < $1.plan.fault.point }) {
            let point = plan.fault.point
            if counts[point] == nil { order.append(point) }
            let before = counts[point, default: (0, 0, 0)]
            counts[point] = (
                before.runs + 1, before.struck + (outcome.wasStruck ? 1 : 0),
                before.failed + (outcome.violations.isEmpty ? 0 : 1)
            )
        }
        let width = order.map(\.count).max() ?? 0
        func row(_ name: String, _ cells: [String]) -> String {
            name.padding(toLength: width, withPad: " ", startingAt: 0)
                + cells.map { String(repeating: " ", count: max(1, 8 - $0.count)) + $0 }.joined()
        }
        let rows = order.map { point in
            let count = counts[point, default: (0, 0, 0)]
            return row(point, ["\(count.runs)", "\(count.struck)", "\(count.failed)"])
        }
        return ([row("point", ["runs", "reached", "failed"])] + rows).joined(separator: "\n")
    }
}
