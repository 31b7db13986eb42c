import Testing

@testable import Payments

/// The bytes that the request's hash is made of: they decide what a repeat is.
@Suite("Canonical bytes of a request")
struct CanonicalBytesTests {
    private static let base = #"{"pan":"4111111111111111","amount":"10.50","request_id":"r"}"#

    @Test("The encoding is on disk as a hash, so it never changes unnoticed")
    func golden() throws {
        let expected: [UInt8] =
            [1, 1, 0, 0, 0, 16] + Array("4111111111111111".utf8) + [1, 0, 0, 0, 4] + Array("1050".utf8)
            + [0, 0, 0, 3] + Array("USD".utf8) + [0, 0, 0, 11] + Array("MERCHANT001".utf8) + [0, 0, 0, 0]
        #expect(try canonical(Self.base) == expected)
        let refund =
            #"{"type":"REFUND","pan":"4111111111111112","amount":"1e3","currency":"JPY","merchant":"M","#
            + #""ref_request_id":"a"}"#
        let expectedRefund: [UInt8] =
            [1, 3, 0, 0, 0, 16] + Array("4111111111111112".utf8) + [2, 0, 0, 0, 3] + Array("1e3".utf8)
            + [0, 0, 0, 3] + Array("JPY".utf8) + [0, 0, 0, 1] + Array("M".utf8) + [0, 0, 0, 1] + Array("a".utf8)
        #expect(try canonical(refund) == expectedRefund)
    }

    @Test(
        "Spellings of the same request have the same bytes",
        arguments: [
            #"{"pan":"4111111111111111","amount":"10.5"}"#, #"{"pan":"4111111111111111","amount":10.5}"#,
            #"{"pan":4111111111111111,"amount":10.50}"#, #"{"amount":"0010.50","pan":"4111111111111111"}"#,
            #" { "pan" : "4111111111111111" , "amount" : "10.5" , "note" : 1 } "#,
            #"{"pan":"\u0034111111111111111","amount":"10.5"}"#,
            #"{"pan":"4111111111111111","amount":"10.5","currency":"USD","type":"AUTH","merchant":"MERCHANT001"}"#,
            #"{"pan":"4111111111111111","amount":"10.5","merchant_id":"MERCHANT001","request_id":"another"}"#,
            #"{"pan":"4111111111111111","amount":"10.5","ref_request_id":"ignored-for-AUTH"}"#,
        ])
    func same(line: String) throws {
        #expect(try canonical(line) == canonical(Self.base))
    }

    @Test("Requests that differ in anything that matters differ in their bytes, pairwise")
    func different() throws {
        let lines = [
            Self.base,
            #"{"pan":"5555555555554444","amount":"10.50"}"#,
            #"{"pan":"4111111111111112","amount":"10.50"}"#,
            #"{"pan":"","amount":"10.50"}"#,
            #"{"pan":"4111111111111111","amount":"10.51"}"#,
            #"{"pan":"4111111111111111","amount":"1050"}"#,
            #"{"pan":"4111111111111111","amount":"10.500"}"#,
            #"{"pan":"4111111111111111","amount":"-10.50"}"#,
            #"{"pan":"4111111111111111","amount":""}"#,
            #"{"pan":"4111111111111111","amount":"10.50","currency":"EUR"}"#,
            #"{"pan":"4111111111111111","amount":"10.50","merchant":"MERCHANT002"}"#,
            #"{"pan":"4111111111111111","amount":"10.50","type":"CAPTURE","ref_request_id":"a"}"#,
            #"{"pan":"4111111111111111","amount":"10.50","type":"CAPTURE","ref_request_id":"b"}"#,
            #"{"pan":"4111111111111111","amount":"10.50","type":"REFUND","ref_request_id":"a"}"#,
            #"{"pan":"4111111111111111","amount":"10.50","type":"REVERSAL","ref_request_id":"a"}"#,
            // The border between two fields shifted by a character.
            #"{"pan":"4111111111111111","amount":"10.50","merchant":"XY","type":"CAPTURE","ref_request_id":"Z"}"#,
            #"{"pan":"4111111111111111","amount":"10.50","merchant":"X","type":"CAPTURE","ref_request_id":"YZ"}"#,
            // The same minor units in other currencies, and a text that looks like minor units.
            #"{"pan":"4111111111111111","amount":"1050","currency":"JPY"}"#,
            #"{"pan":"4111111111111111","amount":"1.050","currency":"KWD"}"#,
        ]
        let encodings = try lines.map { try canonical($0) }
        #expect(Set(encodings).count == lines.count)
    }

    @Test("A change of the amount's limit makes no conflict of a retry: the limit is no part of the bytes")
    func limitIsNoPart() throws {
        #expect(
            try canonical(#"{"pan":"4111111111111111","amount":"20000"}"#)
                == canonical(#"{"pan":"4111111111111111","amount":"20000.00"}"#))
    }
}
