import Coordinator
import Payments

/// Records and identifiers that tests share. Everything about them is fixed, so that expectations can be written down.
enum Samples {
    static let log = LogID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)
    /// The low bits of every identifier are zero: no backoff is shortened by its spread.
    static let transaction = transactionID(1)
    static let timing = TransactionMachine.Timing(
        delivery: Backoff(base: Milliseconds(100), ceiling: Milliseconds(60_000)),
        log: Backoff(base: Milliseconds(1000), ceiling: Milliseconds(1000)))
    static let network = Branch(participant: .clearing)

    static func transactionID(_ number: UInt64) -> TransactionID { TransactionID(high: number, low: 0) }

    static func database(_ number: UInt8) -> DatabaseIndex { DatabaseIndex(rawValue: number) }

    /// The network, and one database with both rows or two with one each.
    static func branches(databases: Int) -> [Branch] {
        guard databases > 1 else {
            return [network, Branch(participant: .database(database(1)), role: [.payment, .merchantEntry])]
        }
        return [
            network, Branch(participant: .database(database(1)), role: .payment),
            Branch(participant: .database(database(2)), role: .merchantEntry),
        ]
    }

    static func intent(_ kind: OperationKind = .authorization, request: String = "order-1") -> PaymentIntent {
        guard let requestID = RequestID(request), let masked = MaskedPAN(masked: "411111******1111") else {
            preconditionFailure("the sample's own texts are valid")
        }
        return PaymentIntent(
            requestID: requestID, kind: kind, amount: Money(minorUnits: 1234, currency: .usDollar),
            merchant: .standard, maskedPAN: masked, panToken: KeyedDigest(keyID: 1, bytes: []),
            requestHash: KeyedDigest(keyID: 1, bytes: []),
            reference: kind == .authorization ? nil : RequestID("order-0"))
    }

    static func begin(
        _ transaction: TransactionID = transaction, kind: OperationKind = .authorization, databases: Int = 1,
        epoch: UInt64 = 1
    ) -> BeginRecord {
        BeginRecord(
            transaction: transaction, epoch: Epoch(rawValue: epoch), intent: intent(kind),
            branches: branches(databases: databases), deadline: WallTime(microseconds: 30_000_000))
    }

    static func durable<Record>(_ record: Record, lsn: UInt64 = 1) -> Durable<Record> {
        Durable(attestedByLog: record, lsn: LSN(rawValue: lsn), writtenAt: WallTime(microseconds: 0))
    }

    static func active(
        _ begin: BeginRecord, _ decision: ActiveTransaction.Decision = .undecided,
        acknowledged: [Participant: Proof] = [:], parked: ParkedRecord? = nil, lsn: UInt64 = 1
    ) -> ActiveTransaction {
        ActiveTransaction(
            begin: durable(begin, lsn: lsn), decision: decision, acknowledged: acknowledged,
            parkings: parked.map { [durable($0)] } ?? [])
    }

    static func commit(_ begin: BeginRecord) -> ActiveTransaction.Decision {
        .commit(durable(CommitRecord(transaction: begin.transaction, authorizationCode: "A1B2C3")))
    }

    static func abort(_ begin: BeginRecord, reversal: ReversalTask? = nil) -> ActiveTransaction.Decision {
        .abort(
            durable(
                AbortRecord(
                    transaction: begin.transaction, reason: .clearingUnavailable, claim: .declined,
                    reversal: reversal)))
    }

    static func reversal(_ transaction: TransactionID = transaction, createdAt: Int64 = 0) -> ReversalTask {
        ReversalTask(
            transaction: transaction, intent: intent(), createdAt: WallTime(microseconds: createdAt))
    }
}
