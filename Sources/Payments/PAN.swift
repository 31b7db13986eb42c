/// A primary account number: 12 to 19 digits with a valid Luhn check digit (ISO/IEC 7812).
///
/// The only description of it is the masked form, so that it cannot be logged raw by accident. The digits are reachable
/// through ``withDigits(_:)`` alone, for the one purpose of keying a token.
public struct PAN: Sendable, Equatable {
    private let digits: [UInt8]

    /// - Parameter text: the digits as ASCII. `nil` if the length, a character or the Luhn check digit is wrong.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard PaymentLimits.panDigits.contains(bytes.count), Luhn.isValid(bytes) else { return nil }
        digits = bytes
    }

    /// First six and last four digits, the rest as `*`: the form that PCI DSS 3.4 allows to be shown.
    public var masked: MaskedPAN { MaskedPAN(maskingDigits: digits) }

    /// Lends the ASCII digits to `body`, to key them; whoever keeps them breaks the promise of this type.
    public func withDigits<Result>(_ body: ([UInt8]) throws -> Result) rethrows -> Result { try body(digits) }
}

extension PAN: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { masked.text }
    public var debugDescription: String { masked.text }
    public var customMirror: Mirror { Mirror(self, children: ["masked": masked.text]) }
}

/// A card number of which only the first six and the last four digits are left.
public struct MaskedPAN: Sendable, Hashable, CustomStringConvertible {
    /// As many characters as the card number has digits.
    public let text: String

    init(maskingDigits digits: [UInt8]) {
        let star = UInt8(ascii: "*")
        let masked = digits.indices.map { $0 < 6 || $0 >= digits.count - 4 ? digits[$0] : star }
        text = String(decoding: masked, as: UTF8.self)
    }

    /// Takes back a form that was masked before (from the log or a database).
    /// `nil` for anything that has more than ten digits or is not 12 to 19 characters long.
    public init?(masked text: String) {
        let bytes = Array(text.utf8)
        guard PaymentLimits.panDigits.contains(bytes.count) else { return nil }
        for (index, byte) in bytes.enumerated() {
            let isShown = index < 6 || index >= bytes.count - 4
            let isDigit = byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            guard isShown ? isDigit : byte == UInt8(ascii: "*") else { return nil }
        }
        self.text = text
    }

    public var description: String { text }
}

/// The check digit of ISO/IEC 7812-1, annex B.
public enum Luhn {
    /// Whether `digits` are ASCII digits whose last one is the check digit of the others.
    public static func isValid(_ digits: [UInt8]) -> Bool {
        var sum = 0
        for (position, byte) in digits.reversed().enumerated() {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return false }
            let digit = Int(byte - UInt8(ascii: "0"))
            let doubled = position % 2 == 1 ? digit * 2 : digit
            sum += doubled > 9 ? doubled - 9 : doubled
        }
        return !digits.isEmpty && sum % 10 == 0
    }
}
