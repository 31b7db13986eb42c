/// Why a transaction is not resolved as ordered. Nothing was written.
public enum ResolutionRefusal: Error, Sendable, Hashable {
    /// It goes on by itself: only what waits for an operator, or what a broken log cannot tell, is resolved.
    case notParked
    /// The log has decided otherwise.
    case contradictsDecision(Outcome)
    /// It is not decided, and a database shows its row as committed.
    case contradictsWitness
    /// The payment's own database has committed, so the client was told APPROVED: no order makes that a lie.
    case wasApproved
    /// The payment's own database has rolled its row back, so there is nothing that a commit could mean.
    case hasNoRow
    /// The log has lost its tail, and evidence has not decided it yet.
    case awaitsEvidence
    /// The second person is the first one.
    case sameActor(String)

    /// Whether the same order with force would be taken.
    public var yieldsToForce: Bool {
        switch self {
        case .contradictsDecision, .contradictsWitness, .awaitsEvidence: true
        case .notParked, .wasApproved, .hasNoRow, .sameActor: false
        }
    }
}

/// What a resolution makes of a transaction.
public struct Resolving: Sendable, Hashable {
    public enum Decision: Sendable, Hashable {
        /// The logged decision stands; what did otherwise is asked again, or taken as it is.
        case asLogged
        case commit(CommitRecord)
        case abort(AbortRecord)
    }

    public let decision: Decision
    /// Who need not be told any more.
    public let acknowledged: [Participant: Proof]
    /// Whether an open reversal is void.
    public let dropsReversal: Bool
}

extension ActiveTransaction {
    /// Judges an order to resolve the transaction. Without force it may not contradict what is known; with force it may, and what
    /// participants did otherwise is taken as it is. What the client was told as APPROVED is never taken back.
    ///
    /// - Parameter now: for the age of the reversal task of an abort.
    public func resolving(
        _ order: ResolutionRecord, now: WallTime, continuity: LogContinuity
    ) throws(ResolutionRefusal) -> Resolving {
        guard isParked || (decision == .undecided && continuity.isBroken) else { throw .notParked }
        // Before the evidence is there a person may only insist.
        if order.warrant.authority == .order, !isParked, !order.isForced { throw .awaitsEvidence }
        // Evidence decides what is open; what waits for a person waits for a person.
        if order.warrant.authority == .evidence, isParked { throw .notParked }
        switch (decision, order.outcome) {
        case (.undecided, .committed):
            return Resolving(decision: .commit(commitRecord), acknowledged: [:], dropsReversal: true)
        case (.undecided, .aborted):
            guard !isParked || order.isForced else { throw .contradictsWitness }
            return Resolving(
                decision: .abort(abortRecord(now: now)), acknowledged: accepted(parkedParticipants),
                dropsReversal: false)
        case (.commit, .committed), (.abort, .aborted):
            let taken = order.isForced ? accepted(parkedParticipants) : lost(parkedParticipants)
            return Resolving(
                decision: .asLogged, acknowledged: acknowledged.merging(taken) { _, new in new }, dropsReversal: false)
        case (.commit, .aborted):
            // The network is told only after the payment's own database has committed.
            if acknowledged[.clearing] != nil { throw .wasApproved }
            if let own = begin.record.paymentDatabase, acknowledged[own] != nil { throw .wasApproved }
            guard order.isForced else { throw .contradictsDecision(.committed) }
            return Resolving(
                decision: .abort(abortRecord(now: now)), acknowledged: accepted(committedDatabases),
                dropsReversal: false)
        case (.abort, .committed):
            if let own = begin.record.paymentDatabase, acknowledged[own] != nil { throw .hasNoRow }
            guard order.isForced else { throw .contradictsDecision(.aborted) }
            return Resolving(
                decision: .commit(commitRecord), acknowledged: accepted(committedDatabases), dropsReversal: true)
        }
    }

    /// Takes what was judged.
    ///
    /// - Parameter decision: the one that the log has made durable, or ``decision`` where it stands.
    public func resolved(_ resolving: Resolving, decision: Decision) -> ActiveTransaction {
        ActiveTransaction(begin: begin, decision: decision, acknowledged: resolving.acknowledged)
    }

    private var commitRecord: CommitRecord { CommitRecord(transaction: transaction, authorizationCode: "") }

    private func abortRecord(now: WallTime) -> AbortRecord {
        AbortRecord(transaction: transaction, reason: .commitFailed, begin: begin.record, now: now)
    }

    private func accepted(_ participants: Set<Participant>) -> [Participant: Proof] {
        Dictionary(uniqueKeysWithValues: participants.map { ($0, Proof.accepted) })
    }

    /// Who had proven what they are parked for having lost: they are asked again.
    private func lost(_ participants: Set<Participant>) -> [Participant: Proof] {
        Dictionary(uniqueKeysWithValues: participants.filter { acknowledged[$0] != nil }.map { ($0, Proof.lost) })
    }

    /// Databases that have carried out the decision that is now turned round.
    private var committedDatabases: Set<Participant> {
        Set(proven.keys.filter { $0 != .clearing })
    }
}

extension AbortRecord {
    /// An abort of a transaction in which anybody may hold anything.
    init(transaction: TransactionID, reason: DeclineReason, begin: BeginRecord, now: WallTime) {
        let hasNetwork = begin.branches.contains { $0.participant == .clearing }
        let task = ReversalTask(transaction: transaction, intent: begin.intent, createdAt: now)
        self.init(transaction: transaction, reason: reason, claim: .declined, reversal: hasNetwork ? task : nil)
    }
}

extension AdoptionRecord {
    /// The record of the decision that follows an adoption.
    public func decision(now: WallTime) -> Resolving.Decision {
        switch outcome {
        case .committed: .commit(CommitRecord(transaction: transaction, authorizationCode: ""))
        case .aborted:
            .abort(AbortRecord(transaction: transaction, reason: .commitFailed, begin: begin, now: now))
        }
    }

    /// Whether nothing but the transaction's id is known.
    public var isNameless: Bool { begin.isNameless }
}

extension BeginRecord {
    /// Whether nothing but the transaction's id is known: it was adopted so, and stands in for the request_id.
    public var isNameless: Bool { intent.requestID.text == transaction.description }

    /// The database of the payment's row.
    public var paymentDatabase: Participant? {
        branches.first { $0.role.contains(.payment) }?.participant
    }
}

extension ActiveTransaction {
    /// An ended transaction as it is after a database has gone back behind its end.
    public func reopened(_ record: ReopenedRecord, parking: Durable<ParkedRecord>?) -> ActiveTransaction {
        var again = self
        if case .commit = decision {
            again.acknowledged[.database(record.database)] = .lost
        } else {
            again.acknowledged[.database(record.database)] = nil
        }
        if let parking { again.park(parking) }
        return again
    }
}
