import Coordinator
import Testing

@Suite struct IdentifierTests {
    @Test(
        arguments: [(0, 0), (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210), (UInt64.max, UInt64.max)]
            as [(UInt64, UInt64)])
    func textsComeBackAsTheyWere(_ high: UInt64, _ low: UInt64) {
        let log = LogID(high: high, low: low)
        #expect(log.description.utf8.count == 32)
        #expect(LogID(log.description) == log)
        let transaction = TransactionID(high: high, low: low)
        #expect(transaction.description.utf8.count == 37)
        #expect(TransactionID(transaction.description) == transaction)
        let incarnation = Incarnation(rawValue: high)
        #expect(incarnation.description.utf8.count == 16)
        #expect(Incarnation(incarnation.description) == incarnation)
    }

    @Test func goldenTexts() {
        #expect(Samples.log.description == "0123456789abcdeffedcba9876543210")
        #expect(Samples.transaction.description == "visa_00000000000000010000000000000000")
        #expect(DatabaseIndex(rawValue: 7).description == "db7")
        #expect(Participant.database(DatabaseIndex(rawValue: 7)).description == "db7")
        #expect(Participant.clearing.description == "clearing")
        let pair = FencePair(epoch: Epoch(rawValue: 12), incarnation: Incarnation(rawValue: 255))
        #expect(pair.description == "12/00000000000000ff")
    }

    @Test(arguments: [
        "", "visa_", "0123456789abcdef0123456789abcdef", "visa_0123456789ABCDEF0123456789abcdef",
        "visa_0123456789abcdef0123456789abcde", "visa_0123456789abcdef0123456789abcdef0",
        "VISA_0123456789abcdef0123456789abcdef", "visa_+123456789abcdef0123456789abcdef",
        "visa_0123456789abcdef+123456789abcdef", " visa_0123456789abcdef0123456789abcdef",
        "visa_0123456789abcdef0123456789abcde\u{0660}", "visa_0123456789abcdeg0123456789abcdef",
    ])
    func otherTextsAreNoTransaction(_ text: String) {
        #expect(TransactionID(text) == nil)
    }

    @Test(arguments: [
        "", "0123456789ABCDEF0123456789abcdef", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0",
        "+123456789abcdef0123456789abcdef", "0123456789abcdef-123456789abcdef", "visa_0123456789abcdef0123456789a",
        "0123456789abcdef0123456789abcd\u{0660}",
    ])
    func otherTextsAreNoLog(_ text: String) {
        #expect(LogID(text) == nil)
    }

    /// The upper half begins with the time: a later identifier sorts after an earlier one, in memory as on disk.
    @Test func identifiersSortByTheirUpperHalf() {
        let sorted = [
            TransactionID(high: 0, low: 5), TransactionID(high: 1, low: 0), TransactionID(high: 1, low: .max),
            TransactionID(high: .max, low: 0),
        ]
        #expect(sorted.shuffled().sorted() == sorted)
        #expect(sorted.map(\.description).sorted() == sorted.map(\.description))
        #expect(Epoch(rawValue: 9) < Epoch(rawValue: 10))
        #expect(LSN(rawValue: 9) < LSN(rawValue: 10))
        #expect(DatabaseIndex(rawValue: 9) < DatabaseIndex(rawValue: 10))
    }
}
