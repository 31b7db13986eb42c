import Payments

/// A record where it was found in the history.
public struct Placed<Record: Sendable & Hashable>: Sendable, Hashable {
    public let record: Record
    public let lsn: LSN
    public let writtenAt: WallTime

    public init(_ record: Record, lsn: LSN, writtenAt: WallTime) {
        self.record = record
        self.lsn = lsn
        self.writtenAt = writtenAt
    }
}

/// What the records of one transaction say, taken in one after the other, and whether each may follow those before it.
///
/// The rules of the log's state machine are ``take(_:at:_:)`` and what it calls; a new kind of record gets its rule
/// there.
public struct TransactionTrace: Sendable, Hashable {
    public enum Decision: Sendable, Hashable {
        case undecided
        case commit(Placed<CommitRecord>)
        case abort(Placed<AbortRecord>)
    }

    /// What is known of the task to tell the network.
    public enum Reversal: Sendable, Hashable {
        /// There was none so far.
        case none
        /// As the records leave it.
        case open(ReversalTask)
        case closed
    }

    public let transaction: TransactionID
    /// `nil` if it is missing.
    public private(set) var begin: Placed<BeginRecord>?
    public private(set) var decision = Decision.undecided
    public private(set) var acknowledged: [Participant: Proof] = [:]
    /// One for each participant that did otherwise, in the order of the records.
    public private(set) var parkings: [Placed<ParkedRecord>] = []
    /// What the first of two persons asked for.
    public private(set) var proposal: Placed<ResolutionRecord>?
    public private(set) var outcome: Outcome?
    public private(set) var reversal = Reversal.none
    /// Of its last record so far; `nil` before the first.
    public private(set) var last: LSN?
    /// Whether the log had no record of it before.
    public private(set) var isAdopted = false
    /// Whether it had ended before, so that what it was then may be known no more.
    public private(set) var isReopened = false
    /// Whether an abort of it gave the request_id up: from then on it may be another's.
    public private(set) var hasReleasedRequest = false
    /// What the next record has to decide: a resolution or an adoption and its decision are one log transaction.
    private var awaitedDecision: Outcome?
    /// Whether records of it may be missing, so that what is not there proves nothing.
    public internal(set) var isPartial: Bool

    init(_ transaction: TransactionID, isPartial: Bool) {
        self.transaction = transaction
        self.isPartial = isPartial
    }

    /// Whether nothing is left to do: it has ended, and its records say that it has no open reversal.
    public var isFinished: Bool {
        guard let outcome else { return false }
        switch reversal {
        case .open: return false
        case .closed: return true
        // An ABORT that was trimmed may have had a task; then its closing is yet to come.
        case .none: return !(isPartial && outcome == .aborted && decision == .undecided)
        }
    }

    /// The abort that settled what becomes of the request_id; `nil` without one.
    public var abort: AbortRecord? {
        if case .abort(let abort) = decision { abort.record } else { nil }
    }

    /// Takes the next record in.
    ///
    /// - Returns: why it may not stand here; `nil` if it may. A record that may not is passed over, so that the first
    ///   decision stands.
    mutating func take(_ record: LogRecord, at lsn: LSN, _ writtenAt: WallTime) -> String? {
        defer { last = lsn }
        if let fault = awaitedFault(record) { return fault }
        switch record {
        case .serverStarted, .quarantineReleased, .broken, .reconciled: return nil
        case .begin(let begin): return take(begin: Placed(begin, lsn: lsn, writtenAt: writtenAt))
        case .adopted(let adoption):
            isAdopted = true
            awaitedDecision = adoption.outcome
            return take(begin: Placed(adoption.begin, lsn: lsn, writtenAt: writtenAt))
        case .commit(let commit): return take(commit: Placed(commit, lsn: lsn, writtenAt: writtenAt))
        case .abort(let abort): return take(abort: Placed(abort, lsn: lsn, writtenAt: writtenAt))
        case .acknowledged(let done):
            if outcome != nil { return "an acknowledgement after END" }
            if decision == .undecided, !isPartial { return "an acknowledgement before a decision" }
            if let fault = participantFault(done.participant) { return fault }
            acknowledged[done.participant] = done.proof
            return nil
        case .end(let end): return take(end: end)
        case .parked(let parked): return take(parked: Placed(parked, lsn: lsn, writtenAt: writtenAt))
        case .resolutionProposed(let order):
            if let fault = openFault("a proposal") { return fault }
            proposal = Placed(order, lsn: lsn, writtenAt: writtenAt)
            return nil
        case .resolved(let order): return take(resolution: order)
        case .reopened(let reopened): return take(reopening: Placed(reopened, lsn: lsn, writtenAt: writtenAt))
        case .reversalRefused(let refused):
            return changeReversal("a refusal") { $0.refusals = refused.refusals }
        case .reversalParked(let parked):
            return changeReversal("a parking") { $0.parkedReason = parked.reason }
        case .reversalReleased:
            return changeReversal("a release") {
                $0.parkedReason = nil
                $0.refusals = 0
            }
        case .reversalClosed:
            if let fault = reversalFault("a closing") { return fault }
            reversal = .closed
            return nil
        }
    }

    // MARK: BEGIN, decision, END

    private mutating func take(begin record: Placed<BeginRecord>) -> String? {
        if let begin { return "a second BEGIN, the first is at LSN \(begin.lsn)" }
        if let last { return "BEGIN after another record of its transaction, at LSN \(last)" }
        begin = record
        return nil
    }

    private mutating func take(end: EndRecord) -> String? {
        if outcome != nil { return "a second END" }
        switch (decision, end.outcome) {
        case (.undecided, _):
            if !isPartial { return "END without a decision" }
        case (.commit, .committed), (.abort, .aborted): break
        case (.commit(let commit), .aborted): return "END says aborted, the decision at LSN \(commit.lsn) is COMMIT"
        case (.abort(let abort), .committed): return "END says committed, the decision at LSN \(abort.lsn) is ABORT"
        }
        if let request = begin?.record.intent.requestID, request != end.requestID {
            return "END of the request_id \(end.requestID), BEGIN was of \(request)"
        }
        outcome = end.outcome
        return nil
    }

    private mutating func take(commit: Placed<CommitRecord>) -> String? {
        if let fault = decisionFault("COMMIT", .committed) { return fault }
        decision = .commit(commit)
        return nil
    }

    private mutating func take(abort: Placed<AbortRecord>) -> String? {
        if let fault = decisionFault("ABORT", .aborted) { return fault }
        if let task = abort.record.reversal, task.transaction != transaction {
            return "ABORT with a reversal of \(task.transaction)"
        }
        decision = .abort(abort)
        if abort.record.claim == .released { hasReleasedRequest = true }
        if let task = abort.record.reversal { reversal = .open(task) }
        return nil
    }

    private mutating func take(parked: Placed<ParkedRecord>) -> String? {
        if let fault = openFault("parked") { return fault }
        if let fault = participantFault(parked.record.participant) { return fault }
        parkings.removeAll { $0.record.participant == parked.record.participant }
        parkings.append(parked)
        return nil
    }

    /// A resolution may turn a decision round; then the new one is the next record.
    private mutating func decisionFault(_ name: String, _ outcome: Outcome) -> String? {
        if awaitedDecision == outcome {
            awaitedDecision = nil
            return nil
        }
        if self.outcome != nil { return "\(name) after END" }
        switch decision {
        case .undecided: return begin == nil && !isPartial ? "\(name) without BEGIN" : nil
        case .commit(let commit): return "\(name) after COMMIT at LSN \(commit.lsn)"
        case .abort(let abort): return "\(name) after ABORT at LSN \(abort.lsn)"
        }
    }

    /// Why a record may not stand here that needs a transaction under way.
    private func openFault(_ what: String) -> String? {
        if outcome != nil { return "\(what) after END" }
        return begin == nil && !isPartial ? "\(what) without BEGIN" : nil
    }

    private mutating func awaitedFault(_ record: LogRecord) -> String? {
        guard let awaited = awaitedDecision else { return nil }
        switch awaited {
        case .committed: if case .commit = record { return nil }
        case .aborted: if case .abort = record { return nil }
        }
        awaitedDecision = nil
        return isPartial ? nil : "what was resolved as \(awaited) has no record of that decision behind it"
    }

    private func participantFault(_ participant: Participant) -> String? {
        guard let begin, !begin.record.branches.contains(where: { $0.participant == participant }) else { return nil }
        return "\(participant) is no participant of its transaction"
    }

    // MARK: Orders and evidence

    /// As ``ActiveTransaction/resolving(_:now:continuity:)`` has it.
    private mutating func take(resolution: ResolutionRecord) -> String? {
        if let fault = openFault("a resolution") { return fault }
        let parked = parkings.map(\.record.participant)
        switch (decision, resolution.outcome) {
        case (.undecided, .committed):
            awaitedDecision = isPartial ? nil : .committed
            (acknowledged, reversal) = ([:], .none)
        case (.undecided, .aborted):
            awaitedDecision = isPartial ? nil : .aborted
            acknowledged = [:]
            accept(parked)
        case (.commit, .committed), (.abort, .aborted):
            if resolution.isForced {
                accept(parked)
            } else {
                for participant in parked where acknowledged[participant] != nil { acknowledged[participant] = .lost }
            }
        case (.commit, .aborted), (.abort, .committed):
            guard resolution.isForced else { return "a resolution that contradicts the decision without force" }
            awaitedDecision = resolution.outcome
            let databases = acknowledged.filter { $0.key != .clearing && $0.value != .lost }.map(\.key)
            acknowledged = [:]
            accept(databases)
            if resolution.outcome == .committed { reversal = .none }
        }
        parkings = []
        proposal = nil
        return nil
    }

    private mutating func accept(_ participants: [Participant]) {
        for participant in participants { acknowledged[participant] = .accepted }
    }

    /// As ``ActiveTransaction/reopened(_:parking:)`` has it; an ended transaction counts as acknowledged by all.
    private mutating func take(reopening: Placed<ReopenedRecord>) -> String? {
        if outcome == nil, !isPartial { return "reopened before END" }
        outcome = nil
        isReopened = true
        // With which proofs it goes on is not in the record.
        isPartial = true
        proposal = nil
        parkings = []
        acknowledged = [:]
        for branch in begin?.record.branches ?? [] { acknowledged[branch.participant] = .acknowledgement }
        let database = Participant.database(reopening.record.database)
        acknowledged[database] = nil
        if case .commit = decision { acknowledged[database] = .lost }
        if reopening.record.isParked {
            let parked = ParkedRecord(
                transaction: transaction, participant: database, evidence: reopening.record.evidence)
            parkings = [Placed(parked, lsn: reopening.lsn, writtenAt: reopening.writtenAt)]
        }
        return nil
    }

    // MARK: Reversals

    private mutating func changeReversal(_ what: String, _ change: (inout ReversalTask) -> Void) -> String? {
        if let fault = reversalFault(what) { return fault }
        guard case .open(var task) = reversal else { return nil }
        change(&task)
        reversal = .open(task)
        return nil
    }

    private func reversalFault(_ what: String) -> String? {
        switch (reversal, decision) {
        case (.open, _): nil
        case (.closed, _): "\(what) of a reversal that was closed before"
        case (.none, .undecided): isPartial ? nil : "\(what) of a reversal, without an ABORT"
        case (.none, .commit(let commit)): "\(what) of a reversal, the decision at LSN \(commit.lsn) is COMMIT"
        case (.none, .abort(let abort)): "\(what) of a reversal, the ABORT at LSN \(abort.lsn) has none"
        }
    }
}
