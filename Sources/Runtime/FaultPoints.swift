/// A named place at which a test can make a process fail. Off unless the environment asks for one.
public protocol InjectionPoint: RawRepresentable<String>, CaseIterable, Sendable {
    /// How things stand there.
    var meaning: String { get }
    /// What the action `error` does there; `nil` where nothing is under way that could fail.
    var failure: String? { get }
}

extension InjectionPoint {
    /// For the rooms where things have just been done.
    public var failure: String? { nil }
}

/// All points, by what a process is busy with.
enum FaultRooms {
    static let all: [any InjectionPoint.Type] = [
        FaultPoint.self, LogPoint.self, ParticipantPoint.self, ClientPoint.self, StartPoint.self, RecoveryPoint.self,
        UpkeepPoint.self,
    ]
}

/// The landmarks of a payment.
public enum FaultPoint: String, InjectionPoint {
    case beginDurable = "begin-durable"
    case holdPlaced = "hold-placed"
    case prepared = "prepared"
    case decisionDurable = "decision-durable"
    case firstDatabaseCommitted = "first-database-committed"
    case reversalDurable = "reversal-durable"

    public var meaning: String {
        switch self {
        case .beginDurable: "BEGIN is in the log; nobody has been asked yet"
        case .holdPlaced: "the network has placed the hold; no database has been asked yet"
        case .prepared: "every participant has voted yes; nothing is decided yet"
        case .decisionDurable: "COMMIT is in the log; nobody has been told yet"
        case .firstDatabaseCommitted: "the payment's database has committed; neither client nor network has been told"
        case .reversalDurable: "ABORT and its reversal task are in the log; nothing has been sent yet"
        }
    }
}

/// Before and after the steps of the log, and within its writer.
public enum LogPoint: String, InjectionPoint {
    case beginAppend = "begin-append"
    case commitAppend = "commit-append"
    case abortAppend = "abort-append"
    case abortDurable = "abort-durable"
    case acknowledgedAppend = "acknowledged-append"
    case acknowledgedDurable = "acknowledged-durable"
    case endAppend = "end-append"
    case parkAppend = "park-append"
    case parkDurable = "park-durable"
    case reversalRefusedAppend = "reversal-refused-append"
    case reversalRefusedDurable = "reversal-refused-durable"
    case reversalClosedAppend = "reversal-closed-append"
    case reversalClosedDurable = "reversal-closed-durable"
    case reversalParkedAppend = "reversal-parked-append"
    case reversalParkedDurable = "reversal-parked-durable"
    case fenceAppend = "fence-append"
    case fenceDurable = "fence-durable"
    case fenceConfirmedAppend = "fence-confirmed-append"
    case fenceConfirmedDurable = "fence-confirmed-durable"
    case positionAppend = "position-append"
    case positionDurable = "position-durable"
    case interventionAppend = "intervention-append"
    case interventionDurable = "intervention-durable"
    case batchTaken = "batch-taken"
    case batchDurable = "batch-durable"

    public var meaning: String {
        switch self {
        case .beginAppend: "BEGIN is about to be given to the log"
        case .commitAppend: "all have voted yes, and COMMIT is about to be given to the log"
        case .abortAppend: "ABORT, with its reversal task if it has one, is about to be given to the log"
        case .abortDurable: "ABORT is in the log; nobody has been told yet"
        case .acknowledgedAppend: "a participant has done as decided; that is about to be given to the log"
        case .acknowledgedDurable: "a participant's acknowledgement is in the log"
        case .endAppend: "every participant has done as decided; END is about to be given to the log"
        case .parkAppend: "a transaction is to wait for an operator; that is about to be given to the log"
        case .parkDurable: "it is in the log that a transaction waits for an operator"
        case .reversalRefusedAppend: "the network has refused a reversal; that is about to be given to the log"
        case .reversalRefusedDurable: "a refusal of a reversal is in the log"
        case .reversalClosedAppend: "a reversal is acknowledged; its closing is about to be given to the log"
        case .reversalClosedDurable: "a reversal is closed in the log"
        case .reversalParkedAppend: "a reversal is to wait for an operator; that is about to be given to the log"
        case .reversalParkedDurable: "it is in the log that a reversal waits for an operator"
        case .fenceAppend: "the log is about to be told that a database will be fenced"
        case .fenceDurable: "the log knows that a database will be fenced; the database has not been told"
        case .fenceConfirmedAppend: "a database holds our fence; the log does not know that yet"
        case .fenceConfirmedDurable: "the log knows that a database holds our fence"
        case .positionAppend: "how far a database is is about to be given to the log"
        case .positionDurable: "how far a database is is in the log"
        case .interventionAppend:
            "an operator's order, or what evidence proves, is about to be given to the log: a resolution, an adoption, a "
                + "reopening, a release, the log declared whole"
        case .interventionDurable: "an order or a proof is in the log; nothing has been done of it"
        case .batchTaken: "the log's writer has taken steps from its queue; nothing of them is written"
        case .batchDurable: "the log's writer has synced steps; nobody has been told"
        }
    }

    public var failure: String? {
        switch self {
        case .beginAppend, .commitAppend, .abortAppend, .acknowledgedAppend, .endAppend, .parkAppend,
            .reversalRefusedAppend, .reversalClosedAppend, .reversalParkedAppend, .fenceAppend, .fenceConfirmedAppend,
            .positionAppend, .interventionAppend:
            "the log refuses the step for want of room"
        case .batchTaken: "there is no room for the steps all at once"
        case .abortDurable, .acknowledgedDurable, .parkDurable, .reversalRefusedDurable, .reversalClosedDurable,
            .reversalParkedDurable, .fenceDurable, .fenceConfirmedDurable, .positionDurable, .interventionDurable,
            .batchDurable:
            nil
        }
    }
}

/// Before a participant is asked, when the question is on its way, and when the reply is here but nobody has seen it.
public enum ParticipantPoint: String, InjectionPoint {
    case holdSend = "hold-send"
    case holdSent = "hold-sent"
    case holdReply = "hold-reply"
    case prepareSend = "prepare-send"
    case prepareSent = "prepare-sent"
    case prepareReply = "prepare-reply"
    case lookUpSend = "look-up-send"
    case lookUpReply = "look-up-reply"
    case commitPreparedSend = "commit-prepared-send"
    case commitPreparedSent = "commit-prepared-sent"
    case commitPreparedReply = "commit-prepared-reply"
    case rollbackPreparedSend = "rollback-prepared-send"
    case rollbackPreparedSent = "rollback-prepared-sent"
    case rollbackPreparedReply = "rollback-prepared-reply"
    case confirmSend = "confirm-send"
    case confirmSent = "confirm-sent"
    case confirmReply = "confirm-reply"
    case reversalSend = "reversal-send"
    case reversalReply = "reversal-reply"
    case statusSend = "status-send"
    case statusReply = "status-reply"

    public var meaning: String {
        switch self {
        case .holdSend: "the network is about to be asked for a hold"
        case .holdSent: "a request for a hold is on its way"
        case .holdReply: "the network has said what became of a hold; nobody has seen it yet"
        case .prepareSend: "a database is about to be asked to prepare a branch"
        case .prepareSent: "a branch is on its way to be prepared"
        case .prepareReply: "a database has said whether a branch is prepared; nobody has seen it yet"
        case .lookUpSend: "a database is about to be asked whether a payment that is not made was made before"
        case .lookUpReply: "a database has said whether a payment was made before; nobody has seen it yet"
        case .commitPreparedSend: "a database is about to be told to commit a branch"
        case .commitPreparedSent: "COMMIT PREPARED is on its way"
        case .commitPreparedReply: "a database has said what became of COMMIT PREPARED; nobody has seen it yet"
        case .rollbackPreparedSend: "a database is about to be told to roll a branch back"
        case .rollbackPreparedSent: "ROLLBACK PREPARED is on its way"
        case .rollbackPreparedReply: "a database has said what became of ROLLBACK PREPARED; nobody has seen it yet"
        case .confirmSend: "the network is about to be told that a payment is made"
        case .confirmSent: "a confirmation is on its way to the network"
        case .confirmReply: "the network has replied to a confirmation; nobody has seen it yet"
        case .reversalSend: "a reversal is about to be sent"
        case .reversalReply: "the network has replied to a reversal; nobody has seen it yet"
        case .statusSend: "the network is about to be asked what it knows of a transaction"
        case .statusReply: "the network has said what it knows of a transaction; nobody has seen it yet"
        }
    }

    public var failure: String? {
        switch self {
        case .holdSend, .prepareSend, .lookUpSend, .commitPreparedSend, .rollbackPreparedSend, .confirmSend,
            .reversalSend,
            .statusSend:
            "the participant cannot be reached"
        case .holdReply, .prepareReply, .lookUpReply, .commitPreparedReply, .rollbackPreparedReply, .confirmReply,
            .reversalReply,
            .statusReply:
            "the reply is lost"
        case .holdSent, .prepareSent, .commitPreparedSent, .rollbackPreparedSent, .confirmSent: nil
        }
    }
}

/// A client's payment request and its answer, over the line protocol and, but for the last, over HTTP.
public enum ClientPoint: String, InjectionPoint {
    case requestRead = "request-read"
    case answerReady = "answer-ready"
    case answerWritten = "answer-written"

    public var meaning: String {
        switch self {
        case .requestRead: "a payment request has been read; nothing has been done of it"
        case .answerReady: "the answer to a payment request is known; nothing of it has been written"
        case .answerWritten: "the answer to a payment request has been given to the kernel"
        }
    }

    public var failure: String? {
        switch self {
        case .requestRead, .answerReady, .answerWritten: "the connection to the client breaks"
        }
    }
}

/// The steps of a start and of an end; those of them that `recover` takes too are so named in the documentation.
public enum StartPoint: String, InjectionPoint {
    case directoryLocked = "directory-locked"
    case logOpened = "log-opened"
    case databasesTried = "databases-tried"
    case decisionsSettled = "decisions-settled"
    case ordersOpen = "orders-open"
    case portOpening = "port-opening"
    case listening = "listening"
    case passBegun = "pass-begun"
    case draining = "draining"
    case drained = "drained"

    public var meaning: String {
        switch self {
        case .directoryLocked: "the state directory is ours; the log in it is not open"
        case .logOpened: "the log is open and checked; our epoch is not in it"
        case .databasesTried: "every database is fenced and in use, or was not reached in time"
        case .decisionsSettled: "what earlier epochs left undecided is decided in the log; no port is open"
        case .ordersOpen: "operators' orders are taken; no port is open"
        case .portOpening: "the ports are about to be opened"
        case .listening: "the ports are open"
        case .passBegun: "a periodic pass is about to look at the databases"
        case .draining: "the server was told to stop; it still listens"
        case .drained: "what could be finished in time is finished; nothing is closed"
        }
    }

    public var failure: String? {
        switch self {
        case .portOpening: "the ports cannot be had"
        case .directoryLocked, .logOpened, .databasesTried, .decisionsSettled, .ordersOpen, .listening, .passBegun,
            .draining, .drained:
            nil
        }
    }
}

/// A named place in recovery, whether a server's start or `recover` carries it out.
public enum RecoveryPoint: String, InjectionPoint {
    case logTakenOver = "log-taken-over"
    case databaseFenced = "database-fenced"
    case planMade = "plan-made"
    case decisionRecovered = "decision-recovered"
    case branchResolved = "branch-resolved"
    case confirmed = "confirmed"
    case reversalSent = "reversal-sent"
    case reversalAcknowledged = "reversal-acknowledged"
    case endDurable = "end-durable"
    case reconciled = "reconciled"
    case logClosed = "log-closed"

    public var meaning: String {
        switch self {
        case .logTakenOver: "the next epoch is in the log; no database has been told of it"
        case .databaseFenced: "a database is fenced in the new epoch and in use"
        case .planMade: "the plan is made; nothing of it has been carried out"
        case .decisionRecovered: "recovery's decision on a transaction is in the log; nobody has been told yet"
        case .branchResolved: "a database has carried a decision out; the log does not have its acknowledgement"
        case .confirmed: "the network has confirmed a payment; the log does not have its acknowledgement"
        case .reversalSent: "a reversal is on its way; no reply to it has come"
        case .reversalAcknowledged: "the network has acknowledged a reversal; it is still open in the log"
        case .endDurable: "an END is in the log"
        case .reconciled: "a log that had lost its tail has just been declared whole"
        case .logClosed: "everything is written and the log is closed; the process is about to end"
        }
    }
}

/// Trimming the log, and copying it.
public enum UpkeepPoint: String, InjectionPoint {
    case trimStep = "trim-step"
    case trimStepDurable = "trim-step-durable"
    case backupCopied = "backup-copied"
    case backupSynced = "backup-synced"
    case backupMarked = "backup-marked"
    case backupNamed = "backup-named"
    case backupDone = "backup-done"

    public var meaning: String {
        switch self {
        case .trimStep: "the log is about to drop old records, a step's worth"
        case .trimStepDurable: "a step of a trim is in the log"
        case .backupCopied: "a backup is copied under a temporary name; nothing of it is synced"
        case .backupSynced: "a backup is synced; it is not marked as a copy"
        case .backupMarked: "a backup is marked as a copy and was read; it does not have its name"
        case .backupNamed: "a backup has its name; the directory is not synced"
        case .backupDone: "a backup is complete"
        }
    }

    public var failure: String? {
        switch self {
        case .trimStep: "there is no room for the step"
        case .backupCopied: "the copy cannot be synced"
        case .backupSynced: "the copy cannot be marked"
        case .backupMarked: "the copy cannot be given its name"
        case .backupNamed: "the directory cannot be synced"
        case .trimStepDurable, .backupDone: nil
        }
    }
}
