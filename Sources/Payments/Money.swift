/// A currency of ISO 4217 that payments may be made in.
public struct Currency: Sendable, Hashable, CustomStringConvertible {
    /// The alphabetic code, three capital letters.
    public let code: String
    /// The number of decimals of the minor unit (0 to 3).
    public let decimals: Int

    /// `nil` for a code that is not in the list of active currencies; capital letters only.
    public init?(code: some StringProtocol) {
        guard let decimals = CurrencyTable.decimals(of: String(code)) else { return nil }
        self.code = String(code)
        self.decimals = decimals
    }

    public var description: String { code }

    /// What a request without `currency` means.
    public static let usDollar = Currency(known: "USD", decimals: 2)

    private init(known code: String, decimals: Int) {
        self.code = code
        self.decimals = decimals
    }
}

/// An exact amount in a currency's minor unit (cents for USD).
public struct Money: Sendable, Hashable, CustomStringConvertible {
    /// Of the currency: cents for USD, yen for JPY. Payments are above zero; sums may be anything.
    public let minorUnits: Int64
    /// What the minor units are of.
    public let currency: Currency

    /// Takes an amount as it is; ``parse(_:currency:limitMinorUnits:)`` is the way in for what clients write.
    public init(minorUnits: Int64, currency: Currency) {
        self.minorUnits = minorUnits
        self.currency = currency
    }

    /// The decimal text with all of the currency's decimals: `12.30` for 1230 US cents, `500` for 500 yen.
    public var decimalText: String {
        let magnitude = String(minorUnits.magnitude)
        let sign = minorUnits < 0 ? "-" : ""
        guard currency.decimals > 0 else { return sign + magnitude }
        let padded = String(repeating: "0", count: max(0, currency.decimals + 1 - magnitude.count)) + magnitude
        return sign + padded.dropLast(currency.decimals) + "." + padded.suffix(currency.decimals)
    }

    public var description: String { "\(decimalText) \(currency.code)" }

    /// Reads what ``decimalText`` gives, with exactly the currency's decimals; `nil` for anything else.
    public init?(decimalText: some StringProtocol, currency: Currency) {
        let digits = String(decimalText).filter { $0 != "." }
        guard let minorUnits = Int64(digits) else { return nil }
        self.init(minorUnits: minorUnits, currency: currency)
        guard self.decimalText == decimalText else { return nil }
    }
}
