package import Coordinator
package import Payments
import WAL

/// What the steps of a workload write: everything follows from its seed and the payment's number, so that whoever knows the events
/// knows the bytes.
package struct Content: Sendable, Hashable {
    package let seed: UInt64
    /// The longest text of a record, bytes.
    package let textBytesMax: Int

    package init(seed: UInt64, textBytesMax: Int) {
        self.seed = seed
        self.textBytesMax = textBytesMax
    }

    package var log: LogID {
        var numbers = SeededNumbers(seed, 0x106)
        return LogID(high: numbers.next(), low: numbers.next())
    }

    package static let participants: [Participant] = [.clearing, .database(first), .database(second)]
    package static let first = DatabaseIndex(rawValue: 1)
    package static let second = DatabaseIndex(rawValue: 2)

    /// As a server makes them: 48 bits of milliseconds first.
    package func transaction(_ number: UInt64) -> TransactionID {
        var numbers = SeededNumbers(seed, number, 1)
        return TransactionID(high: (1_700_000_000_000 + number) << 16 | numbers.next() & 0xFFFF, low: numbers.next())
    }

    /// A payment behind one whose plan says so comes under the same request_id.
    package func request(_ number: UInt64) -> RequestID {
        let own = number > 1 && PaymentPlan.kind(number - 1, seed: seed).sharesRequest ? number - 1 : number
        guard let request = RequestID("pay-\(seed)-\(own)") else {
            preconditionFailure("a request_id of the workload is not well formed")
        }
        return request
    }

    package func intent(_ number: UInt64) -> PaymentIntent {
        guard let merchant = MerchantID("MERCHANT\(number % 7)"),
            let masked = MaskedPAN(masked: "400000******\(1000 + number % 9000)")
        else { preconditionFailure("a payment of the workload is not well formed") }
        var numbers = SeededNumbers(seed, number, 2)
        let digest = (0..<32).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
        return PaymentIntent(
            requestID: request(number), kind: .authorization,
            amount: Money(minorUnits: Int64(1 + numbers.below(1_000_000)), currency: .usDollar), merchant: merchant,
            maskedPAN: masked, panToken: KeyedDigest(keyID: 1, bytes: digest),
            requestHash: KeyedDigest(keyID: 1, bytes: digest.reversed()), reference: nil)
    }

    package func begin(_ number: UInt64, epoch: Epoch) -> BeginRecord {
        BeginRecord(
            transaction: transaction(number), epoch: epoch, intent: intent(number),
            branches: [
                Branch(participant: .clearing), Branch(participant: .database(Self.first), role: .payment),
                Branch(participant: .database(Self.second), role: .merchantEntry),
            ], deadline: time(number))
    }

    package func commit(_ number: UInt64) -> CommitRecord {
        CommitRecord(transaction: transaction(number), authorizationCode: String(text(number, 3).prefix(12)))
    }

    package func abort(_ number: UInt64, _ shape: Step.AbortShape) -> AbortRecord {
        let claim: ClaimDisposition =
            switch shape {
            case .reversed, .clean: .declined
            case .released: .released
            case .made: .madeBy(transaction(max(1, number - 1)))
            }
        let task = ReversalTask(transaction: transaction(number), intent: intent(number), createdAt: time(number))
        return AbortRecord(
            transaction: transaction(number), reason: shape == .clean ? .clearingDeclined : .clearingUnavailable,
            claim: claim, reversal: shape == .clean ? nil : task)
    }

    package func acknowledged(_ number: UInt64, _ participant: Participant) -> AcknowledgedRecord {
        let proofs: [Proof] = [.acknowledgement, .acknowledgement, .witness]
        return AcknowledgedRecord(
            transaction: transaction(number), participant: participant, proof: proofs[Int(number % 3)])
    }

    package func end(_ number: UInt64, _ outcome: Outcome) -> EndRecord {
        EndRecord(transaction: transaction(number), requestID: request(number), outcome: outcome)
    }

    package func park(_ number: UInt64, _ participant: Participant) -> ParkedRecord {
        ParkedRecord(transaction: transaction(number), participant: participant, evidence: text(number, 4))
    }

    package func resolution(_ number: UInt64, _ outcome: Outcome) -> ResolutionRecord {
        ResolutionRecord(transaction: transaction(number), outcome: outcome, isForced: false, warrant: warrant(number))
    }

    package func warrant(_ number: UInt64) -> Warrant {
        Warrant(
            .order, actor: "operator-\(number % 5)", reason: String(text(number, 5).prefix(LogLimits.reasonBytesMax)))
    }

    package func refusal(_ number: UInt64, _ count: Int) -> ReversalRefusedRecord {
        ReversalRefusedRecord(
            transaction: transaction(number), refusals: count,
            reason: String(text(number, 6 + UInt64(count)).prefix(LogLimits.reasonBytesMax)))
    }

    package func parkedReversal(_ number: UInt64) -> ReversalParkedRecord {
        ReversalParkedRecord(
            transaction: transaction(number), reason: String(text(number, 5).prefix(LogLimits.reasonBytesMax)))
    }

    package func identity(_ database: DatabaseIndex) -> DatabaseIdentity {
        DatabaseIdentity(systemIdentifier: 7_000_000_000 + UInt64(database.rawValue), databaseOID: 16_384)
    }

    package func position(_ number: UInt64) -> DatabasePosition {
        DatabasePosition(timeline: 1, walBytes: number << 12)
    }

    private func time(_ number: UInt64) -> WallTime {
        WallTime(microseconds: 1_700_000_000_000_000 + Int64(number) * 1_000)
    }

    /// Letters only, up to the workload's size.
    private func text(_ number: UInt64, _ purpose: UInt64) -> String {
        var numbers = SeededNumbers(seed, number, purpose, 9)
        let count = 1 + numbers.below(textBytesMax)
        return String(decoding: (0..<count).map { _ in UInt8(97 + numbers.below(26)) }, as: UTF8.self)
    }
}
