import Testing

@testable import Payments

@Suite("Identifiers and intents")
struct IdentifierTests {
    @Test("A request_id is 1 to 64 visible ASCII characters")
    func requestIDs() {
        for text in ["a", "~", "!", "a';DROP--", String(repeating: "x", count: 64)] {
            #expect(RequestID(text)?.text == text)
        }
        for text in ["", " ", "a b", "a\n", "\u{7F}", "é", "\u{212A}", "a\0", String(repeating: "x", count: 65)] {
            #expect(RequestID(text) == nil, "\(text.debugDescription)")
        }
    }

    @Test("A merchant may have blanks too")
    func merchants() {
        for text in ["a", " ", "ACME Ltd.", String(repeating: "x", count: 64)] {
            #expect(MerchantID(text)?.text == text)
        }
        for text in ["", "a\t", "é", "\u{7F}", String(repeating: "x", count: 65)] {
            #expect(MerchantID(text) == nil, "\(text.debugDescription)")
        }
        #expect(MerchantID("MERCHANT001") == .standard)
    }

    @Test("An operation has one name and one number, which is on disk")
    func kinds() {
        #expect(OperationKind.allCases.map(\.rawValue) == [1, 2, 3, 4])
        #expect(OperationKind.allCases.map(\.wireName) == ["AUTH", "CAPTURE", "REFUND", "REVERSAL"])
        for kind in OperationKind.allCases { #expect(OperationKind(wireName: kind.wireName) == kind) }
        for name in ["", "auth", "AUTH ", "AUT", "AUTHORIZATION", "ＡＵＴＨ"] {
            #expect(OperationKind(wireName: name) == nil, "\(name)")
        }
    }

    @Test("Hashes of one key decide what a repeat is; after a change of key, what both show decides")
    func repeats() throws {
        func intent(_ amount: String, key: UInt32, hash: UInt8, requestID: String = "r-1") throws -> PaymentIntent {
            let line = #"{"pan":"4111111111111111","amount":"\#(amount)","request_id":"\#(requestID)"}"#
            let request = try draft(line).validated()
            return request.intent(
                requestID: try #require(RequestID(requestID)), panToken: KeyedDigest(keyID: key, bytes: [hash]),
                requestHash: KeyedDigest(keyID: key, bytes: [hash]))
        }
        let first = try intent("1", key: 1, hash: 1)
        #expect(first.isRepeat(of: try intent("1", key: 1, hash: 1)))
        #expect(!first.isRepeat(of: try intent("1", key: 1, hash: 2)))
        #expect(first.isRepeat(of: try intent("1.00", key: 2, hash: 9)))
        #expect(!first.isRepeat(of: try intent("2", key: 2, hash: 9)))
        #expect(!first.isRepeat(of: try intent("1", key: 1, hash: 1, requestID: "r-2")))
    }
}
