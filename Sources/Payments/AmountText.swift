extension Money {
    /// Reads an amount as clients write it: digits, at most one point with digits on both sides, nothing else.
    ///
    /// The arithmetic is exact. `10`, `10.5`, `10.50` and `0010.50` are fine (for USD); `.5`, `5.`, `1e3`, `+5`, `-5`,
    /// ` 5`, `0.00`, and more decimals than the currency has are not.
    ///
    /// - Parameters:
    ///   - text: the text's bytes; ASCII digits are the only digits.
    ///   - limitMinorUnits: the largest amount taken; see ``limitMinorUnits(majorUnits:of:)``.
    /// - Returns: `nil` if the text is anything else, or zero, or above the limit, or has more than
    ///   ``PaymentLimits/amountDigitsMax`` digits.
    public static func parse(
        _ text: some Sequence<UInt8>, currency: Currency, limitMinorUnits: Int64 = .max
    ) -> Money? {
        var minorUnits: Int64 = 0
        var significantDigits = 0
        /// `nil` until the point is read.
        var decimals: Int?
        var previousIsDigit = false
        for byte in text {
            if byte == UInt8(ascii: ".") {
                guard previousIsDigit, decimals == nil else { return nil }
                decimals = 0
                previousIsDigit = false
                continue
            }
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            previousIsDigit = true
            if let read = decimals {
                guard read < currency.decimals else { return nil }
                decimals = read + 1
            }
            let digit = Int64(byte - UInt8(ascii: "0"))
            if digit > 0 || significantDigits > 0 { significantDigits += 1 }
            // Fifteen digits cannot overflow.
            guard significantDigits <= PaymentLimits.amountDigitsMax else { return nil }
            minorUnits = minorUnits * 10 + digit
        }
        guard previousIsDigit else { return nil }
        let scale = powerOfTen(currency.decimals - (decimals ?? 0))
        let (scaled, isTooLarge) = minorUnits.multipliedReportingOverflow(by: scale)
        guard !isTooLarge, scaled > 0, scaled <= limitMinorUnits else { return nil }
        return Money(minorUnits: scaled, currency: currency)
    }

    /// A limit of so many major units (dollars, not cents) in the currency's minor unit; the largest `Int64` if it is
    /// more.
    public static func limitMinorUnits(majorUnits: Int64, of currency: Currency) -> Int64 {
        let (minorUnits, isTooLarge) = majorUnits.multipliedReportingOverflow(by: powerOfTen(currency.decimals))
        guard isTooLarge else { return minorUnits }
        return majorUnits > 0 ? .max : .min
    }

    /// - Parameter exponent: 0 to 3, the decimals that a currency can have.
    private static func powerOfTen(_ exponent: Int) -> Int64 {
        var power: Int64 = 1
        for _ in 0..<exponent { power *= 10 }
        return power
    }
}
