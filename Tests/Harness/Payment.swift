import Synchronization

/// A payment request as a client makes it.
struct Payment: Sendable, Hashable {
    /// `nil`: the server makes one.
    var requestID: String?
    var pan: String
    /// As it is written in the request.
    var amount: String
    var merchant: String?
    var currency: String?

    init(
        requestID: String?, pan: String = TestCards.next(), amount: String = "12.34", merchant: String? = nil,
        currency: String? = nil
    ) {
        self.requestID = requestID
        self.pan = pan
        self.amount = amount
        self.merchant = merchant
        self.currency = currency
    }

    /// The request's JSON without the end of the line.
    var json: String {
        var fields = [("pan", pan), ("amount", amount)]
        if let requestID { fields.append(("request_id", requestID)) }
        if let merchant { fields.append(("merchant", merchant)) }
        if let currency { fields.append(("currency", currency)) }
        return "{" + fields.map { "\(JSONText.quoted($0.0)):\(JSONText.quoted($0.1))" }.joined(separator: ",") + "}"
    }

    var maskedPAN: String {
        String(pan.prefix(6)) + String(repeating: "*", count: max(0, pan.count - 10)) + String(pan.suffix(4))
    }
}

enum JSONText {
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case _ where scalar.value < 0x20:
                quoted += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// Card numbers that were never issued to anybody, each used once, so that finding one anywhere means that it leaked.
enum TestCards {
    private static let count = Atomic<Int>(Int.random(in: 0..<1_000_000_000))

    /// Sixteen digits, valid.
    static func next() -> String { make(digits: 16) }

    /// A valid card number of any length from 8 on, whether or not a card may have that many digits.
    static func make(digits: Int) -> String {
        let serial = count.add(1, ordering: .relaxed).newValue
        let body = String(String(serial).reversed())
        let padded = "4" + String(repeating: "7", count: max(0, digits - 2 - body.count)) + body
        let prefix = String(padded.prefix(digits - 1))
        return prefix + checkDigit(of: prefix)
    }

    /// The same number with a check digit that is wrong.
    static func invalid() -> String {
        let valid = next()
        let last = Int(String(valid.suffix(1))) ?? 0
        return valid.dropLast() + String((last + 5) % 10)
    }

    /// ISO/IEC 7812-1, annex B.
    private static func checkDigit(of digits: String) -> String {
        var sum = 0
        for (position, digit) in digits.reversed().enumerated() {
            let value = digit.wholeNumberValue ?? 0
            let doubled = position % 2 == 0 ? value * 2 : value
            sum += doubled > 9 ? doubled - 9 : doubled
        }
        return String((10 - sum % 10) % 10)
    }
}
