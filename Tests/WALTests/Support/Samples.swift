import Coordinator
import Payments

/// Payments for tests: everything follows from a number, so that two runs write the same bytes.
enum Sample {
    static let log = LogID(high: 0x1122_3344_5566_7788, low: 0x99AA_BBCC_DDEE_FF00)
    static let startedAt = WallTime(microseconds: 1_700_000_000_000_000)

    static func transaction(_ number: UInt64) -> TransactionID {
        TransactionID(high: 0x0190_0000_0000_0000 | number, low: ~number)
    }

    static func intent(_ number: UInt64, request: String? = nil, reference: String? = nil) -> PaymentIntent {
        guard let id = RequestID(request ?? "request-\(number)"), let merchant = MerchantID("MERCHANT001"),
            let masked = MaskedPAN(masked: "411111******1111")
        else { preconditionFailure("a sample is not well formed") }
        let digest = (0..<32).map { UInt8(truncatingIfNeeded: number &+ UInt64($0)) }
        return PaymentIntent(
            requestID: id, kind: reference == nil ? .authorization : .capture,
            amount: Money(minorUnits: Int64(1000 + number % 1000), currency: .usDollar), merchant: merchant,
            maskedPAN: masked, panToken: KeyedDigest(keyID: 7, bytes: digest),
            requestHash: KeyedDigest(keyID: 7, bytes: digest.reversed()),
            reference: reference.flatMap(RequestID.init(_:)))
    }

    static let branches = [
        Branch(participant: .clearing),
        Branch(participant: .database(DatabaseIndex(rawValue: 1)), role: .payment),
        Branch(participant: .database(DatabaseIndex(rawValue: 2)), role: .merchantEntry),
    ]

    static func begin(_ number: UInt64, request: String? = nil) -> BeginRecord {
        BeginRecord(
            transaction: transaction(number), epoch: Epoch(rawValue: 1), intent: intent(number, request: request),
            branches: branches, deadline: WallTime(microseconds: startedAt.microseconds + 30_000_000))
    }

    static func commit(_ number: UInt64) -> CommitRecord {
        CommitRecord(transaction: transaction(number), authorizationCode: "A1B2C3")
    }

    static func reversal(_ number: UInt64) -> ReversalTask {
        ReversalTask(transaction: transaction(number), intent: intent(number), createdAt: startedAt)
    }

    static func abort(
        _ number: UInt64, claim: ClaimDisposition = .declined, reversed: Bool = true
    ) -> AbortRecord {
        AbortRecord(
            transaction: transaction(number), reason: .clearingDeclined, claim: claim,
            reversal: reversed ? reversal(number) : nil)
    }

    static func end(_ number: UInt64, _ outcome: Outcome, request: String? = nil) -> EndRecord {
        EndRecord(
            transaction: transaction(number), requestID: intent(number, request: request).requestID, outcome: outcome)
    }

    static let warrant = Warrant(.order, actor: "alice", reason: "agreed with the acquirer")

    static func resolution(
        _ number: UInt64, _ outcome: Outcome, isForced: Bool = false, by actor: String = "alice"
    ) -> ResolutionRecord {
        ResolutionRecord(
            transaction: transaction(number), outcome: outcome, isForced: isForced,
            warrant: Warrant(.order, actor: actor, reason: "agreed with the acquirer"))
    }

    static func park(_ number: UInt64, evidence: String = "the hold expired") -> ParkedRecord {
        ParkedRecord(transaction: transaction(number), participant: .clearing, evidence: evidence)
    }

    static func acknowledged(_ number: UInt64, _ participant: Participant = .clearing) -> AcknowledgedRecord {
        AcknowledgedRecord(transaction: transaction(number), participant: participant, proof: .acknowledgement)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed gives the same numbers everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
