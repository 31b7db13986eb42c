import ArgumentParser
import Assembly
import Coordinator
import Foundation
import Runtime
import Telemetry

/// Prints the plan and, unless it is a dry run, carries it out.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Carry the plan out, or print it with --dry-run (the default command).")

    @OptionGroup var location: Location

    @Flag(help: "Print what would be done and why; change nothing.")
    var dryRun = false

    @Flag(help: "Print the plan as JSON.")
    var json = false

    @Option(help: "Seconds to go on until nothing is in doubt.")
    var wait: Int = 30

    func validate() throws {
        guard (0...86_400).contains(wait) else { throw ValidationError("--wait takes 0 to 86400 seconds") }
    }

    func run() async throws {
        let settings = try NodeSettings(location.source)
        try dryRun ? await printPlan(settings) : await carryOut(settings)
    }

    private func printPlan(_ settings: NodeSettings) async throws {
        let plan = try await Observer.plan(settings)
        try show(plan)
        if plan.hasWork || plan.hasRemainder { throw ExitCode(ProgramExit.inDoubt) }
    }

    private func show(_ plan: RecoveryPlan) throws {
        let report = PlanReport(plan: plan, now: SystemClock.wall())
        print(json ? try report.json : report.text)
    }

    private func carryOut(_ settings: NodeSettings) async throws {
        let sink = LineSink(descriptor: STDERR_FILENO)
        let events = EventLog(sink: sink, now: { SystemClock.wall().microseconds })
        defer { sink.flush() }
        let node = try Node.open(settings, events: events, sink: sink) { why in
            events.emit(.error, .fencedOut, .message(why))
            sink.flush()
            _exit(ProgramExit.failure)
        }
        let isClean: Bool
        do {
            try await node.startDatabases(waitingAtMost: .seconds(10))
            isClean = try await resolve(node)
        } catch {
            await node.close()
            throw error
        }
        await node.close()
        if !isClean { throw ExitCode(ProgramExit.inDoubt) }
    }

    /// Carries plans out until one is empty or the time is over: a PREPARE may arrive after the first look.
    private func resolve(_ node: Node) async throws -> Bool {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(wait)
        var plan = try await node.plan(isServing: false)
        try show(plan)
        await node.carryOut(plan)
        while true {
            let left = max(.zero, end - clock.now)
            let isIdle = await node.waitUntilIdle(
                atMost: Milliseconds(left.components.seconds * 1000 + 50), includingReversals: true)
            await node.flushLog()
            plan = try await node.plan(isServing: false)
            if !plan.hasWork || !isIdle || clock.now >= end { break }
            await node.carryOut(plan)
        }
        let isClean = !plan.hasWork && !plan.hasRemainder
        FileHandle.standardError.write(
            Data((isClean ? "recover: nothing is in doubt\n" : "recover: something is left in doubt\n").utf8))
        if !isClean {
            FileHandle.standardError.write(Data((PlanReport(plan: plan, now: SystemClock.wall()).text + "\n").utf8))
        }
        return isClean
    }
}
