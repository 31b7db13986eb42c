/// Where a global transaction stands. The names that people know are the log's: each state says which record it follows.
enum TransactionState: Sendable, Hashable {
    /// INIT: BEGIN is on its way into the log; nobody may be asked yet.
    /// Goes to `preparing` when it is durable, to `deciding` when the deadline passed before that, to `finished` when the log
    /// refuses it.
    case beginning(deadlinePassedAt: WallTime?)
    /// PREPARING, after BEGIN: participants are asked stage by stage.
    /// Goes to `deciding` when all voted yes; when one did not, or at the deadline, there too, or first to `lookingUp`.
    case preparing(Preparing)
    /// It cannot be made, and the payment's database has not said whether it was made before: it is asked, because DECLINED is final.
    /// Goes to `deciding` with the answer.
    case lookingUp(Preparing)
    /// A decision is on its way into the log. Goes to `committing` or `aborting`, whichever decision the log then holds; to
    /// `parkedUndecided` if the log has lost the transaction.
    case deciding(Preparing)
    /// PREPARED and COMMITTING, after COMMIT: the databases are told, and after the payment's own the network.
    /// Goes to `ending` when every participant is proven done; stays, parked, where one did otherwise.
    case committing(Delivering<CommitRecord>)
    /// ABORTING, after ABORT: every branch that may be prepared is rolled back.
    /// Goes to `ending` when none can be prepared any more; stays, parked, where one committed.
    case aborting(Delivering<AbortRecord>)
    /// END is on its way into the log. Goes to `finished`.
    case ending
    /// PARKED without a decision: a database shows as committed what the log never decided, or the log set a damaged record
    /// aside. Nobody is told anything. Stays: only an operator ends it.
    case parkedUndecided
    /// COMMITTED or ABORTED, after END, or never begun. The last state.
    case finished

    struct Preparing: Sendable, Hashable {
        let begin: Durable<BeginRecord>
        /// Stages not asked yet.
        var stagesLeft: ArraySlice<[Branch]>
        /// Asked, no vote yet.
        var outstanding: Set<Participant>
        var votes: [Participant: Vote]
    }

    struct Delivering<Decision: Sendable & Hashable>: Sendable, Hashable {
        let begin: Durable<BeginRecord>
        let decision: Durable<Decision>
        /// Asked to prepare, no vote yet: told when they have voted.
        var outstanding: Set<Participant>
        /// To be told, or told without proof so far.
        var open: Set<Participant>
        /// How often each was told without success by this process.
        var attempts: [Participant: Int]
        /// Participants that did otherwise than decided.
        var parked: Set<Participant>
        /// Whether participants may have been told by an earlier process.
        let resumed: Bool
    }

    /// For messages.
    var name: String {
        switch self {
        case .beginning: "beginning"
        case .preparing: "preparing"
        case .lookingUp: "looking up"
        case .deciding: "deciding"
        case .committing: "committing"
        case .aborting: "aborting"
        case .ending: "ending"
        case .parkedUndecided: "parked undecided"
        case .finished: "finished"
        }
    }
}

extension TransactionState.Preparing {
    /// - Returns: whether the vote was waited for.
    mutating func take(_ vote: Vote, of participant: Participant) -> Bool {
        guard outstanding.remove(participant) != nil else { return false }
        votes[participant] = vote
        return true
    }

    /// What the network answered to the hold; empty if it was not asked or said nothing.
    var authorizationCode: String {
        if case .yes(let code)? = votes[.clearing] { code } else { "" }
    }
}
