import Coordinator
import Payments

@testable import WAL

/// Random records and states from a seed, within what their fields allow.
struct RandomValues {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// Edges more often than chance has it.
    mutating func number() -> UInt64 {
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: 0
        case 1: .max
        case 2: UInt64(Int64.max)
        default: generator.next()
        }
    }

    mutating func text(_ alphabet: [Character], _ lengths: ClosedRange<Int>) -> String {
        String((0..<Int.random(in: lengths, using: &generator)).map { _ in pick(alphabet) })
    }

    mutating func prose(bytesMax: Int) -> String {
        clip(text(Array("abc \u{E9}\u{20AC}\u{1F4B3}\n\"\\\0"), 0...bytesMax), bytesMax)
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: 0..<elements.count, using: &generator)]
    }

    mutating func maybe<Value>(_ make: (inout RandomValues) -> Value) -> Value? {
        Bool.random(using: &generator) ? make(&self) : nil
    }

    mutating func transaction() -> TransactionID { TransactionID(high: number(), low: number()) }
    mutating func time() -> WallTime { WallTime(microseconds: Int64(bitPattern: number())) }
    mutating func pair() -> FencePair {
        FencePair(epoch: Epoch(rawValue: number()), incarnation: Incarnation(rawValue: number()))
    }

    mutating func participant() -> Participant {
        Bool.random(using: &generator)
            ? .clearing : .database(DatabaseIndex(rawValue: UInt8.random(in: .min ... .max, using: &generator)))
    }

    mutating func digest() -> KeyedDigest {
        let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return KeyedDigest(keyID: UInt32.random(in: .min ... .max, using: &generator), bytes: bytes)
    }

    mutating func requestID() -> RequestID {
        guard let id = RequestID(text(Array("!09AZaz~-_"), 1...64)) else { preconditionFailure("not a request_id") }
        return id
    }

    mutating func intent() -> PaymentIntent {
        let stars = Int.random(in: 2...9, using: &generator)
        guard let merchant = MerchantID(text(Array(" !MERCHANT~"), 1...64)),
            let masked = MaskedPAN(masked: "400000" + String(repeating: "*", count: stars) + "1234")
        else { preconditionFailure("not a merchant or a masked card number") }
        return PaymentIntent(
            requestID: requestID(), kind: pick(OperationKind.allCases),
            amount: Money(minorUnits: Int64(bitPattern: number()), currency: .usDollar), merchant: merchant,
            maskedPAN: masked, panToken: digest(), requestHash: digest(), reference: maybe { $0.requestID() })
    }

    mutating func begin(_ transaction: TransactionID) -> BeginRecord {
        let branches = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
            Branch(
                participant: participant(),
                role: BranchRole(rawValue: UInt8.random(in: 0...3, using: &generator)))
        }
        return BeginRecord(
            transaction: transaction, epoch: Epoch(rawValue: number()), intent: intent(), branches: branches,
            deadline: time())
    }

    mutating func task(_ transaction: TransactionID) -> ReversalTask {
        ReversalTask(
            transaction: transaction, intent: intent(), createdAt: time(),
            refusals: Int(UInt32.random(in: .min ... .max, using: &generator)),
            parkedReason: maybe { $0.prose(bytesMax: LogLimits.reasonBytesMax) })
    }

    mutating func claim() -> ClaimDisposition { pick([.declined, .released, .madeBy(transaction())]) }

    mutating func abort(_ transaction: TransactionID) -> AbortRecord {
        AbortRecord(
            transaction: transaction, reason: pick(DeclineReason.allCases), claim: claim(),
            reversal: maybe { $0.task(transaction) })
    }

    mutating func commit(_ transaction: TransactionID) -> CommitRecord {
        CommitRecord(
            transaction: transaction, authorizationCode: prose(bytesMax: LogLimits.authorizationCodeBytesMax))
    }

    mutating func parked(_ transaction: TransactionID) -> ParkedRecord {
        ParkedRecord(
            transaction: transaction, participant: participant(),
            evidence: prose(bytesMax: LogLimits.evidenceBytesMax))
    }

    mutating func record() -> LogRecord {
        let id = transaction()
        switch Int.random(in: 0..<18, using: &generator) {
        case 0: return .serverStarted(pair())
        case 1: return .begin(begin(id))
        case 2: return .commit(commit(id))
        case 3: return .abort(abort(id))
        case 4:
            return .acknowledged(
                AcknowledgedRecord(transaction: id, participant: participant(), proof: pick(Proof.allCases)))
        case 5: return .end(EndRecord(transaction: id, requestID: requestID(), outcome: pick(Outcome.allCases)))
        case 6: return .parked(parked(id))
        case 7:
            let refusals = Int(UInt32.random(in: .min ... .max, using: &generator))
            return .reversalRefused(
                ReversalRefusedRecord(
                    transaction: id, refusals: refusals, reason: prose(bytesMax: LogLimits.reasonBytesMax)))
        case 8: return .reversalClosed(ReversalClosedRecord(transaction: id))
        case 9:
            return .reversalParked(
                ReversalParkedRecord(transaction: id, reason: prose(bytesMax: LogLimits.reasonBytesMax)))
        default: return intervention(id)
        }
    }

    private mutating func intervention(_ id: TransactionID) -> LogRecord {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: return .resolutionProposed(resolution(id))
        case 1: return .resolved(resolution(id))
        case 2:
            return .adopted(AdoptionRecord(begin: begin(id), outcome: pick(Outcome.allCases), warrant: warrant()))
        case 3:
            return .reopened(
                ReopenedRecord(
                    transaction: id,
                    database: DatabaseIndex(rawValue: UInt8.random(in: .min ... .max, using: &generator)),
                    isParked: pick([true, false]), evidence: prose(bytesMax: LogLimits.evidenceBytesMax)))
        case 4: return .reversalReleased(ReversalReleasedRecord(transaction: id, warrant: warrant()))
        case 5:
            return .quarantineReleased(
                QuarantineReleasedRecord(number: number(), wasRestored: pick([true, false]), warrant: warrant()))
        case 6:
            return .broken(
                LogBreak(
                    cause: pick(LogBreak.Cause.allCases), firstLostEpoch: Epoch(rawValue: number()), at: time()))
        default: return .reconciled(warrant())
        }
    }

    mutating func warrant() -> Warrant {
        Warrant(
            pick(Authority.allCases), actor: prose(bytesMax: LogLimits.actorBytesMax),
            reason: prose(bytesMax: LogLimits.evidenceBytesMax))
    }

    mutating func resolution(_ id: TransactionID) -> ResolutionRecord {
        ResolutionRecord(
            transaction: id, outcome: pick(Outcome.allCases), isForced: pick([true, false]), warrant: warrant())
    }

    mutating func durable<Record>(_ record: Record) -> Durable<Record> {
        Durable(attestedByLog: record, lsn: LSN(rawValue: number()), writtenAt: time())
    }

    mutating func active() -> ActiveTransaction {
        let id = transaction()
        let decision: ActiveTransaction.Decision
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: decision = .undecided
        case 1: decision = .commit(durable(commit(id)))
        default: decision = .abort(durable(abort(id)))
        }
        var acknowledged: [Participant: Proof] = [:]
        for _ in 0..<Int.random(in: 0...4, using: &generator) { acknowledged[participant()] = pick(Proof.allCases) }
        return ActiveTransaction(
            begin: durable(begin(id)), decision: decision, acknowledged: acknowledged,
            parkings: (0..<Int.random(in: 0...3, using: &generator)).map { _ in durable(parked(id)) },
            proposal: maybe { $0.durable($0.resolution(id)) })
    }

    mutating func requestEntry() -> RequestEntry {
        let status: RequestEntry.Status = pick([
            .preparing, .committing, .approved, .declined(pick(DeclineReason.allCases)), .madeBy(transaction()),
            .heuristic,
        ])
        return RequestEntry(transaction: transaction(), intent: intent(), status: status)
    }

    mutating func fence() -> DatabaseFence {
        DatabaseFence(
            database: DatabaseIndex(rawValue: UInt8.random(in: .min ... .max, using: &generator)),
            identity: maybe {
                DatabaseIdentity(
                    systemIdentifier: $0.number(),
                    databaseOID: UInt32.random(in: .min ... .max, using: &$0.generator))
            },
            confirmed: maybe { $0.pair() },
            attempted: (0..<Int.random(in: 0...4, using: &generator)).map { _ in pair() },
            former: (0..<Int.random(in: 0...4, using: &generator)).map { _ in pair() },
            position: maybe {
                DatabasePosition(
                    timeline: UInt32.random(in: .min ... .max, using: &$0.generator), walBytes: $0.number())
            }, takesOver: pick([true, false]))
    }

    /// The payload of some good value, without its frame.
    mutating func payload() -> [UInt8] {
        let bytes =
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: RecordCodec.encode(record(), lsn: LSN(rawValue: 1), writtenAt: time())
            case 1: StateCodec.encode(active())
            case 2: StateCodec.encode(requestEntry())
            case 3: StateCodec.encode(task(transaction()))
            default: MetaCodec.encode(fence())
            }
        return Array(bytes.dropFirst(Envelope.headerBytes))
    }
}
