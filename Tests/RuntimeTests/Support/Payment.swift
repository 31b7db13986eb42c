import Coordinator
import Payments
import Runtime

/// A payment request of a test.
struct Payment: Sendable {
    var request: String
    /// US cents.
    var amount: Int64 = 1234
    /// Which card: they differ in their tokens.
    var card = 1
    var merchant = "M1"
    var kind = OperationKind.authorization
    /// Whether the client named the request_id.
    var isNamed = true
    /// What the checks of card number and amount refuse it for.
    var fault: DeclineReason?

    init(_ request: String) { self.request = request }

    func with(_ change: (inout Payment) -> Void) -> Payment {
        var other = self
        change(&other)
        return other
    }

    var requestID: RequestID {
        guard let requestID = RequestID(request) else { preconditionFailure("a request_id of the test is malformed") }
        return requestID
    }

    private var hash: KeyedDigest {
        KeyedDigest(keyID: 7, bytes: Array("\(kind)/\(amount)/\(card)/\(merchant)".utf8))
    }

    var intent: PaymentIntent {
        guard let pan = PAN("4111111111111111"), let merchant = MerchantID(merchant) else {
            preconditionFailure("a payment of the test is malformed")
        }
        return PaymentIntent(
            requestID: requestID, kind: kind, amount: Money(minorUnits: amount, currency: .usDollar),
            merchant: merchant, maskedPAN: pan.masked, panToken: KeyedDigest(keyID: 7, bytes: [UInt8(card)]),
            requestHash: hash, reference: kind == .authorization ? nil : requestID)
    }

    var submission: Submission {
        Submission(
            requestID: requestID, isNamedByClient: isNamed, requestHash: hash,
            intent: fault.map { .failure(.init($0)) } ?? .success(intent))
    }

    /// A BEGIN as an earlier server wrote it.
    ///
    /// - Parameter number: the transaction's.
    func begin(_ number: UInt64, databases: Int = 1, epoch: Epoch = World.earlierEpoch) -> BeginRecord {
        BeginRecord(
            transaction: TransactionID(high: 1, low: number), epoch: epoch, intent: intent,
            branches: Placement.branches(of: intent, databases: databases), deadline: WallTime(microseconds: 0))
    }

    /// One whose row and merchant's entry live in different databases of two, the row in the first.
    static let acrossTwoDatabases: Payment = {
        for number in 0..<10_000 {
            let payment = Payment("across-\(number)").with { $0.merchant = "M\(number % 7)" }
            let branches = Placement.branches(of: payment.intent, databases: 2)
            if branches.count == 3, branches[1].participant == .database(DatabaseIndex(rawValue: 1)) { return payment }
        }
        preconditionFailure("no request_id among ten thousand is placed so")
    }()
}
