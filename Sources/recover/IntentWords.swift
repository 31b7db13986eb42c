import Coordinator
import Payments

/// A payment in words, also one of which nothing but its txn_id is known.
struct IntentWords {
    let amount, card, merchant, request: String

    init(_ intent: PaymentIntent, of transaction: TransactionID) {
        // What an adoption makes up where no database shows the payment's row: none of it is a fact.
        let isNameless = intent == .nameless(transaction)
        amount = isNameless ? "unknown" : intent.amount.description
        card = isNameless ? "unknown" : intent.maskedPAN.text
        merchant = isNameless ? "unknown" : intent.merchant.text
        request = isNameless ? "unknown" : intent.requestID.text
    }
}

extension ActiveTransaction {
    var intentWords: IntentWords { IntentWords(begin.record.intent, of: transaction) }
}

extension ReversalTask {
    var intentWords: IntentWords { IntentWords(intent, of: transaction) }
}
