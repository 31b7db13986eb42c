import Coordinator
import Payments

/// Who orders something, and why. Both go into the log, where others read them later.
public struct Signature: Sendable, Hashable {
    public let actor: String
    public let reason: String

    /// - Throws: ``OrderFault`` if one of them is empty, too long or not printable, or seems to hold a card number.
    public init(actor: String, reason: String) throws(OrderFault) {
        try Self.check(actor, "the actor", bytesMax: OrderLimits.actorBytesMax)
        try Self.check(reason, "the reason", bytesMax: OrderLimits.reasonBytesMax)
        self.actor = actor
        self.reason = reason
    }

    /// As the log keeps it.
    var warrant: Warrant { Warrant(.order, actor: actor, reason: reason) }

    private static func check(_ text: String, _ name: String, bytesMax: Int) throws(OrderFault) {
        guard text.contains(where: { !$0.isWhitespace }) else { throw OrderFault("\(name) is empty") }
        guard text.utf8.count <= bytesMax else {
            throw OrderFault("\(name) is longer than \(bytesMax) bytes; shorten it")
        }
        guard text.unicodeScalars.allSatisfy(isPrintable) else {
            throw OrderFault("\(name) holds a control character; write it on one line of plain text")
        }
        guard !CardNumbers.seemToBe(in: text) else {
            throw OrderFault("\(name) seems to hold a card number, which must not go into the log; leave it out")
        }
    }

    /// What a terminal shows as it is: no control character, no line end, nothing that turns the writing round.
    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}

/// Finds what could be a card number in what people write.
enum CardNumbers {
    /// Whether the text has digits, in one run or in groups with blanks or hyphens in between, that are as many as a card number
    /// has and end with the right check digit. Digits that are a part of a longer name, as in a txn_id, are none; any other
    /// character ends a name, as the equals sign in `pan=...`.
    static func seemToBe(in text: String) -> Bool {
        var groups: [[UInt8]] = []
        var word: [UInt8] = []
        // Whether a blank or a hyphen stands between the word and the one before it.
        var hasGap = true
        for byte in Array(text.utf8) + [UInt8(ascii: " ")] {
            guard isSeparator(byte) else {
                if word.isEmpty, !hasGap { groups = [] }
                word.append(byte)
                continue
            }
            if !word.isEmpty {
                groups = word.allSatisfy(isDigit) ? groups + [word] : []
                if endsWithCard(groups) { return true }
                word = []
                hasGap = false
            }
            hasGap = hasGap || byte == UInt8(ascii: " ") || byte == UInt8(ascii: "-")
        }
        return false
    }

    /// Whether the last groups together make one.
    private static func endsWithCard(_ groups: [[UInt8]]) -> Bool {
        var digits: [UInt8] = []
        for group in groups.reversed() {
            digits = group + digits
            guard digits.count <= PaymentLimits.panDigits.upperBound else { return false }
            if PaymentLimits.panDigits.contains(digits.count), Luhn.isValid(digits) { return true }
        }
        return false
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isSeparator(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): false
        default: !isDigit(byte) && byte < 0x80
        }
    }
}
