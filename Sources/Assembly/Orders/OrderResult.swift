/// What came of an order: for people, for programs, and as an exit code.
public struct OrderResult: Codable, Sendable, Hashable {
    /// What came of it, in one word. Keys of programs: words are added, never changed.
    public enum Code: String, Sendable, CaseIterable {
        /// Carried out to its end.
        case done
        /// Taken and in the log; what follows goes on.
        case taken
        /// The first of two persons has spoken.
        case proposed
        /// Taken; then a participant did otherwise once more.
        case parkedAgain = "parked_again"
        /// Taken; what follows was not finished when nobody waited any longer.
        case stillOpen = "still_open"

        /// The order is none.
        case invalid
        /// The log has no such unfinished transaction.
        case notUnfinished = "not_unfinished"
        /// The log has no such open reversal.
        case noReversal = "no_reversal"
        /// The reversal waits for nobody.
        case reversalNotParked = "reversal_not_parked"
        /// The reversal waits for its payment, which a database has committed all the same.
        case reversalHeld = "reversal_held"
        /// It goes on by itself.
        case notParked = "not_parked"
        case contradictsDecision = "contradicts_decision"
        case contradictsWitness = "contradicts_witness"
        /// The log has lost its tail, and evidence has not decided it yet.
        case awaitsEvidence = "awaits_evidence"
        case wasApproved = "was_approved"
        case hasNoRow = "has_no_row"
        case sameActor = "same_actor"
        /// Something is on its way to a participant.
        case busy
        /// The log has a record of what was to be adopted.
        case known
        /// No database lists a branch of it, or shows its row.
        case noOrphan = "no_orphan"
        /// A database that may have a part in it could not be asked.
        case notAsked = "not_asked"
        case notInQuarantine = "not_in_quarantine"
        case logFull = "log_full"
        /// Something failed; nothing is known to have been done.
        case failed
    }

    /// Whether the order was taken, so that the log has a record of it.
    public let isAccepted: Bool
    /// A ``Code``; a later release may have others.
    public let code: String
    /// What came of it, in words.
    public let message: String
    /// Of ``ProgramExit``.
    public let exitCode: Int32
    /// The transaction's state afterwards, as people know it.
    public let state: String?

    enum CodingKeys: String, CodingKey {
        case isAccepted = "accepted"
        case code, message
        case exitCode = "exit_code"
        case state
    }

    init(_ code: Code, _ message: String, state: String? = nil) {
        self.code = code.rawValue
        self.message = message
        self.state = state
        switch code {
        case .done: (isAccepted, exitCode) = (true, ProgramExit.clean)
        case .taken, .proposed, .parkedAgain, .stillOpen: (isAccepted, exitCode) = (true, ProgramExit.inDoubt)
        case .invalid, .notUnfinished, .noReversal, .reversalNotParked, .reversalHeld, .notParked, .contradictsDecision,
            .contradictsWitness, .awaitsEvidence,
            .wasApproved, .hasNoRow, .sameActor, .busy, .known, .noOrphan, .notAsked, .notInQuarantine, .logFull,
            .failed:
            (isAccepted, exitCode) = (false, ProgramExit.failure)
        }
    }

    /// Whether it is worth waiting for what follows.
    public var isUnderWay: Bool { code == Code.taken.rawValue }
}
