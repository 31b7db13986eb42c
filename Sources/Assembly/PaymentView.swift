import Coordinator
public import Payments
import PostgresParticipant
import Runtime

/// A payment as those who ask for it by request_id are shown it: from the log or, after the log's retention, from the database.
public struct PaymentView: Sendable, Equatable {
    public let requestID: String
    /// Decimal text with the currency's decimals.
    public let amount: String
    public let currency: String
    /// `APPROVED`, `DECLINED`, `PENDING` or `HEURISTIC`.
    public let status: String
    /// `nil` for a row of a predecessor of this program.
    public let transaction: String?
    public let kind: String
    public let maskedPAN: String?

    init(_ status: PaymentStatus) {
        requestID = status.intent.requestID.text
        amount = status.intent.amount.decimalText
        currency = status.intent.amount.currency.code
        self.status = status.state.rawValue
        transaction = status.transaction.description
        kind = status.intent.kind.wireName
        maskedPAN = status.intent.maskedPAN.text
    }

    init(_ row: PaymentRow) {
        requestID = row.requestID
        amount = row.amount
        currency = row.currency
        status = row.status
        transaction = row.transaction?.description
        kind = row.kind
        maskedPAN = row.maskedPAN
    }
}

extension Node {
    /// What is known of a request_id; `nil` if neither log nor database knows it. `completion` is called on a thread of ours.
    public func payment(
        _ request: RequestID, completion: @escaping @Sendable (Result<PaymentView?, any Error>) -> Void
    ) {
        coordinator.status(of: request) { [databases] result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let status?): completion(.success(PaymentView(status)))
            case .success(nil):
                let index = Placement.paymentDatabase(of: request, databases: databases.count)
                databases[Int(index.rawValue) - 1].payment(request) { row in
                    completion(row.map { $0.map(PaymentView.init) }.mapError { $0 as any Error })
                }
            }
        }
    }
}
