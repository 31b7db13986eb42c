import ArgumentParser
import Assembly
import Coordinator
import Payments
import Telemetry

/// Shows the whole history of one transaction from the log.
struct ShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the history of one transaction, record by record.")

    @OptionGroup var location: Location

    @Argument(help: "The txn_id (visa_...).")
    var transaction: String

    func validate() throws {
        guard TransactionID(transaction) != nil else {
            throw ValidationError("“\(transaction)” is not a txn_id; it looks like visa_ and 32 hexadecimal digits")
        }
    }

    func run() async throws {
        guard let id = TransactionID(transaction) else { return }
        let history = try Observer.history(of: id, stateDirectory: location.stateDirectory)
        guard let first = history.first else {
            throw StartRefusal("the log has no record of \(id), or no more", exitCode: ProgramExit.failure)
        }
        Output.line("\(id)\n")
        var table = Table(.right("LSN"), "TIME", .right("AFTER"), .flexible("RECORD"))
        for entry in history {
            let milliseconds = Double(entry.writtenAt.microseconds - first.writtenAt.microseconds) / 1000
            table.add(
                entry.lsn.description, Timestamp.text(microseconds: entry.writtenAt.microseconds),
                "\(milliseconds) ms", entry.record.words)
        }
        Output.line(table.text(for: .output))
    }
}

extension LogRecord {
    /// One line for people.
    var words: String {
        switch self {
        case .serverStarted(let pair): "server started, epoch \(pair.epoch)"
        case .begin(let begin):
            "BEGIN \(begin.intent.kind.wireName) \(begin.intent.amount) card \(begin.intent.maskedPAN) "
                + "request \(begin.intent.requestID), participants "
                + begin.branches.map(\.participant.description).joined(separator: ", ")
        case .commit(let commit): "COMMIT, authorization code \(commit.authorizationCode)"
        case .abort(let abort):
            "ABORT, \(abort.reason.wireName)" + (abort.reversal == nil ? "" : ", with a reversal")
        case .acknowledged(let done): "\(done.participant) done (\(done.proof))"
        case .end(let end): "END, \(end.outcome)"
        case .parked(let parked): "PARKED, \(parked.participant): \(parked.evidence)"
        case .reversalRefused(let refused): "reversal refused, \(refused.refusals) times: \(refused.reason)"
        case .reversalClosed: "reversal acknowledged"
        case .reversalParked(let parked): "reversal parked: \(parked.reason)"
        case .resolutionProposed(let order): "PROPOSED, \(order.words)"
        case .resolved(let order): "RESOLVED, \(order.words)"
        case .adopted(let adoption): "ADOPTED as \(adoption.outcome), \(adoption.warrant.words)"
        case .reopened(let reopened):
            "REOPENED\(reopened.isParked ? " and parked" : ""), \(reopened.database): \(reopened.evidence)"
        case .reversalReleased(let released): "reversal released, \(released.warrant.words)"
        case .quarantineReleased(let released):
            "number \(released.number) of the quarantine \(released.wasRestored ? "put back" : "dropped"), "
                + released.warrant.words
        case .broken(let loss): "LOG \(loss.cause): what began in epoch \(loss.firstLostEpoch) or later may be missing"
        case .reconciled(let warrant): "LOG RECONCILED, \(warrant.words)"
        }
    }
}

extension ResolutionRecord {
    fileprivate var words: String { "\(outcome)\(isForced ? ", forced" : ""), \(warrant.words)" }
}

extension Warrant {
    /// Who and why.
    var words: String { "\(authority == .order ? "ordered by" : "on evidence read by") \(actor): \(reason)" }
}
