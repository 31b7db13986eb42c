import Coordinator
import Payments
import Telemetry

/// A record as one line of JSON, in the keys that docs/reference/log-tools.md describes. Keyed digests are left out; of
/// a card number there is the masked form alone.
struct RecordLine {
    private var text = "{"

    /// What a terminal may be given: evidence and reasons may hold the text of others.
    var printable: String { text.utf8.allSatisfy { $0 < 0x80 } ? text : text.printableJSON }

    init(_ record: LogRecord, lsn: LSN, writtenAt: WallTime) {
        add("lsn", lsn.rawValue)
        add("at", Timestamp.text(microseconds: writtenAt.microseconds))
        add("kind", record.kind.rawValue)
        if let transaction = record.transaction { add("txn_id", transaction.description) }
        addFields(of: record)
        text += "}"
    }

    /// The line for a record that cannot be read.
    init(unreadable lsn: LSN?, key: String, reason: String) {
        if let lsn { add("lsn", lsn.rawValue) }
        add("kind", Self.unreadable)
        add("key", key)
        add("reason", reason)
        text += "}"
    }

    /// The kind of what cannot be read.
    static let unreadable = "unreadable"

    private mutating func addFields(of record: LogRecord) {
        switch record {
        case .serverStarted(let pair):
            add("epoch", pair.epoch.rawValue)
            add("incarnation", pair.incarnation.description)
        case .begin(let begin): addFields(of: begin)
        case .commit(let commit): add("authorization_code", commit.authorizationCode)
        case .abort(let abort): addFields(of: abort)
        case .acknowledged(let done):
            add("participant", done.participant.description)
            add("proof", done.proof.name)
        case .end(let end):
            add("request_id", end.requestID.text)
            add("outcome", end.outcome.name)
        case .parked(let parked):
            add("participant", parked.participant.description)
            add("evidence", parked.evidence)
        case .reversalRefused(let refused):
            add("refusals", UInt64(refused.refusals))
            add("reason", refused.reason)
        case .reversalClosed: break
        case .reversalParked(let parked): add("reason", parked.reason)
        case .resolutionProposed(let order), .resolved(let order):
            add("outcome", order.outcome.name)
            add("forced", order.isForced)
            addFields(of: order.warrant)
        case .adopted(let adoption):
            add("outcome", adoption.outcome.name)
            addFields(of: adoption.begin)
            addFields(of: adoption.warrant)
        case .reopened(let reopened):
            add("participant", reopened.database.description)
            add("parked", reopened.isParked)
            add("evidence", reopened.evidence)
        case .reversalReleased(let released): addFields(of: released.warrant)
        case .quarantineReleased(let released):
            add("number", released.number)
            add("restored", released.wasRestored)
            addFields(of: released.warrant)
        case .broken(let loss):
            add("cause", loss.cause.name)
            add("first_lost_epoch", loss.firstLostEpoch.rawValue)
            add("lost_at", Timestamp.text(microseconds: loss.at.microseconds))
        case .reconciled(let warrant): addFields(of: warrant)
        }
    }

    private mutating func addFields(of warrant: Warrant) {
        add("authority", warrant.authority.name)
        add("actor", warrant.actor)
        add("reason", warrant.reason)
    }

    private mutating func addFields(of begin: BeginRecord) {
        let intent = begin.intent
        add("epoch", begin.epoch.rawValue)
        add("request_id", intent.requestID.text)
        add("type", intent.kind.wireName)
        add("amount", intent.amount.decimalText)
        add("currency", intent.amount.currency.code)
        add("merchant", intent.merchant.text)
        add("card", intent.maskedPAN.text)
        if let reference = intent.reference { add("ref_request_id", reference.text) }
        add("deadline", Timestamp.text(microseconds: begin.deadline.microseconds))
        addKey("participants")
        text += "["
        for (index, branch) in begin.branches.enumerated() {
            text += index == 0 ? "{" : ",{"
            add("participant", branch.participant.description)
            add("payment", branch.role.contains(.payment))
            add("merchant_entry", branch.role.contains(.merchantEntry))
            text += "}"
        }
        text += "]"
    }

    private mutating func addFields(of abort: AbortRecord) {
        add("reason", abort.reason.wireName)
        switch abort.claim {
        case .declined: add("claim", "declined")
        case .released: add("claim", "released")
        case .madeBy(let other):
            add("claim", "made_by")
            add("made_by", other.description)
        }
        add("reversal", abort.reversal != nil)
    }

    // MARK: JSON

    private mutating func addKey(_ key: String) {
        if text.last != "{" { text += "," }
        text += "\"\(key)\":"
    }

    private mutating func add(_ key: String, _ value: String) {
        addKey(key)
        JSONText.append(value, to: &text)
    }

    private mutating func add(_ key: String, _ value: UInt64) {
        addKey(key)
        text += String(value)
    }

    private mutating func add(_ key: String, _ value: Bool) {
        addKey(key)
        text += value ? "true" : "false"
    }
}

extension Proof {
    /// For programs; never changed.
    fileprivate var name: String {
        switch self {
        case .acknowledgement: "acknowledgement"
        case .witness: "witness"
        case .absence: "absence"
        case .accepted: "accepted"
        case .lost: "lost"
        }
    }
}

extension Outcome {
    /// For programs; never changed.
    fileprivate var name: String {
        switch self {
        case .committed: "committed"
        case .aborted: "aborted"
        }
    }
}

extension Authority {
    /// For programs; never changed.
    fileprivate var name: String {
        switch self {
        case .order: "order"
        case .evidence: "evidence"
        }
    }
}

extension LogBreak.Cause {
    /// For programs; never changed.
    fileprivate var name: String {
        switch self {
        case .restored: "restored"
        case .lost: "lost"
        case .copied: "copied"
        }
    }
}
