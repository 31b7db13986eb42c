import Foundation
import Testing

@testable import Payments

@Suite("Requests")
struct RequestDraftTests {
    /// One case of fixtures/requests/judged.txt.
    struct JudgedLine: CustomTestStringConvertible {
        let title: String
        let verdict: String
        let line: String
        var testDescription: String { title }
    }

    static func judgedLines() throws -> [JudgedLine] {
        let text = try fixture("requests/judged.txt")
        var cases: [JudgedLine] = []
        for block in text.components(separatedBy: "\n\n").dropFirst() {
            let lines = block.split(separator: "\n", omittingEmptySubsequences: true)
            guard lines.count == 3, lines[0].hasPrefix("# ") else {
                throw FixtureError(problem: "a case is not three lines: \(block)")
            }
            cases.append(
                JudgedLine(title: String(lines[0].dropFirst(2)), verdict: String(lines[1]), line: String(lines[2])))
        }
        return cases
    }

    struct FixtureError: Error { let problem: String }

    @Test("Every line of the fixtures is judged as it says", arguments: try judgedLines())
    func judged(expected: JudgedLine) {
        #expect(verdict(expected.line) == expected.verdict)
    }

    @Test("The fixtures hold every verdict, and as many cases as were written")
    func fixturesAreComplete() throws {
        let cases = try Self.judgedLines()
        #expect(cases.count >= 100)
        let verdicts = Set(cases.map { $0.verdict.split(separator: " ")[0] })
        #expect(verdicts == ["accepted", "bad_request", "luhn_failed", "amount_invalid"])
        #expect(Set(cases.map(\.title)).count == cases.count)
    }

    private func verdict(_ line: String) -> String {
        do throws(RequestFault) {
            let draft = try draft(line)
            let request = try draft.validated()
            return [
                "accepted", draft.kind.wireName, request.amount.decimalText, draft.currency.code, draft.merchant.text,
                draft.requestID?.text ?? "-", draft.reference?.text ?? "-",
            ].joined(separator: " ")
        } catch {
            switch error {
            case .badRequest: return "bad_request"
            case .luhnFailed: return "luhn_failed"
            case .amountInvalid: return "amount_invalid"
            }
        }
    }

    @Test(
        "A refusal by form names the field and the rule",
        arguments: [
            (#"{"amount":"1"}"#, .missing(.pan)), (#"{"pan":null,"amount":"1"}"#, .missing(.pan)),
            (#"{"pan":{},"amount":"1"}"#, .wrongType(.pan)), (#"{"pan":"1"}"#, .missing(.amount)),
            (#"{"pan":"1","amount":[]}"#, .wrongType(.amount)),
            (#"{"pan":"1","amount":"1","type":"X"}"#, .invalid(.type)),
            (#"{"pan":"1","amount":"1","currency":1}"#, .wrongType(.currency)),
            (#"{"pan":"1","amount":"1","currency":"XXX"}"#, .invalid(.currency)),
            (#"{"pan":"1","amount":"1","request_id":" "}"#, .invalid(.requestID)),
            (#"{"pan":"1","amount":"1","type":"REFUND"}"#, .missing(.reference)),
            (#"{"pan":"1","amount":"1","ref_request_id":false}"#, .wrongType(.reference)),
            (#"{"pan":"1","amount":"1","merchant_id":"é"}"#, .invalid(.merchantID)),
            (#"{"pan":"1","amount":"1","merchant":"é"}"#, .invalid(.merchant)),
            (#"{"pan":"1","amount":"1","merchant":"a","merchant_id":"A"}"#, .merchantsDiffer),
            ("{}x", .json(JSONFault(problem: .trailingText, offset: 2))),
        ] as [(String, RequestFault.Cause)])
    func causes(line: String, expected: RequestFault.Cause) {
        #expect(cause(line) == expected)
    }

    @Test("Invalid UTF-8 is refused, in a field and around it")
    func invalidUTF8() {
        for bytes: [UInt8] in [[0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3]] {
            let inside =
                Array(#"{"pan":"4111111111111111","amount":"1","merchant":""#.utf8) + bytes + Array(#""}"#.utf8)
            #expect(throws: RequestFault.self) { try RequestDraft(json: inside.span) }
            let ignored = Array(#"{"pan":"4111111111111111","amount":"1","x":""#.utf8) + bytes + Array(#""}"#.utf8)
            #expect(throws: RequestFault.badRequest(.json(JSONFault(problem: .invalidUTF8, offset: 44)))) {
                try RequestDraft(json: ignored.span)
            }
        }
    }

    @Test("A line of the greatest length is read, one byte more is refused before it is")
    func length() throws {
        let line = #"{"pan":"4111111111111111","amount":"1"}"#
        let blanks = String(repeating: " ", count: PaymentLimits.lineBytesMax - line.utf8.count)
        _ = try draft(line + blanks).validated()
        #expect(cause(line + blanks + " ") == .tooLong)
        #expect(cause(line + blanks + "x") == .tooLong)
    }

    @Test("Bytes that a network buffer lends are read like any others")
    func rawBuffer() throws {
        let line = Array(#"{"pan":"4111111111111111","amount":"1"}"#.utf8)
        let amount = try line.withUnsafeBytes { try RequestDraft(json: $0).validated().amount }
        #expect(amount.minorUnits == 100)
        #expect(throws: RequestFault.self) { try RequestDraft(json: UnsafeRawBufferPointer(start: nil, count: 0)) }
    }

    @Test("What the address or a header says may be repeated in the text, not contradicted")
    func addressAndHeader() throws {
        let key = try #require(RequestID("key-1"))
        let plain = Array(#"{"pan":"4111111111111111","amount":"1","ref_request_id":"a"}"#.utf8)
        let capture = try RequestDraft(json: plain.span, kind: .capture, requestID: key)
        #expect(capture.kind == .capture)
        #expect(capture.requestID == key)
        #expect(capture.reference?.text == "a")
        let repeated = Array(
            #"{"pan":"4111111111111111","amount":"1","type":"CAPTURE","request_id":"key-1","ref_request_id":"a"}"#.utf8)
        #expect(try RequestDraft(json: repeated.span, kind: .capture, requestID: key).requestID == key)
        #expect(throws: RequestFault.badRequest(.contradiction(.type))) {
            try RequestDraft(json: repeated.span, kind: .refund, requestID: key)
        }
        #expect(throws: RequestFault.badRequest(.contradiction(.requestID))) {
            try RequestDraft(json: repeated.span, kind: .capture, requestID: RequestID("key-2"))
        }
        let bare = Array(#"{"pan":"4111111111111111","amount":"1"}"#.utf8)
        #expect(throws: RequestFault.badRequest(.missing(.reference))) {
            try RequestDraft(json: bare.span, kind: .reversal)
        }
    }

    @Test("The amount's limit is the caller's, in major units of the request's currency")
    func configuredLimit() throws {
        let dollars = try draft(#"{"pan":"4111111111111111","amount":"50.01"}"#)
        #expect(throws: RequestFault.amountInvalid) { try dollars.validated(amountLimitMajorUnits: 50) }
        #expect(try dollars.validated(amountLimitMajorUnits: 51).amount.minorUnits == 5001)
        let yen = try draft(#"{"pan":"4111111111111111","amount":"20000","currency":"JPY"}"#)
        #expect(throws: RequestFault.amountInvalid) { try yen.validated() }
        #expect(try yen.validated(amountLimitMajorUnits: .max).amount.minorUnits == 20_000)
    }

    @Test("The intent carries what was checked and no card number")
    func intent() throws {
        let line =
            #"{"pan":"5555555555554444","amount":"10.5","currency":"EUR","merchant":"M","type":"CAPTURE","#
            + #""ref_request_id":"a","request_id":"r"}"#
        let token = KeyedDigest(keyID: 7, bytes: [1])
        let hash = KeyedDigest(keyID: 7, bytes: [2])
        let requestID = try #require(RequestID("r"))
        let intent = try draft(line).validated().intent(requestID: requestID, panToken: token, requestHash: hash)
        let merchant = try #require(MerchantID("M"))
        let masked = try #require(MaskedPAN(masked: "555555******4444"))
        let amount = Money(minorUnits: 1050, currency: try currency("EUR"))
        #expect(
            intent
                == PaymentIntent(
                    requestID: requestID, kind: .capture, amount: amount, merchant: merchant, maskedPAN: masked,
                    panToken: token, requestHash: hash, reference: RequestID("a")))
        let unnamed = try draft(#"{"pan":"5555555555554444","amount":"1"}"#)
        #expect(unnamed.requestID == nil)
        let named = try unnamed.validated().intent(requestID: requestID, panToken: token, requestHash: hash)
        #expect(named.requestID == requestID)
    }
}
