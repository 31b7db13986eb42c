import Coordinator
import Testing

@Suite struct GlobalBranchIDTests {
    private static let sample = GlobalBranchID(
        log: Samples.log, epoch: Epoch(rawValue: 3), transaction: Samples.transaction,
        database: DatabaseIndex(rawValue: 2))
    private static let text =
        "visa_0123456789abcdeffedcba9876543210_3_visa_00000000000000010000000000000000_db2"

    /// It is in databases: another version must give and take the same text.
    @Test func goldenText() {
        #expect(Self.sample.description == Self.text)
        #expect(GlobalBranchID(Self.text) == Self.sample)
    }

    @Test func theLongestFitsIntoPostgreSQL() {
        let longest = GlobalBranchID(
            log: LogID(high: .max, low: .max), epoch: Epoch(rawValue: .max),
            transaction: TransactionID(high: .max, low: .max), database: DatabaseIndex(rawValue: .max))
        #expect(longest.description.utf8.count == 102)
        #expect(longest.description.utf8.count <= 199)
        #expect(GlobalBranchID(longest.description) == longest)
    }

    /// Whatever is not exactly what we write is somebody else's, and never touched.
    @Test(arguments: [
        "", "_", "_____", "visa_", "visa_____db1",
        // Another spelling of the same numbers.
        text.replacing("_3_", with: "_03_"), text.replacing("_3_", with: "_+3_"), text.replacing("_3_", with: "_-3_"),
        text.replacing("_3_", with: "__"), text.replacing("_3_", with: "_ 3_"), text.replacing("db2", with: "db02"),
        text.replacing("db2", with: "db+2"), text.replacing("db2", with: "db256"), text.replacing("db2", with: "db"),
        text.replacing("db2", with: "2"), text.replacing("db2", with: "DB2"), text.uppercased(),
        text.replacing("_3_", with: "_18446744073709551616_"),
        // Something before, after or in between.
        " " + text, text + " ", text + "\n", text + "\0", text + "_", text + "_db2", "x" + text,
        text.replacing("visa_0000", with: "void_0000"), text.replacing("visa_0123", with: "visa_123"),
        // Letters that look or count alike.
        text.replacing("_3_", with: "_\u{0663}_"), text.replacing("db2", with: "db\u{FF12}"),
        text.replacing("visa", with: "vis\u{0430}"), text.replacing("db2", with: "db2\u{0301}"),
        text.replacing("_3_", with: "_\u{200B}3_"),
        // What others write.
        "0_1_postgres", "citus_0_1234_5_6", "131077_AAAAAAAAAAAAAP//fwAAAQ==_AAAA",
        "visa'; DROP TABLE transactions; --",
        String(repeating: "visa_", count: 40), String(repeating: "9", count: 199),
    ])
    func otherTextsAreForeign(_ text: String) {
        #expect(GlobalBranchID(text) == nil)
    }
}
