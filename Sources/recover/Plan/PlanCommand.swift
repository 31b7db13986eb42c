import ArgumentParser
import Assembly
import Coordinator
import Foundation
import Runtime

/// Prints the plan and, unless it is a dry run, carries it out.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Carry the plan out, or print it with --dry-run (the default command).")

    @OptionGroup var location: Location
    @OptionGroup var selection: SelectionOptions

    @Flag(help: "Print what would be done and why; change nothing.")
    var dryRun = false

    @Flag(help: "Have the running server make a recovery pass now, then print what it leaves.")
    var online = false

    @Flag(help: "Print the plan as JSON.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Write the plan to a file that does not exist yet, to be carried out with --apply; change nothing else.",
            valueName: "file"),
        completion: .file())
    var planOut: String?

    @Option(
        help: ArgumentHelp(
            "Carry out the plan in this file: the entries that are still as they were judged, and nothing else.",
            valueName: "file"),
        completion: .file())
    var apply: String?

    @Option(
        help: ArgumentHelp(
            "How long to go on until nothing is in doubt: seconds, or with a unit (90s, 5m, 2h), up to a day.",
            valueName: "duration"))
    var wait = Span(.seconds(30))

    func validate() throws {
        guard wait.milliseconds <= Milliseconds.seconds(86_400) else {
            throw ValidationError("--wait takes at most a day")
        }
        if online, dryRun || planOut != nil || apply != nil {
            throw ValidationError(
                "--online has the server act at once; it goes with no plan that is only shown or kept")
        }
        if online, selection.olderThan != nil {
            throw ValidationError("--online is narrowed by --only; the server knows no --older-than")
        }
        if apply != nil, planOut != nil {
            throw ValidationError("--plan-out writes a plan, --apply takes one: use one of them")
        }
        if apply != nil, !selection.isEmpty {
            throw ValidationError(
                "--apply carries out what is in the file; --only and --older-than select when it is written")
        }
    }

    func run() async throws {
        let settings = try NodeSettings(location.source)
        let file = try apply.map { try PlanFile.read($0) }
        // Also so that a wrong directory is not made a new log.
        let log = try Observer.snapshot(stateDirectory: settings.stateDirectory).log
        if let file, let apply {
            try PlanFile.check(file, isOf: log, apply, stateDirectory: settings.stateDirectory)
        }
        let code: Int32
        if online {
            code = try await OnlineRecovery(settings: settings, selection: selection, asJSON: json).run()
        } else if dryRun || planOut != nil {
            code = try await printPlan(settings, file)
        } else {
            let execution = PlanExecution(
                settings: settings, file: file, selection: selection, wait: wait.milliseconds, asJSON: json)
            code = try await execution.run()
        }
        if code != ProgramExit.clean { throw ExitCode(code) }
    }

    private func printPlan(_ settings: NodeSettings, _ file: PlanDocument?) async throws -> Int32 {
        if let planOut { try PlanFile.refuseTaken(planOut) }
        let now = SystemClock.wall()
        let complete = try await Observer.plan(settings)
        if let code = selection.refusal(in: complete) { return code }
        let match = file.map { PlanMatch($0, now: complete) }
        let plan = match?.plan ?? complete.filtered(selection.value(now: now))
        if let planOut {
            try PlanFile.write(PlanDocument(plan, now: now), to: planOut)
            Output.talk("recover: the plan is in \(planOut); recover --apply \(planOut) carries it out")
        }
        let lost = try await Observer.lostCommits(settings)
        try PlanPrinter.show(
            plan, refused: match?.refused ?? [], lost: lost,
            isLive: Observer.isInUse(stateDirectory: settings.stateDirectory), asJSON: json)
        if match == nil { selection.tellOthers(of: plan, in: complete) }
        let isClean =
            !plan.hasWork && !plan.hasRemainder && lost?.isEmpty ?? true
            && match.map { $0.refused.isEmpty && !$0.leavesOthers } ?? true
        // As in the execution: what a file does not name is left, and why is told too.
        let silence = (match == nil ? plan : complete).networkSilence
        return !complete.unreachable.isEmpty || silence != nil
            ? ProgramExit.unreachable : isClean ? ProgramExit.clean : ProgramExit.inDoubt
    }
}

/// Which part of what is unfinished is meant.
struct SelectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("This transaction alone; may be given several times.", valueName: "txn-id"),
        transform: TransactionArgument.parse)
    var only: [TransactionID] = []

    @Option(
        help: ArgumentHelp(
            "What is older than this alone: seconds, or with a unit (90s, 5m, 2h).", valueName: "duration"))
    var olderThan: Span?

    var isEmpty: Bool { only.isEmpty && olderThan == nil }

    func value(now: WallTime) -> PlanSelection {
        PlanSelection(
            only: only.isEmpty ? nil : Set(only),
            begunUntil: olderThan.map {
                WallTime(microseconds: now.microseconds - $0.milliseconds.count * 1000)
            })
    }
}

enum TransactionArgument {
    static func parse(_ text: String) throws -> TransactionID {
        guard let id = TransactionID(text) else {
            throw ValidationError("“\(text.printable)” is not a txn_id; it looks like visa_ and 32 hexadecimal digits")
        }
        return id
    }
}

/// Where a plan goes.
enum PlanPrinter {
    /// - Parameters:
    ///   - lost: what databases that went back in time have lost, where that was looked for.
    ///   - isLive: whether a server runs on the log.
    static func show(
        _ plan: RecoveryPlan, refused: [PlanDocument.Refusal], lost: LostCommits? = nil, isLive: Bool = false,
        asJSON: Bool
    ) throws {
        let now = SystemClock.wall()
        guard asJSON else {
            let text = PlanReport(plan: plan, now: now, refused: refused, isLive: isLive).text(for: .output)
            return Output.line([lost?.text(for: .output), text].compactMap(\.self).joined(separator: "\n\n"))
        }
        var document = PlanDocument(plan, now: now)
        document.refused = refused.isEmpty ? nil : refused
        document.lostCommits = lost?.entries
        Output.line(try document.json)
    }
}
