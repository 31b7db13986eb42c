import ArgumentParser
import Assembly
import Coordinator
import Foundation
import Runtime

/// Lists what the log holds unfinished and, if asked to, what that blocks in the databases.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the transactions and reversals that are not finished.",
        discussion: """
            Reads the log alone unless --locks is given. Every condition that is given must hold. Ends with 0, also if nothing is \
            listed; with 6 if --locks was given and a database could not be asked.
            """)

    @OptionGroup var location: Location
    @OptionGroup var selection: ListOptions

    @Flag(help: "Ask the databases what each prepared branch blocks, and whether it holds the xmin horizon back.")
    var locks = false

    @Flag(help: "Print it as JSON; with --watch one document a line.")
    var json = false

    @Option(
        defaultAsFlag: Span(.seconds(2)), parsing: .next,
        help: ArgumentHelp(
            """
            Print it again and again until Ctrl-C: every so many seconds, or with a unit (500ms, 1m), from 100ms to an hour. \
            With --locks if DB_URI is set.
            """, valueName: "duration"))
    var watch: Span?

    func validate() throws {
        if let watch, !Watch.intervals.contains(watch.milliseconds) {
            throw ValidationError("--watch takes from 100ms to 1h")
        }
    }

    func run() async throws {
        guard let watch else {
            let report = try await report(locks ? NodeSettings(location.source) : nil)
            Output.line(json ? try DocumentText.json(ListDocument(report)) : report.text(for: .output))
            if !report.unreachable.isEmpty { throw ExitCode(ProgramExit.unreachable) }
            return
        }
        let settings = try locks || location.hasDatabases ? NodeSettings(location.source) : nil
        // A directory without a log, or a database that is none, is refused here, before the screen is cleared.
        try selection.check(
            Observer.snapshot(stateDirectory: location.stateDirectory), configured: settings?.databases.count)
        await Watch(interval: watch.milliseconds, isPlain: json).run { terminal in
            let report = try await report(settings)
            if json { return try DocumentText.json(ListDocument(report), isOneLine: true) }
            return report.heading(every: watch, for: terminal) + "\n\n" + report.text(for: terminal)
        }
    }

    /// - Parameter settings: where the databases are asked for locks too.
    private func report(_ settings: NodeSettings?) async throws -> ListReport {
        // The locks first: what ends in between is then not listed without them, but shows no more.
        let picture: LockPicture? = if let settings { try await Observer.locks(settings) } else { nil }
        let snapshot = try Observer.snapshot(stateDirectory: location.stateDirectory)
        try selection.check(snapshot, configured: settings?.databases.count)
        return ListReport(snapshot, selection.filter, locks: picture, now: SystemClock.wall())
    }
}

/// What `list` leaves out.
struct ListOptions: ParsableArguments {
    @Option(help: "Only what is in this state; may be given several times.")
    var state: [ListState] = []

    @Option(
        help: ArgumentHelp(
            "Only what began this long ago or earlier: seconds, or with a unit (90s, 5m, 2h). A reversal is as old as its abort.",
            valueName: "duration"))
    var olderThan: Span?

    @Option(
        help: ArgumentHelp(
            "Only what this participant has not finished: clearing, or db1 for the first database.",
            valueName: "participant"),
        completion: .list(ParticipantArgument.completions))
    var participant: ParticipantArgument?

    @Option(
        help: ArgumentHelp(
            "Only amounts from this on, in the unit of each one's own currency (12.34).", valueName: "amount"))
    var minAmount: AmountArgument?

    @Option(
        help: ArgumentHelp("Only amounts up to this one, in the unit of each one's own currency.", valueName: "amount"))
    var maxAmount: AmountArgument?

    func validate() throws {
        if let minAmount, let maxAmount, maxAmount < minAmount {
            throw ValidationError("--min-amount is above --max-amount, so nothing could be listed")
        }
    }

    /// A database that neither the log nor the configuration knows would list nothing, which reads like an all-clear.
    ///
    /// - Parameter configured: how many databases are configured; `nil` if nobody looked.
    func check(_ snapshot: LogSnapshot, configured: Int?) throws {
        guard let participant = participant?.participant, case .database(let index) = participant else { return }
        let parts = snapshot.active.flatMap { $0.begin.record.branches.map(\.participant) }
        let known = Set(snapshot.fences.map { Participant.database($0.database) } + parts)
            .union((1...UInt8.max).prefix(configured ?? 0).map { .database(DatabaseIndex(rawValue: $0)) })
        guard !known.contains(participant) else { return }
        let names = known.map(\.description).sorted().joined(separator: ", ")
        throw StartRefusal(
            "--participant \(index): there is no such database; known are \(names.isEmpty ? "none" : names)",
            exitCode: ProgramExit.usage)
    }

    var filter: ListFilter {
        ListFilter(
            states: Set(state), olderThan: olderThan, participant: participant?.participant, amountMin: minAmount,
            amountMax: maxAmount)
    }
}
