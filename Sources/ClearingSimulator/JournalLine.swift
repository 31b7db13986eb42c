/// A line of the books file: an entry as it is after an event. The last line of a transaction is its state.
///
/// ```
/// <transaction_id> <state> <amount> <currency> <fingerprint> <auth_code> <settlement> <prepares> <commits> <aborts> <reason> <sum>
/// ```
///
/// Fields are separated by one blank, an empty one is `-`; no field can contain a blank. The sum is FNV-1a (64 bits, 16
/// hexadecimal digits) of the bytes before it, the blank included. Without a fingerprint, amount and currency are what a commit
/// or an abort said.
enum JournalLine {
    /// The first line of every books file.
    static let header = "clearing-sim books 1"
    private static let fieldCount = 12
    private static let blank = UInt8(ascii: " ")

    /// Letters, digits, point and hyphen: what amounts, currencies and codes are written with. They are told in replies as they are.
    private static func isPlain(_ field: String) -> Bool {
        field.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }

    /// The line with its LF.
    static func encode(_ entry: ClearingEntry) -> [UInt8] {
        let fields = [
            entry.transaction, entry.state.rawValue, entry.terms?.amount ?? entry.claim.amount ?? "-",
            entry.terms?.currency ?? entry.claim.currency ?? "-",
            entry.terms.map { Fingerprint.text($0.fingerprint) } ?? "-",
            entry.authorizationCode.isEmpty ? "-" : entry.authorizationCode, String(entry.settlement),
            String(entry.prepares), String(entry.commits), String(entry.aborts), entry.refusal?.rawValue ?? "-",
        ]
        var line: [UInt8] = []
        line.reserveCapacity(160)
        for field in fields {
            line.append(contentsOf: field.utf8)
            line.append(blank)
        }
        var sum = Fingerprint()
        sum.add(line)
        line.append(contentsOf: Fingerprint.text(sum.value).utf8)
        line.append(UInt8(ascii: "\n"))
        return line
    }

    /// - Parameter line: without its LF.
    /// - Returns: `nil` for whatever ``encode(_:)`` does not write.
    static func decode(_ line: some BidirectionalCollection<UInt8>) -> ClearingEntry? {
        let fields = line.split(separator: blank, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard fields.count == fieldCount else { return nil }
        var sum = Fingerprint()
        sum.add(line.dropLast(fields[11].utf8.count))
        guard fields[11] == Fingerprint.text(sum.value), let state = ClearingEntry.State(rawValue: fields[1]),
            let settlement = UInt64(fields[6]), let prepares = UInt32(fields[7]), let commits = UInt32(fields[8]),
            let aborts = UInt32(fields[9])
        else { return nil }
        let amount = fields[2] == "-" ? nil : fields[2]
        let currency = fields[3] == "-" ? nil : fields[3]
        var terms: PaymentTerms?
        var claim = PaymentClaim.none
        if fields[4] == "-" {
            claim = PaymentClaim(amount: amount, currency: currency)
        } else {
            guard let amount, let currency, let fingerprint = UInt64(fields[4], radix: 16) else { return nil }
            terms = PaymentTerms(amount: amount, currency: currency, fingerprint: fingerprint)
        }
        let refusal = Refusal(rawValue: fields[10])
        guard refusal != nil || fields[10] == "-" else { return nil }
        let entry = ClearingEntry(
            readBack: fields[0], state: state, terms: terms, claim: claim,
            authorizationCode: fields[5] == "-" ? "" : fields[5],
            settlement: settlement, refusal: refusal, prepares: prepares, commits: commits, aborts: aborts)
        // A number with a sign or a zero in front is not what was written. And one more settlement must fit.
        guard let entry, settlement < .max, encode(entry).dropLast().elementsEqual(line),
            fields[0].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), fields[2...5].allSatisfy(isPlain)
        else { return nil }
        return entry
    }
}
