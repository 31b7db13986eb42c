internal import Coordinator
internal import NIOCore
internal import Payments

/// The body of a request to the card network (`docs/reference`: the clearing API), made by hand: it is small and every
/// payment needs two.
struct ClearingMessage {
    enum Action: String, CaseIterable {
        case prepare
        case commit
        case abort
    }

    let action: Action
    let transaction: TransactionID
    let intent: PaymentIntent
    /// Whether the network may have been told before.
    let isRepeat: Bool

    /// The card number is in it in its masked form alone. Of a payment that was taken in without being known (its amount is zero, which
    /// no payment's is) the network is told the id alone: what we made up must not contradict what it knows.
    func encoded() -> ByteBuffer {
        var text = "{\"action\":\"\(action.rawValue)\",\"transaction_id\":"
        text += JSONText.quoted(transaction.description)
        if intent.amount.minorUnits != 0 {
            text += ",\"pan\":" + JSONText.quoted(intent.maskedPAN.text)
            text += ",\"amount\":" + JSONText.quoted(intent.amount.decimalText)
            text += ",\"currency\":" + JSONText.quoted(intent.amount.currency.code)
            text += ",\"merchant_id\":" + JSONText.quoted(intent.merchant.text)
            text += ",\"type\":" + JSONText.quoted(intent.kind.wireName)
        }
        if isRepeat { text += ",\"repeat\":true" }
        return ByteBuffer(string: text + "}")
    }
}

/// JSON strings (RFC 8259, section 7).
enum JSONText {
    private static let digits = Array("0123456789abcdef".unicodeScalars)

    /// The text in quotes, with everything escaped that must be.
    static func quoted(_ text: String) -> String {
        let mustEscape = { (byte: UInt8) in byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 }
        guard text.utf8.contains(where: mustEscape) else { return "\"" + text + "\"" }
        var result = String.UnicodeScalarView("\"".unicodeScalars)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                result.append("\\")
                result.append(scalar)
            case let control where control.value < 0x20:
                result.append(contentsOf: "\\u00".unicodeScalars)
                result.append(digits[Int(control.value >> 4)])
                result.append(digits[Int(control.value & 0xF)])
            default: result.append(scalar)
            }
        }
        result.append("\"")
        return String(result)
    }
}
