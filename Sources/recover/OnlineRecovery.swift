import ArgumentParser
import Assembly
import Coordinator
import Runtime

/// `recover --online`: a recovery pass now, made by the server that holds the log, which alone touches what is in flight.
struct OnlineRecovery {
    let settings: NodeSettings
    let selection: SelectionOptions
    let asJSON: Bool

    /// Prints what an observer sees after the pass.
    ///
    /// - Returns: the exit code.
    func run() async throws -> Int32 {
        let result = try ControlClient.send(.recoverNow(only: selection.only), to: settings.stateDirectory)
        Output.talk("recover: \(result.message)")
        guard result.isAccepted else { return result.exitCode }
        let plan = try await Observer.plan(settings).filtered(selection.value(now: SystemClock.wall()))
        try PlanPrinter.show(plan, refused: [], isLive: true, asJSON: asJSON)
        guard plan.unreachable.isEmpty else { return ProgramExit.unreachable }
        return plan.hasWork || plan.hasRemainder ? ProgramExit.inDoubt : ProgramExit.clean
    }
}
