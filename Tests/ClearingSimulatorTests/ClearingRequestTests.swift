import Testing

@testable import ClearingSimulator

/// Goal: what is not a request of the contract is refused with words that help, and nothing that could be a card number
/// comes in.
@Suite struct ClearingRequestTests {
    private static let whole =
        #"{"action":"prepare","transaction_id":"visa_1","pan":"411111******1111","amount":"12.34","currency":"USD","#
        + #""merchant_id":"MERCHANT001","type":"AUTH"}"#

    private static func content(_ json: String) throws -> ClearingRequest.Content {
        try ClearingRequest(.prepare, json: Array(json.utf8)).content
    }

    @Test func prepare() throws {
        let request = try ClearingRequest(.prepare, json: Array(Self.whole.utf8))
        #expect(request.transaction == "visa_1")
        guard case .prepare(let terms) = request.content else { return #expect(Bool(false), "not a prepare") }
        #expect(terms.amount == "12.34")
        #expect(terms.currency == "USD")
    }

    @Test func commitAndAbortNeedTheTransactionAlone() throws {
        let json = Array(#"{"transaction_id":"visa_1"}"#.utf8)
        #expect(try ClearingRequest(.commit, json: json).content == .commit(.none))
        #expect(try ClearingRequest(.abort, json: json).content == .abort(.none))
    }

    /// A repeat says the same whether it is marked or not; any other content is another one.
    @Test func contents() throws {
        let first = try Self.content(Self.whole)
        #expect(try Self.content(String(Self.whole.dropLast()) + #","repeat":true,"unknown":[1]}"#) == first)
        for (old, new) in [
            ("12.34", "12.35"), ("USD", "EUR"), ("MERCHANT001", "M2"), ("AUTH", "REFUND"), ("1111\"", "1112\""),
        ] {
            #expect(try Self.content(Self.whole.replacing(old, with: new)) != first, "\(old) -> \(new)")
        }
    }

    @Test(arguments: [
        ("", "not valid JSON"), ("{]", "not valid JSON"), ("[1]", "JSON object"), ("{}", "transaction_id is missing"),
        (#"{"transaction_id":7}"#, "transaction_id must be a string"),
        (#"{"transaction_id":""}"#, "visible ASCII"), (#"{"transaction_id":"a b"}"#, "visible ASCII"),
        (#"{"transaction_id":"ä"}"#, "visible ASCII"),
        (#"{"transaction_id":"t"}"#, "amount is missing"),
        (#"{"transaction_id":"t","amount":12.34}"#, "amount must be a string"),
        (#"{"transaction_id":"t","amount":"-1"}"#, "amount must be"),
        (#"{"transaction_id":"t","amount":"1e3"}"#, "amount must be"),
        (#"{"transaction_id":"t","amount":"0.00"}"#, "amount must be"),
        (#"{"transaction_id":"t","amount":".5"}"#, "amount must be"),
        (#"{"transaction_id":"t","amount":"5."}"#, "amount must be"),
        (#"{"transaction_id":"t","amount":"1.23456"}"#, "amount must be"),
        (#"{"transaction_id":"t","amount":"1234567890123456"}"#, "amount must be"),
        (#"{"transaction_id":"t","amount":"1","original_amount":"x"}"#, "original_amount must be"),
        (#"{"transaction_id":"t","amount":"1","original_transaction_id":""}"#, "transaction_id must be"),
        (#"{"transaction_id":"t","amount":"1","currency":"usd"}"#, "currency"),
        (#"{"transaction_id":"t","amount":"1","type":"VOID"}"#, "type must be"),
        (#"{"transaction_id":"t","amount":"1","merchant_id":""}"#, "merchant_id"),
        (#"{"transaction_id":"t","amount":"1","repeat":"yes"}"#, "repeat must be a boolean"),
        (#"{"transaction_id":"t","amount":"1","action":"commit"}"#, "action is not prepare"),
        (#"{"transaction_id":"t","amount":"1","pan":"4111111111111111"}"#, "pan must be masked"),
        (#"{"transaction_id":"t","amount":"1","pan":"4111111*****1111"}"#, "pan must be masked"),
    ])
    func refused(json: String, expected: String) {
        let error = #expect(throws: MalformedRequest.self) { try ClearingRequest(.prepare, json: Array(json.utf8)) }
        #expect(error?.reason.contains(expected) == true, "\(error?.reason ?? "nothing")")
        #expect(error?.reason.contains("4111") != true, "a card number is repeated")
    }
}
