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

    @Test("Intents are equal by what they hold, each part of it, and show it")
    func intents() throws {
        func intent(
            _ requestID: String = "r-1", _ kind: OperationKind = .capture, minorUnits: Int64 = 1,
            _ merchant: String = "M", _ masked: String = "411111******1111", token: UInt8 = 1, hash: UInt8 = 1,
            reference: String? = "r-0"
        ) throws -> PaymentIntent {
            PaymentIntent(
                requestID: try #require(RequestID(requestID)), kind: kind,
                amount: Money(minorUnits: minorUnits, currency: .usDollar),
                merchant: try #require(MerchantID(merchant)), maskedPAN: try #require(MaskedPAN(masked: masked)),
                panToken: KeyedDigest(keyID: 1, bytes: [token]), requestHash: KeyedDigest(keyID: 1, bytes: [hash]),
                reference: reference.flatMap { RequestID($0) })
        }
        let all = [
            try intent(), try intent("r-2"), try intent("r-1", .refund), try intent(minorUnits: 2),
            try intent("r-1", .capture, "N"), try intent("r-1", .capture, "M", "411111******1112"),
            try intent(token: 2), try intent(hash: 2), try intent(reference: "r-3"), try intent(reference: nil),
        ]
        #expect(Set(all).count == all.count)
        let again = try intent()
        let copy = again
        #expect(again == all[0] && again.hashValue == all[0].hashValue && copy == again)
        for part in ["requestID: r-1", "1 USD", "maskedPAN: 411111******1111", "r-0"] {
            #expect("\(again)".contains(part), "\(again)")
        }
    }
}
