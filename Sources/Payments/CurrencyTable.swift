/// The currencies of ISO 4217 that people pay with, and their decimals, as of 2026.
///
/// Left out are fund and unit-of-account codes (such as CLF, USN, XDR, XAD), metals, test codes, and what was withdrawn
/// (ANG, BGN, CUC, HRK, SLL and ZWL among the latest).
enum CurrencyTable {
    private static let codesByDecimals: [(decimals: Int, codes: String)] = [
        (
            decimals: 0,
            codes: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
        ),
        (
            decimals: 2,
            codes: """
            AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP \
            CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS \
            INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN \
            MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE \
            SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR \
            ZMW ZWG
            """
        ),
        (
            decimals: 3,
            codes: "BHD IQD JOD KWD LYD OMR TND"
        ),
    ]

    private static let decimalsByCode: [UInt32: Int] = {
        var table: [UInt32: Int] = [:]
        for (decimals, codes) in codesByDecimals {
            for code in codes.split(separator: " ") {
                guard let key = key(of: code.utf8) else { preconditionFailure("\(code) is not a currency code") }
                precondition(table.updateValue(decimals, forKey: key) == nil, "\(code) is listed twice")
            }
        }
        return table
    }()

    /// Every code of the table, in the order of decimals and alphabet.
    static var codes: [String] {
        codesByDecimals.flatMap { $0.codes.split(separator: " ").map(String.init) }
    }

    static func decimals(of code: some StringProtocol) -> Int? {
        key(of: code.utf8).flatMap { decimalsByCode[$0] }
    }

    /// The three capital letters in one number. Bytes are compared, not characters: strings that Unicode holds for
    /// equivalent (the sign of Kelvin and a K) are not the same code.
    private static func key(of code: some Collection<UInt8>) -> UInt32? {
        guard code.count == 3 else { return nil }
        var key: UInt32 = 0
        for byte in code {
            guard byte >= UInt8(ascii: "A"), byte <= UInt8(ascii: "Z") else { return nil }
            key = key << 8 | UInt32(byte)
        }
        return key
    }
}
