/// Who or what stands behind a step that the protocol would not take by itself.
public enum Authority: UInt8, Sendable, Hashable, CaseIterable {
    /// A person's order, with a name and a reason.
    case order = 1
    /// Evidence from the participants, where the log has lost its tail and its own silence proves nothing.
    case evidence = 2
}

/// Why something was done that the protocol would not do by itself.
public struct Warrant: Sendable, Hashable {
    public let authority: Authority
    /// Who ordered it, or the program that read the evidence.
    public let actor: String
    /// The reason or the evidence, in words. Without card data.
    public let reason: String

    /// Whether both name the same person: names are told apart neither by capitals nor by blanks around them.
    public func isBySameActor(as other: Warrant) -> Bool {
        func trimmed(_ name: String) -> String {
            var rest = name.lowercased().drop { $0.isWhitespace }
            while rest.last?.isWhitespace == true { rest.removeLast() }
            return String(rest)
        }
        return trimmed(actor) == trimmed(other.actor)
    }

    public init(_ authority: Authority, actor: String, reason: String) {
        self.authority = authority
        self.actor = actor
        self.reason = reason
    }
}

/// The outcome of a transaction that waited for an operator, or that a log without its tail could not tell.
public struct ResolutionRecord: Sendable, Hashable {
    public let transaction: TransactionID
    public let outcome: Outcome
    /// Whether it may contradict a logged decision, and takes what participants did otherwise as it is.
    public let isForced: Bool
    public let warrant: Warrant

    public init(transaction: TransactionID, outcome: Outcome, isForced: Bool, warrant: Warrant) {
        self.transaction = transaction
        self.outcome = outcome
        self.isForced = isForced
        self.warrant = warrant
    }

    /// Whether both ask for the same: the second person's confirmation of the first one's proposal.
    public func agrees(with other: ResolutionRecord) -> Bool {
        transaction == other.transaction && outcome == other.outcome && isForced == other.isForced
    }
}

/// A transaction that the log had no record of is taken in, with its outcome: a branch or a committed row of a log that has lost
/// its tail.
///
/// Of an adopted transaction nothing may be known but its id. Then its amount is zero, which no payment's is, its request_id is its
/// own txn_id, and the network is told the id alone.
public struct AdoptionRecord: Sendable, Hashable {
    public let begin: BeginRecord
    public let outcome: Outcome
    public let warrant: Warrant

    public init(begin: BeginRecord, outcome: Outcome, warrant: Warrant) {
        self.begin = begin
        self.outcome = outcome
        self.warrant = warrant
    }

    public var transaction: TransactionID { begin.transaction }
}

/// A transaction that had ended is unfinished again, because a database has lost what it had committed or rolled back.
public struct ReopenedRecord: Sendable, Hashable {
    public let transaction: TransactionID
    /// The database that went back in time.
    public let database: DatabaseIndex
    /// Whether it waits for an operator: neither the branch nor its row is there. Else its decision is carried out again.
    public let isParked: Bool
    /// What was seen, in words.
    public let evidence: String

    public init(transaction: TransactionID, database: DatabaseIndex, isParked: Bool, evidence: String) {
        self.transaction = transaction
        self.database = database
        self.isParked = isParked
        self.evidence = evidence
    }
}

/// A reversal that waited for an operator is sent again, its refusals forgotten.
public struct ReversalReleasedRecord: Sendable, Hashable {
    public let transaction: TransactionID
    public let warrant: Warrant

    public init(transaction: TransactionID, warrant: Warrant) {
        self.transaction = transaction
        self.warrant = warrant
    }
}

/// A value left the quarantine: back to its place, or for good.
public struct QuarantineReleasedRecord: Sendable, Hashable {
    /// Its number in the quarantine, from 1 on.
    public let number: UInt64
    /// Whether it was put back where it had been, which only a value that can be read is.
    public let wasRestored: Bool
    public let warrant: Warrant

    public init(number: UInt64, wasRestored: Bool, warrant: Warrant) {
        self.number = number
        self.wasRestored = wasRestored
        self.warrant = warrant
    }
}

/// Whether what the log does not say can be taken for what did not happen.
public enum LogContinuity: Sendable, Hashable {
    /// Presumed abort holds.
    case unbroken
    /// The log has lost its tail, or all of it: nothing is presumed until evidence has been gathered.
    case broken(LogBreak)

    public var isBroken: Bool { self != .unbroken }
}

/// A loss of the log's tail.
public struct LogBreak: Sendable, Hashable {
    public enum Cause: UInt8, Sendable, Hashable, CaseIterable {
        /// The log is a backup's copy.
        case restored = 1
        /// The log was made anew under the name of a lost one.
        case lost = 2
        /// The log is a copy that nobody has restored: nobody may work on it.
        case copied = 3
    }

    public let cause: Cause
    /// What may be missing began in this epoch or a later one.
    public let firstLostEpoch: Epoch
    /// When the log was restored or made anew.
    public let at: WallTime

    public init(cause: Cause, firstLostEpoch: Epoch, at: WallTime) {
        self.cause = cause
        self.firstLostEpoch = firstLostEpoch
        self.at = at
    }
}
