import Coordinator

extension LogRecord {
    /// One line for people.
    var words: String {
        switch self {
        case .serverStarted(let pair): "server started, epoch \(pair.epoch)"
        case .begin(let begin):
            begin.words
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

extension BeginRecord {
    fileprivate var words: String {
        let known = IntentWords(intent, of: transaction)
        return
            "BEGIN \(intent.kind.wireName) \(known.amount) card \(known.card) request \(known.request), participants "
            + branches.map(\.participant.description).joined(separator: ", ")
    }
}

extension ResolutionRecord {
    fileprivate var words: String { "\(outcome)\(isForced ? ", forced" : ""), \(warrant.words)" }
}

extension Warrant {
    /// Who and why.
    var words: String { "\(authority == .order ? "ordered by" : "on evidence read by") \(actor): \(reason)" }
}
