import Coordinator

@testable import Payments
@testable import PostgresParticipant

/// Texts that name something or count money: what is taken is printed as it was written, and nothing else is taken.
enum NameFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        let text = Texts.text(input)
        try gids(text)
        try identifiers(text)
        try cards(text)
        try money(text, input)
    }

    /// The same bytes; `==` would take equivalent spellings.
    private static func isSame(_ one: String, _ other: String) -> Bool { one.utf8.elementsEqual(other.utf8) }

    // MARK: Names of branches

    private static func gids(_ text: String) throws {
        let gid = GlobalBranchID(text)
        try hold((gid != nil) == isGID(text), "a gid by its description is taken for none, or the other way round")
        if let gid {
            try hold(isSame(gid.description, text), "a gid is printed otherwise than it was written")
            try hold(text.utf8.count <= 102, "a gid is longer than promised")
        }
        let probe = ProbeName(text)
        if let probe { try hold(isSame(probe.description, text), "a probe's name is printed otherwise") }
        try hold(gid == nil || probe == nil, "a probe is taken for a branch")

        let log = LogID(high: 1, low: 2)
        let older = SessionStatements.olderBackends(
            [["12", "2026-01-01 00:00:00+00", text, "role", "true"]], log: log, than: Epoch(rawValue: .max))
        let prefix = "holdfast/\(log)/"
        let number = text.utf8.dropFirst(prefix.utf8.count)
        let isOlder =
            text.utf8.starts(with: prefix.utf8) && isDecimal(number)
            && (UInt64(Texts.text(number)).map { $0 < .max } ?? false)
        try hold(older.own.isEmpty == !isOlder, "a backend is taken for one of ours, or the other way round")
    }

    /// `visa_<32 hexadecimal>_<decimal>_visa_<32 hexadecimal>_db<decimal>`, by the bytes alone.
    private static func isGID(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0].elementsEqual("visa".utf8), parts[3].elementsEqual("visa".utf8) else {
            return false
        }
        let database = parts[5].dropFirst(2)
        return isHexadecimal(parts[1]) && isDecimal(parts[2]) && UInt64(Texts.text(parts[2])) != nil
            && isHexadecimal(parts[4]) && parts[5].starts(with: "db".utf8) && isDecimal(database)
            && UInt8(Texts.text(database)) != nil
    }

    private static func isHexadecimal(_ bytes: Substring.UTF8View) -> Bool {
        bytes.count == 32 && bytes.allSatisfy { "0123456789abcdef".utf8.contains($0) }
    }

    /// As numbers are printed: no sign, no leading zero.
    private static func isDecimal(_ bytes: Substring.UTF8View) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            && (bytes.count == 1 || bytes.first != UInt8(ascii: "0"))
    }

    // MARK: Identifiers

    private static func identifiers(_ text: String) throws {
        let printed: [(String, String?)] = [
            ("a txn_id", TransactionID(text)?.description), ("a log id", LogID(text)?.description),
            ("an incarnation", Incarnation(text)?.description), ("a request_id", RequestID(text)?.description),
            ("a merchant", MerchantID(text)?.description), ("a currency", Currency(code: text)?.description),
            ("a type", OperationKind(wireName: text)?.wireName),
        ]
        for (name, description) in printed {
            guard let description else { continue }
            try hold(isSame(description, text), "\(name) is printed otherwise than it was written")
            try hold(text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "\(name) is not printable")
        }
        if let id = TransactionID(text), let next = TransactionID("visa_ffffffffffffffffffffffffffffffff") {
            try hold(id <= next && (id < next) == (text < next.description), "txn_ids sort otherwise than their texts")
        }
        // SQLSTATE is whatever a server says.
        _ = SQLState(text)
    }

    // MARK: Cards and money

    private static func cards(_ text: String) throws {
        if let pan = PAN(text) {
            try hold(!"\(pan)\(pan.masked)".contains(text), "a card number is shown")
            try hold(pan.masked.text.utf8.count == text.utf8.count, "a masked card number is shorter or longer")
            try hold(MaskedPAN(masked: pan.masked.text) == pan.masked, "a masked card number is not taken back")
            try hold(MaskedPAN(masked: text) == nil, "a card number counts as masked")
        }
        if let masked = MaskedPAN(masked: text) {
            try hold(isSame(masked.text, text), "a masked card number is shown otherwise")
            try hold(text.utf8.filter { $0 >= 0x30 && $0 <= 0x39 }.count <= 10, "more than ten digits are shown")
        }
    }

    private static func money(_ text: String, _ bytes: [UInt8]) throws {
        for code in ["USD", "JPY", "BHD"] {
            guard let currency = Currency(code: code) else { continue }
            if let amount = Money(decimalText: text, currency: currency) {
                try hold(isSame(amount.decimalText, text), "an amount is printed otherwise than it was written")
            }
            let amount = Money.parse(bytes, currency: currency)
            try hold(
                amount?.decimalText == plainAmount(bytes, decimals: currency.decimals),
                "an amount in \(code) is read otherwise than by its text")
            guard let amount else { continue }
            // With its decimals written out it may have more digits than are taken.
            let again = Money.parse(amount.decimalText.utf8, currency: currency)
            let digits = amount.decimalText.utf8.filter { $0 != UInt8(ascii: ".") }.count
            try hold(again == amount || digits > PaymentLimits.amountDigitsMax, "an amount is another one")
        }
    }

    /// An amount by its text alone, without arithmetic: zeros cut off in front and put on at the end; `nil` if it is none.
    private static func plainAmount(_ bytes: [UInt8], decimals: Int) -> String? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count <= 2,
            parts.allSatisfy({ part in !part.isEmpty && part.allSatisfy { (0x30...0x39).contains($0) } })
        else { return nil }
        let whole = Texts.text(parts[0].drop { $0 == 0x30 })
        var fraction = parts.count == 2 ? Texts.text(parts[1]) : ""
        guard fraction.count <= decimals else { return nil }
        let digits = (whole + fraction).drop { $0 == "0" }
        guard !digits.isEmpty, digits.count <= PaymentLimits.amountDigitsMax else { return nil }
        fraction += String(repeating: "0", count: decimals - fraction.count)
        return (whole.isEmpty ? "0" : whole) + (decimals > 0 ? "." + fraction : "")
    }
}
