import Coordinator
import Payments

/// How much may go wrong in one run, and what the driver or the world does wrong on purpose.
struct ExplorerSettings: Sendable {
    var kind = OperationKind.authorization
    var databases = 1
    var crashesMax = 0
    /// Replies that are lost, and votes that come too late.
    var lossesMax = 0
    /// Steps that the log has no room for.
    var fullsMax = 0
    /// Prepared branches that somebody resolves by hand.
    var interferencesMax = 0
    /// What a database may say instead of preparing.
    var refusals: [Vote.Refusal] = [.unavailable("no connection")]
    var flaw = Flaw.none

    /// What is broken, to show that the explorer sees it.
    enum Flaw: String, Sendable, CaseIterable {
        case none
        /// The network acknowledges the undoing of a hold that it has not seen, and forgets it.
        case noTombstones
        /// A declined repeat is taken for a definite no, although the first attempt's reply was lost.
        case declineAfterLossIsFinal
        /// A hold that timed out is reported as never made.
        case unknownHoldIsNo
        /// Backends that may still prepare are left alive, at an abort and at a restart.
        case noFencing
        /// An abort's reversal is not sent.
        case dropsReversal
        /// A restart does not take up the open reversals.
        case forgetsReversalsAtRestart
        /// A restart takes up an undecided transaction as if it had been decided to commit.
        case presumedCommit
        /// The network is told of the commit as soon as it is decided.
        case networkBeforeDatabase
        /// Steps are reported as durable before they are.
        case receiptBeforeSync
        /// A scheduled retry is forgotten.
        case dropsRetries
        /// A step that the log had no room for is forgotten.
        case dropsRefusedSteps
        /// The client is told APPROVED with the decision.
        case answersBeforeWitness
        /// A database that could not be asked is said to be rolled back.
        case absenceWithoutProof
    }
}
