import ArgumentParser
import Assembly
import Coordinator
import Payments

/// Shows one transaction: its history from the log, what each participant shows of it now, and the verdict.
struct ShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the history of one transaction, what the participants show of it now, and the verdict.",
        discussion: """
            The databases are asked unless --offline or --at is given or none is configured; the network is asked with --ask-network, \
            and where the log has lost its tail. Nothing is changed. Ends with 0; with 1 if nothing is known of the transaction; \
            with 6 if a participant could not be asked.
            """)

    @OptionGroup var location: Location

    @Argument(help: "The txn_id (visa_ and 32 hexadecimal digits).", transform: TransactionArgument.parse)
    var transaction: TransactionID?

    @Option(help: ArgumentHelp("The transaction of this request_id instead of a txn_id.", valueName: "request-id"))
    var request: String?

    @Option(
        help: ArgumentHelp(
            "As it was in the log at this LSN, or at this time in UTC (2026-01-31T10:20:30.123456Z; parts from the seconds on may be left out).",
            valueName: "lsn|time"))
    var at: LogPlace?

    @Flag(help: "Ask nobody: show what the log says.")
    var offline = false

    @Flag(help: "Ask the network too what it knows of it; that changes nothing there.")
    var askNetwork = false

    @Flag(help: "Print it as JSON.")
    var json = false

    func validate() throws {
        guard (transaction == nil) != (request == nil) else {
            throw ValidationError("give a txn_id, or --request and a request_id")
        }
        if let request, RequestID(request) == nil {
            throw ValidationError("“\(request.printable)” is not a request_id: 1 to 64 visible ASCII characters")
        }
        if askNetwork, offline || at != nil {
            throw ValidationError("--ask-network asks for the present; leave --offline and --at away")
        }
    }

    func run() async throws {
        let directory = try location.stateDirectory
        let id = try named(directory)
        let history = try Observer.history(of: id, stateDirectory: directory)
        let replay = HistoryReplay(of: id, history) { place in
            at.map { !$0.isPassed(by: place.lsn, place.writtenAt) } ?? true
        }
        if at != nil, replay == nil, let first = history.first {
            throw StartRefusal(
                "nothing of \(id) was in the log then; its first record is \(first.lsn)", exitCode: ProgramExit.failure)
        }
        let report = ShowReport(transaction: id, replay: replay, sight: try await sight(of: id))
        if report.isEmpty, !report.isPartlyUnreached {
            throw StartRefusal("the log has no record of \(id), or no more", exitCode: ProgramExit.failure)
        }
        Output.line(json ? try DocumentText.json(ShowDocument(report)) : report.text(for: .output))
        if report.isPartlyUnreached { throw ExitCode(ProgramExit.unreachable) }
    }

    private func named(_ directory: String) throws -> TransactionID {
        if let transaction { return transaction }
        guard let text = request, let request = RequestID(text),
            let found = try Observer.transaction(of: request, stateDirectory: directory)
        else {
            throw StartRefusal(
                "the log does not know the request_id \(request ?? ""), or no more", exitCode: ProgramExit.failure)
        }
        return found
    }

    private func sight(of id: TransactionID) async throws -> TransactionSight? {
        guard !offline, at == nil else { return nil }
        guard try location.hasDatabases else {
            Output.talk("recover: no database is configured (DB_URI), so nobody is asked")
            return nil
        }
        return try await Observer.sight(of: id, NodeSettings(location.source), asksNetwork: askNetwork)
    }
}
