public import Payments

/// One atomic step of the log.
///
/// What is seldom or large is stored apart, so that what is common is copied in a few words.
public enum LogWrite: Sendable, Hashable {
    /// Refused with ``LogRefusal/requestClaimed(_:)`` if the request_id is already in the log.
    case begin(BeginRecord)
    /// A compare-and-set on an undecided transaction; refused with ``LogRefusal/alreadyDecided(_:)``.
    case commit(CommitRecord)
    /// Likewise. The reversal task, if any, is stored in the same log transaction.
    indirect case abort(AbortRecord)
    /// Refused with ``LogRefusal/notActive(_:)`` before the decision.
    case acknowledged(AcknowledgedRecord)
    case end(EndRecord)
    case park(ParkedRecord)
    case reversalRefused(ReversalRefusedRecord)
    case closeReversal(ReversalClosedRecord)
    case parkReversal(ReversalParkedRecord)
    /// A pair is about to be written to a database.
    case fenceAttempted(DatabaseIndex, FencePair)
    /// The database holds the pair; earlier attempts are settled.
    case fenceConfirmed(DatabaseIndex, DatabaseIdentity, FencePair)
    /// How far the database is now.
    case databaseSeen(DatabaseIndex, DatabasePosition)
    /// The outcome of a parked transaction or, with evidence and in a broken log, of an undecided one. Refused with
    /// ``LogRefusal/notResolvable(_:)``, by the rules of ``ActiveTransaction/resolved(by:now:continuity:)``.
    ///
    /// With two persons needed, the first order is noted as a proposal and allows nothing; the second, by another actor and of the
    /// same content, resolves.
    indirect case resolve(ResolutionRecord, needsTwoPersons: Bool)
    /// Takes a transaction in that the log has no record of. Refused with ``LogRefusal/alreadyActive(_:)`` if it has one.
    indirect case adopt(AdoptionRecord)
    /// Makes an ended transaction unfinished again; the state is the one that its history tells. Refused with
    /// ``LogRefusal/alreadyActive(_:)`` if it is unfinished.
    indirect case reopen(ActiveTransaction, ReopenedRecord)
    /// Sends a parked reversal again.
    indirect case releaseReversal(ReversalReleasedRecord)
    /// Takes a value out of the quarantine; refused with ``LogRefusal/notInQuarantine(_:)`` if it is not there, or cannot be
    /// restored as asked.
    indirect case releaseQuarantined(QuarantineReleasedRecord)
    /// The lost tail is settled: from here on the log is unbroken.
    case reconcile(Warrant)
}

/// Why a step was not taken. Nothing was written.
public enum LogRefusal: Error, Sendable, Hashable {
    indirect case requestClaimed(RequestEntry)
    indirect case alreadyDecided(ActiveTransaction.Decision)
    /// The transaction has ended or never began.
    case notActive(TransactionID)
    /// There is no such open reversal.
    case noReversal(TransactionID)
    /// It may not be resolved so.
    indirect case notResolvable(ResolutionRefusal)
    /// The log has the transaction as unfinished.
    case alreadyActive(TransactionID)
    /// No such value is in the quarantine, or it cannot be read or would overwrite another.
    case notInQuarantine(String)
    /// The log is out of space; nothing of this batch was written.
    case full
}

/// What a log says when a step is durable.
public enum LogReceipt: Sendable, Hashable {
    case begun(Durable<BeginRecord>)
    case committing(Durable<CommitRecord>)
    indirect case aborting(Durable<AbortRecord>)
    indirect case parked(Durable<ParkedRecord>)
    /// The transaction as it stands from here on, with a decision: after a resolution, an adoption or a reopening.
    indirect case resumed(ActiveTransaction)
    /// The first of two persons has spoken.
    indirect case proposed(Durable<ResolutionRecord>)
    /// A step that allows nothing by itself.
    case noted
}

/// How soon a step must be durable.
public enum LogUrgency: Sendable {
    /// Now: participant I/O waits for it.
    case forced
    /// With the next batch, within ``LogTiming/lazyDelayMax``.
    case lazy
}

public enum LogTiming {
    /// The longest that a lazy step waits for a forced one to share its sync with.
    public static let lazyDelayMax = Milliseconds(100)
}

/// The durable log as the core and its shell know it. LMDB is one; a replicated log may be another.
public protocol TransactionLog: AnyObject, Sendable {
    /// Takes a step. `completion` is called exactly once, after the sync that covers the step, or at its refusal. A log that
    /// cannot tell whether a sync succeeded ends the process instead.
    ///
    /// Steps take effect in the order of the calls.
    func append(
        _ write: LogWrite, urgency: LogUrgency,
        completion: @escaping @Sendable (Result<LogReceipt, LogRefusal>) -> Void)

    /// What is known of a request_id; `nil` if nothing is, or no more.
    func lookUp(_ request: RequestID) throws -> RequestEntry?

    /// A consistent picture of everything unfinished.
    func snapshot() throws -> LogSnapshot
}
