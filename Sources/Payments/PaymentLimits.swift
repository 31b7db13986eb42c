/// The limits of what a request may say, and of what is kept about requests.
public enum PaymentLimits {
    /// Length of a card number, digits.
    public static let panDigits = 12...19
    /// Length of a request_id, characters.
    public static let requestIDCharacters = 1...64
    /// Length of a merchant identifier, characters.
    public static let merchantCharacters = 1...64
    /// Digits of an amount, before and after the point together; leading zeros do not count.
    public static let amountDigitsMax = 15
    /// The largest amount unless configured otherwise, major units of the payment's currency (dollars, not cents).
    public static let amountMajorUnitsMaxDefault: Int64 = 10_000
    /// Nesting of a request's JSON, levels: the object itself, and an unknown field's value within it.
    public static let jsonDepthMax = 4
    /// Members of a JSON object up to which duplicate keys are looked for one by one; a larger object gets a hash set.
    static let jsonMembersComparedMax = 16
    /// Size of one request line without its end, bytes.
    public static let lineBytesMax = 8 * 1024

    /// What the limit of ``RiskVelocity`` may be set to, admissions of one card in a window.
    public static let velocityAdmissions = 0...1_000_000
    /// What the window of ``RiskVelocity`` may be set to, milliseconds: up to a day.
    public static let velocityWindowMilliseconds: ClosedRange<Int64> = 1...86_400_000
    /// Admissions that ``RiskVelocity`` remembers, over all cards together; it tracks no more cards than that. For
    /// windows of 60 s it covers 8,700 payments a second. At most some 75 MB, reached only under that load.
    public static let velocityTrackedMax = 1 << 19
    /// Expired admissions that one call of ``RiskVelocity`` forgets at most, so that no single call pays for an idle
    /// hour.
    static let velocityForgottenPerCallMax = 4
}
