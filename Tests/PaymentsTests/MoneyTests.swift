import Testing

@testable import Payments

@Suite("Currencies and amounts")
struct MoneyTests {
    @Test(
        "A currency has the decimals of ISO 4217",
        arguments: [
            ("USD", 2), ("EUR", 2), ("GBP", 2), ("HUF", 2), ("MGA", 2), ("MRU", 2), ("XCD", 2), ("XCG", 2), ("ZWG", 2),
            ("JPY", 0), ("KRW", 0), ("CLP", 0), ("ISK", 0), ("VND", 0), ("UGX", 0), ("XAF", 0), ("XOF", 0), ("XPF", 0),
            ("BHD", 3), ("IQD", 3), ("JOD", 3), ("KWD", 3), ("LYD", 3), ("OMR", 3), ("TND", 3),
        ])
    func decimals(code: String, decimals: Int) throws {
        let currency = try currency(code)
        #expect(currency.decimals == decimals)
        #expect(currency.code == code)
        #expect(currency.description == code)
    }

    @Test(
        "What nobody pays with, what was withdrawn, and what only looks like a code is no currency",
        arguments: [
            "", "U", "US", "USDD", "usd", "Usd", "ZZZ", "US1", "U D", " USD", "USD ", "XAU", "XXX", "XTS", "XDR", "CLF",
            "USN",
            "DEM", "HRK", "BGN", "ANG", "ZWL", "\u{212A}ES", "K\u{0415}S", "ＵＳＤ", "USD\0",
        ])
    func unknown(code: String) {
        #expect(Currency(code: code) == nil)
    }

    @Test("The table is complete, has no code twice, and fits the wire and the column")
    func table() {
        #expect(CurrencyTable.codes.count == 155)
        #expect(Set(CurrencyTable.codes).count == CurrencyTable.codes.count)
        for code in CurrencyTable.codes {
            #expect(Currency(code: code).map { (0...3).contains($0.decimals) } == true, "\(code)")
        }
        #expect(Currency(code: "USD") == .usDollar)
    }

    @Test(
        "An amount is read exactly",
        arguments: [
            ("10", "USD", 1000), ("10.5", "USD", 1050), ("10.50", "USD", 1050), ("0010.50", "USD", 1050),
            ("0.01", "USD", 1),
            ("0.10", "USD", 10), ("1.10", "USD", 110), ("10000", "USD", 1_000_000), ("9999.99", "USD", 999_999),
            ("0.29", "USD", 29), ("1.15", "USD", 115), ("4.35", "USD", 435),
            ("500", "JPY", 500), ("1", "JPY", 1), ("007", "JPY", 7),
            ("1.234", "KWD", 1234), ("1.2", "KWD", 1200), ("1", "KWD", 1000), ("0.001", "KWD", 1),
        ] as [(String, String, Int64)])
    func parses(text: String, code: String, minorUnits: Int64) throws {
        let currency = try currency(code)
        let limit = Money.limitMinorUnits(majorUnits: 10_000, of: currency)
        let amount = Money.parse(text.utf8, currency: currency, limitMinorUnits: limit)
        #expect(amount == Money(minorUnits: minorUnits, currency: currency))
    }

    @Test(
        "Whatever is not a plain positive decimal is no amount",
        arguments: [
            "", ".", ".5", "5.", "..", "1..2", "1.2.3", "1e3", "1E3", "1e-3", "10abc", "abc", "+5", "-5", "--5", " 5",
            "5 ", "5 0",
            "\t5", "5\n", "NaN", "nan", "inf", "Infinity", "0x10", "1_000", "1,000", "1,50", "$5", "5USD", "0", "00",
            "0.0",
            "0.00", "000.00", "0.001", "10.500", "10.555", "-0", "-0.00", "٥", "５", "1\u{0660}", "5\0", "\0", "½",
            "1.٥",
        ])
    func refuses(text: String) {
        #expect(Money.parse(text.utf8, currency: .usDollar) == nil)
    }

    @Test("A currency without decimals takes no point, one with three no fourth digit")
    func decimalsAreBounded() throws {
        for text in ["5.0", "5.", "5.5", "0.5"] {
            #expect(Money.parse(text.utf8, currency: try currency("JPY")) == nil, "\(text)")
        }
        #expect(Money.parse("1.2345".utf8, currency: try currency("KWD")) == nil)
        #expect(Money.parse("1.2340".utf8, currency: try currency("KWD")) == nil)
    }

    @Test("The limit itself is fine and a minor unit more is not, in each currency's own unit")
    func limit() throws {
        for (code, last, tooMuch) in [
            ("USD", "10000.00", "10000.01"), ("JPY", "10000", "10001"), ("KWD", "10000.000", "10000.001"),
        ] {
            let currency = try currency(code)
            let limit = Money.limitMinorUnits(majorUnits: 10_000, of: currency)
            #expect(Money.parse(last.utf8, currency: currency, limitMinorUnits: limit)?.minorUnits == limit)
            #expect(Money.parse(tooMuch.utf8, currency: currency, limitMinorUnits: limit) == nil)
        }
    }

    @Test("No length of digits overflows; leading zeros do not count")
    func hugeAmounts() throws {
        let digits15 = String(repeating: "9", count: 15)
        #expect(Money.parse(digits15.utf8, currency: try currency("JPY"))?.minorUnits == 999_999_999_999_999)
        // 15 digits before the point, scaled to three decimals, still fit into 64 bits.
        #expect(Money.parse(digits15.utf8, currency: try currency("KWD"))?.minorUnits == 999_999_999_999_999_000)
        #expect(Money.parse((digits15 + "0").utf8, currency: try currency("JPY")) == nil)
        #expect(Money.parse(String(repeating: "9", count: 8000).utf8, currency: .usDollar) == nil)
        #expect(Money.parse("1".utf8, currency: .usDollar, limitMinorUnits: 99) == nil)
        let zeros = String(repeating: "0", count: 8000)
        #expect(Money.parse((zeros + "1.5").utf8, currency: .usDollar)?.minorUnits == 150)
        #expect(Money.parse(("0." + zeros).utf8, currency: .usDollar) == nil)
        #expect(Money.parse("18446744073709551617".utf8, currency: .usDollar) == nil)
        #expect(Money.parse("92233720368547758.08".utf8, currency: .usDollar) == nil)
    }

    @Test("A limit beyond 64 bits is no limit, and no limit below zero admits anything")
    func limitSaturates() throws {
        #expect(Money.limitMinorUnits(majorUnits: 10_000, of: .usDollar) == 1_000_000)
        #expect(Money.limitMinorUnits(majorUnits: 10_000, of: try currency("JPY")) == 10_000)
        #expect(Money.limitMinorUnits(majorUnits: .max, of: .usDollar) == .max)
        #expect(Money.limitMinorUnits(majorUnits: .min, of: .usDollar) == .min)
        let none = Money.limitMinorUnits(majorUnits: 0, of: .usDollar)
        #expect(Money.parse("0.01".utf8, currency: .usDollar, limitMinorUnits: none) == nil)
    }

    @Test(
        "The decimal text has all decimals of the currency",
        arguments: [
            (1230, "USD", "12.30"), (5, "USD", "0.05"), (0, "USD", "0.00"), (-5, "USD", "-0.05"), (500, "JPY", "500"),
            (1, "KWD", "0.001"), (Int64.max, "USD", "92233720368547758.07"),
            (Int64.min, "USD", "-92233720368547758.08"),
        ] as [(Int64, String, String)])
    func decimalText(minorUnits: Int64, code: String, text: String) throws {
        let money = Money(minorUnits: minorUnits, currency: try currency(code))
        #expect(money.decimalText == text)
        #expect(money.description == "\(text) \(code)")
    }

    @Test("Reading what was written gives the same amount, for random amounts in every currency")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: SeededGenerator.seed)
        for code in CurrencyTable.codes {
            let currency = try currency(code)
            for _ in 0..<50 {
                let magnitude = Int64(1) << Int64.random(in: 0...49, using: &generator)
                let money = Money(
                    minorUnits: Int64.random(in: 1...magnitude, using: &generator), currency: currency)
                #expect(Money.parse(money.decimalText.utf8, currency: currency) == money, replay("MoneyTests"))
            }
        }
    }
}
