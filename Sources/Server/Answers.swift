import Assembly
import Coordinator
import Payments
import Runtime
import Telemetry

/// The bodies that clients are sent, key by key as the wire contract has them.
enum Answers {
    /// - Parameter madeRequestID: the request_id that the server made because the client named none; it is returned.
    static func body(of reply: Reply, madeRequestID: RequestID?) -> String {
        let made = madeRequestID.map { #","request_id":"\#($0)"}"# } ?? "}"
        switch reply.answer {
        case .approved(let transaction): return approved(transaction, isRepeat: reply.isRepeat) + made
        // The payment was made, by another attempt: to this client that is the first one's outcome.
        case .madeBy(let transaction): return approved(transaction, isRepeat: true) + made
        case .declined(let reason, let transaction):
            return #"{"status":"DECLINED","reason":"\#(reason.wireName)""# + repeated(reply.isRepeat)
                + #","txn_id":"\#(transaction)""# + made
        case .refused(let reason): return declined(reason)
        case .pending(let transaction): return #"{"status":"PENDING","txn_id":"\#(transaction)""# + made
        }
    }

    /// A refusal that claims nothing.
    static func declined(_ reason: DeclineReason) -> String {
        #"{"status":"DECLINED","reason":"\#(reason.wireName)"}"#
    }

    private static func approved(_ transaction: TransactionID, isRepeat: Bool) -> String {
        #"{"status":"APPROVED""# + repeated(isRepeat) + #","txn_id":"\#(transaction)""#
    }

    private static func repeated(_ isRepeat: Bool) -> String { isRepeat ? #","idempotent":true"# : "" }

    static func payment(_ payment: PaymentView) -> String {
        let members: [(String, String?)] = [
            ("request_id", payment.requestID), ("amount", payment.amount), ("status", payment.status),
            ("currency", payment.currency), ("txn_id", payment.transaction), ("type", payment.kind),
            ("pan", payment.maskedPAN),
        ]
        let texts = members.compactMap { key, value in value.map { "\"\(key)\":\(JSONText.quoted($0))" } }
        return "{\(texts.joined(separator: ","))}"
    }
}
