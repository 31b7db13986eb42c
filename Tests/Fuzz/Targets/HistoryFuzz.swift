import Coordinator
import Payments

/// A whole history: records that may stand in any order, with gaps, as a damaged log, a bug or another program may leave them.
enum HistoryFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        var choices = Choices(input)
        var check = HistoryCheck(rememberedMin: 1 + choices.below(4))
        var histories: [TransactionID: [Placed<LogRecord>]] = [:]
        var violated: Set<TransactionID> = []
        var ended: [TransactionID: Outcome] = [:]
        var lsn: UInt64 = 0
        while !choices.isOver {
            lsn += choices.below(8) == 7 ? 2 : 1
            let place = LSN(rawValue: lsn)
            let record = Self.record(&choices)
            check.advance(to: place) { _ throws(Never) in true }
            if choices.below(16) == 15 {
                check.passUnreadable(at: place)
                continue
            }
            let writtenAt = WallTime(microseconds: Int64(bitPattern: choices.number()))
            let taken = check.take(record, at: place, writtenAt: writtenAt)
            if let violation = taken.violation {
                try hold(violation.lsn == place && !violation.reason.isEmpty, "a violation without place or reason")
                if let transaction = violation.transaction { violated.insert(transaction) }
            }
            guard let transaction = record.transaction else { continue }
            histories[transaction, default: []].append(Placed(record, lsn: place, writtenAt: writtenAt))
            if let trace = taken.ended {
                try hold(trace.outcome != nil, "an end without an outcome")
                let isReopened = histories[transaction]?.contains {
                    if case .reopened = $0.record { true } else { false }
                }
                try hold(
                    isReopened == true || violated.contains(transaction) || ended[transaction] == nil
                        || ended[transaction] == trace.outcome, "a decision changed")
                ended[transaction] = trace.outcome
            }
            try RecordWordsCheck.check(record, lsn: place, writtenAt: writtenAt)
        }
        for (transaction, history) in histories {
            try replay(transaction, history, isSound: !violated.contains(transaction) && check.lastMissing == nil)
        }
    }

    /// What is shown of one transaction agrees with what the check of the whole says of it.
    private static func replay(
        _ transaction: TransactionID, _ history: [Placed<LogRecord>], isSound: Bool
    ) throws {
        guard let replay = HistoryReplay(of: transaction, history) else {
            throw Finding(description: "a history that is there is not shown")
        }
        try hold(!replay.trace.stage.rawValue.isEmpty, "a stage without a name")
        try hold(Set(replay.trace.open).isSubset(of: participants(history)), "an open participant that is none")
        let isReopened = history.contains { if case .reopened = $0.record { true } else { false } }
        if isSound, !isReopened, case .begin? = history.first?.record {
            try hold(
                replay.faults.isEmpty, "the check of the whole log finds nothing where the history of one has faults")
        }
    }

    private static func participants(_ history: [Placed<LogRecord>]) -> Set<Participant> {
        var found: Set<Participant> = []
        for place in history {
            switch place.record {
            case .begin(let begin): found.formUnion(begin.branches.map(\.participant))
            case .adopted(let adoption): found.formUnion(adoption.begin.branches.map(\.participant))
            default: break
            }
        }
        return found
    }

    // MARK: Records of choices

    private static func record(_ choices: inout Choices) -> LogRecord {
        let id = TransactionID(high: 1, low: UInt64(choices.below(3)))
        let participant = choices.pick([Participant.clearing, .database(DatabaseIndex(rawValue: 1))])
        switch choices.below(18) {
        case 0: return .begin(begin(id, &choices))
        case 1: return .commit(CommitRecord(transaction: id, authorizationCode: "A1B2C3"))
        case 2: return .abort(abort(id, &choices))
        case 3:
            return .acknowledged(
                AcknowledgedRecord(transaction: id, participant: participant, proof: choices.pick(Proof.allCases)))
        case 4:
            return .end(
                EndRecord(transaction: id, requestID: intent().requestID, outcome: choices.pick(Outcome.allCases)))
        case 5: return .parked(ParkedRecord(transaction: id, participant: participant, evidence: "why"))
        case 6: return .reversalRefused(ReversalRefusedRecord(transaction: id, refusals: choices.below(9), reason: ""))
        case 7: return .reversalClosed(ReversalClosedRecord(transaction: id))
        case 8: return .reversalParked(ReversalParkedRecord(transaction: id, reason: "why"))
        case 9: return .resolutionProposed(resolution(id, &choices))
        case 10: return .resolved(resolution(id, &choices))
        case 11:
            return .adopted(
                AdoptionRecord(
                    begin: begin(id, &choices), outcome: choices.pick(Outcome.allCases), warrant: warrant(&choices)))
        case 12:
            return .reopened(
                ReopenedRecord(
                    transaction: id, database: DatabaseIndex(rawValue: 1), isParked: choices.flag(), evidence: "why"))
        case 13: return .reversalReleased(ReversalReleasedRecord(transaction: id, warrant: warrant(&choices)))
        default: return recordOfLog(&choices)
        }
    }

    private static func recordOfLog(_ choices: inout Choices) -> LogRecord {
        switch choices.below(4) {
        case 0:
            return .serverStarted(
                FencePair(epoch: Epoch(rawValue: choices.number()), incarnation: Incarnation(rawValue: 1)))
        case 1:
            return .quarantineReleased(
                QuarantineReleasedRecord(
                    number: choices.number(), wasRestored: choices.flag(), warrant: warrant(&choices)))
        case 2:
            return .broken(
                LogBreak(
                    cause: choices.pick(LogBreak.Cause.allCases), firstLostEpoch: Epoch(rawValue: choices.number()),
                    at: WallTime(microseconds: Int64(bitPattern: choices.number()))))
        default: return .reconciled(warrant(&choices))
        }
    }

    private static func begin(_ id: TransactionID, _ choices: inout Choices) -> BeginRecord {
        var branches = [Branch(participant: .clearing)]
        if choices.flag() {
            branches.append(
                Branch(participant: .database(DatabaseIndex(rawValue: 1)), role: [.payment, .merchantEntry]))
        }
        return BeginRecord(
            transaction: id, epoch: Epoch(rawValue: choices.number()), intent: intent(), branches: branches,
            deadline: WallTime(microseconds: Int64(bitPattern: choices.number())))
    }

    private static func abort(_ id: TransactionID, _ choices: inout Choices) -> AbortRecord {
        let task = ReversalTask(transaction: id, intent: intent(), createdAt: WallTime(microseconds: 1))
        return AbortRecord(
            transaction: id, reason: choices.pick(DeclineReason.allCases),
            claim: choices.pick([.declined, .released, .madeBy(TransactionID(high: 9, low: 9))]),
            reversal: choices.flag() ? task : nil)
    }

    private static func warrant(_ choices: inout Choices) -> Warrant {
        Warrant(choices.pick(Authority.allCases), actor: choices.pick(["alice", "bob"]), reason: "why")
    }

    private static func resolution(_ id: TransactionID, _ choices: inout Choices) -> ResolutionRecord {
        ResolutionRecord(
            transaction: id, outcome: choices.pick(Outcome.allCases), isForced: choices.flag(),
            warrant: warrant(&choices))
    }

    private static func intent() -> PaymentIntent {
        guard let requestID = RequestID("order-1"), let masked = MaskedPAN(masked: "411111******1111") else {
            preconditionFailure("the texts of the sample are valid")
        }
        let digest = KeyedDigest(keyID: 1, bytes: [1])
        return PaymentIntent(
            requestID: requestID, kind: .authorization, amount: Money(minorUnits: 1234, currency: .usDollar),
            merchant: .standard, maskedPAN: masked, panToken: digest, requestHash: digest, reference: nil)
    }
}
