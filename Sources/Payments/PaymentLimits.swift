/// The limits of what a request may say.
public enum PaymentLimits {
    /// Length of a card number, digits.
    public static let panDigits = 12...19
    /// Length of a request_id, characters.
    public static let requestIDCharacters = 1...64
    /// Length of a merchant identifier, characters.
    public static let merchantCharacters = 1...64
    /// Digits of an amount, before and after the point together.
    public static let amountDigitsMax = 15
    /// Nesting of a request's JSON, levels: the object itself, and an unknown field's value within it.
    public static let jsonDepthMax = 4
    /// Size of one request line without its end, bytes.
    public static let lineBytesMax = 8 * 1024
}
