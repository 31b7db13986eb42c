import Assembly
import Coordinator
import Foundation
import Runtime
import Telemetry

/// Carries a plan out, or a part of it, and looks again until nothing of it is in doubt.
///
/// Opening the log raises the epoch, fences the databases and ends the backends of the dead server; beyond that only what is handed to
/// the coordinator is acted on, so what is not selected stays as it is.
struct PlanExecution {
    let settings: NodeSettings
    /// The plan to be applied; `nil` for whatever is to be done now.
    let file: PlanDocument?
    let selection: SelectionOptions
    /// How long to go on.
    let wait: Milliseconds
    let asJSON: Bool

    /// How long the databases may take to be reached.
    private static let databasesWait = Milliseconds.seconds(10)
    /// How long the verification of the commits of databases that went back in time may take. It asks about thousands a second.
    private static let verificationWait = Milliseconds.seconds(86_400)
    /// Between two looks while a database is away, or after work has led to further work.
    private static let rescanPause = Duration.milliseconds(250)

    /// - Returns: the exit code.
    func run() async throws -> Int32 {
        let sink = LineSink(descriptor: STDERR_FILENO)
        let events = EventLog(sink: sink, now: { SystemClock.wall().microseconds })
        defer { sink.flush() }
        let node = try Node.open(settings, events: events, sink: sink) { why in
            events.emit(.error, .fencedOut, .message(why))
            sink.flush()
            _exit(ProgramExit.failure)
        }
        let result: Result<Int32, any Error>
        do {
            try await node.startDatabases(waitingAtMost: Self.databasesWait)
            result = .success(try await resolve(node))
        } catch {
            result = .failure(error)
        }
        await node.close()
        return try result.get()
    }

    private func resolve(_ node: Node) async throws -> Int32 {
        let begunUntil = selection.value(now: SystemClock.wall())
        let first = try await node.plan(isServing: false)
        if let code = selection.refusal(in: first) { return code }
        let match = file.map { PlanMatch($0, now: first) }
        let chosen = match?.plan ?? first.filtered(begunUntil)
        try PlanPrinter.show(chosen, refused: match?.refused ?? [], asJSON: asJSON)
        var deeds = Deeds()
        await act(node, chosen, &deeds)
        // Before anything is said to be without doubt: what a database that went back in time has lost.
        await node.verifyCommits(atMost: Self.verificationWait)
        let last = try await finish(node, begunUntil, &deeds)
        // What the file did not name is left, and that is said; what --only and --older-than left out was not asked for.
        let plan = match == nil ? last.filtered(begunUntil) : last
        if let words = deeds.words(after: last) { Output.talk("recover: \(words)") }
        let unverified = node.unverifiedDatabases
        for line in unverified { Output.talk("recover: \(line)") }
        let isClean =
            !plan.hasWork && !plan.hasRemainder && unverified.isEmpty && match?.refused.isEmpty ?? true
        let network = await unreachableNetwork(node, plan)
        let isUnreached = !plan.unreachable.isEmpty || network != nil
        if let network { Output.talk("recover: the network could not be reached: \(network)") }
        if isClean, !isUnreached {
            Output.talk("recover: \(plan.allClear(ofAll: last))")
            return ProgramExit.clean
        }
        Output.talk(
            PlanReport(plan: plan, now: SystemClock.wall(), refused: match?.refused ?? []).text(for: .errors),
            isStyled: true)
        let isOnlyUnasked = !plan.unreachable.isEmpty && !plan.hasWork && !plan.hasRemainder
        Output.talk("recover: \(isOnlyUnasked ? plan.unasked : "something is left in doubt")")
        return isUnreached ? ProgramExit.unreachable : ProgramExit.inDoubt
    }

    /// Waits until everything is delivered, and carries out what comes up meanwhile: a PREPARE may arrive after the first look. With a
    /// plan file nothing further is carried out.
    ///
    /// - Returns: the whole plan of what is left.
    private func finish(
        _ node: Node, _ selected: PlanSelection, _ deeds: inout Deeds
    ) async throws -> RecoveryPlan {
        let clock = ContinuousClock()
        let end = clock.now + .milliseconds(wait.count)
        var progress = ProgressLine()
        defer { progress.clear() }
        while true {
            let left = end - clock.now
            let slice = min(ProgressLine.interval, max(.zero, Milliseconds(left.components.seconds * 1000 + 50)))
            let isIdle = await node.waitUntilIdle(atMost: slice, includingReversals: true)
            progress.show(open: await node.openWork(), of: "deliveries")
            let isOver = clock.now >= end
            guard isIdle || isOver else { continue }
            // For a database that has come only now.
            await node.verifyCommits(atMost: Self.verificationWait)
            await node.flushLog()
            let plan = try await node.plan(isServing: false)
            let rest = plan.filtered(selected)
            if isOver || !mayChange(rest) { return plan }
            if file == nil { await act(node, rest, &deeds) }
            try await Task.sleep(for: Self.rescanPause)
        }
    }

    /// Whether another look may find something else.
    private func mayChange(_ rest: RecoveryPlan) -> Bool {
        if !rest.unreachable.isEmpty { return true }
        // With a plan file nothing further is carried out, and a part of a plan never makes the log whole.
        return file == nil
            && (rest.hasWork || rest.awaitsEvidence || (selection.isEmpty && rest.continuity.isBroken))
    }

    private func act(_ node: Node, _ plan: RecoveryPlan, _ deeds: inout Deeds) async {
        deeds.take(plan)
        let refused = await node.carryOut(plan)
        if plan.settlesContinuity { await node.settleContinuity(after: plan, refused: refused) }
    }

    /// Whether what is left is left because the network does not answer.
    private func unreachableNetwork(_ node: Node, _ plan: RecoveryPlan) async -> String? {
        if let why = plan.networkSilence { return why }
        let unconfirmed = plan.transactions.first { NetworkState($0.transaction, in: plan) == .toConfirm }
        guard
            let transaction = plan.reversals.first(where: { $0.parkedReason == nil })?.transaction
                ?? unconfirmed?.transaction.transaction
        else { return nil }
        return await node.whyNetworkIsSilent(about: transaction)
    }
}
