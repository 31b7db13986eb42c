import Testing

@testable import Payments

/// No description of anything that holds a card number shows more of it than six and four digits.
@Suite("Card numbers are never shown")
struct ConcealmentTests {
    private static let number = "4539578763621486"

    /// Everything that a log statement, a test failure or a debugger would print of `value`.
    private func shown<Value>(_ value: Value) -> [String] {
        var dumped = ""
        dump(value, to: &dumped)
        var dumpedInside = ""
        dump([Optional(value)], to: &dumpedInside)
        return [
            "\(value)", String(describing: value), String(reflecting: value), "\([value])",
            String(reflecting: Optional(value)),
            dumped, dumpedInside, String(reflecting: Mirror(reflecting: value).children.map { $0 }),
        ]
    }

    /// Six digits of a card number may be shown together, not a seventh.
    private func expectConcealed<Value>(_ value: Value, _ location: SourceLocation = #_sourceLocation) {
        for text in shown(value) {
            let longestRun = text.split(whereSeparator: { !$0.isASCII || !$0.isNumber }).map(\.count).max() ?? 0
            #expect(longestRun < 7, "\(text)", sourceLocation: location)
            #expect(!text.contains("1e4539"), sourceLocation: location)
        }
    }

    @Test("A card number shows its mask")
    func pan() throws {
        let pan = try #require(PAN(Self.number))
        expectConcealed(pan)
        #expect("\(pan)" == "453957******1486")
        #expect(shown(pan).allSatisfy { $0.contains("453957******1486") })
    }

    @Test(
        "A request shows its mask and no text of the client's, wherever the card number slipped to",
        arguments: [
            #"{"pan":"4539578763621486","amount":"12.34","request_id":"r-1","merchant":"M","currency":"EUR"}"#,
            #"{"pan":4539578763621486,"amount":12.34}"#,
            #"{"pan":"4539578763621487","amount":"12.34"}"#,
            #"{"pan":"4539578763621486x","amount":"12.34"}"#,
            #"{"pan":"45395787636214864539578763621486","amount":"12.34"}"#,
            #"{"pan":"4539578763621486","amount":"4539578763621486"}"#,
            #"{"pan":"4539578763621486","amount":4539578763621486}"#,
            #"{"pan":"4539578763621486","amount":"12","x":{"pan":"4539578763621486"},"4539578763621486":1}"#,
        ])
    func draft(line: String) throws {
        let bytes = Array(line.utf8)
        let draft = try RequestDraft(json: bytes.span)
        expectConcealed(draft)
        expectConcealed(try JSONObject(json: bytes.span))
        for member in try JSONObject(json: bytes.span).members {
            expectConcealed(member)
            expectConcealed(member.value)
        }
        do throws(RequestFault) {
            expectConcealed(try draft.validated())
        } catch {
            expectConcealed(error)
        }
    }

    @Test("The mask of a draft is there for every number of the right length, and only then")
    func maskOfDraft() throws {
        func mask(_ pan: String) throws -> String? {
            try PaymentsTests.draft(#"{"pan":"\#(pan)","amount":"1"}"#).maskedPAN?.text
        }
        #expect(try mask("4539578763621486") == "453957******1486")
        #expect(try mask("4539578763621487") == "453957******1487")
        #expect(try mask("503396198908") == "503396**8908")
        #expect(try mask("6304950600000000007") == "630495*********0007")
        for malformed in ["", "45395787636", "45395787636214860000", "4539 5787 6362 1486", "453957876362148６"] {
            #expect(try mask(malformed) == nil)
        }
        #expect(
            "\(try PaymentsTests.draft(#"{"pan":"4539578763621486","amount":"1","request_id":"r-1"}"#))"
                == "AUTH request r-1, card 453957******1486")
        #expect(
            "\(try PaymentsTests.draft(#"{"pan":"x","amount":"1"}"#))"
                == "AUTH request without request_id, card malformed")
    }

    @Test("A refusal quotes nothing of the line")
    func faults() {
        for line in [
            #"{"pan":"4539578763621486","amount":"1"} 4539578763621486"#, #"{"pan":["4539578763621486"],"amount":"1"}"#,
            #"{"pan":"4539578763621486","amount":"1","type":"4539578763621486"}"#,
            #"{"pan":"4539578763621486","amount":"1","currency":"4539578763621486"}"#,
            #"{"4539578763621486":1,"4539578763621486":1}"#, "4539578763621486",
        ] {
            let bytes = Array(line.utf8)
            do throws(RequestFault) {
                _ = try RequestDraft(json: bytes.span)
                Issue.record("not refused: a line that is wrong")
            } catch {
                expectConcealed(error)
                #expect(!error.description.isEmpty)
            }
        }
    }

    @Test("An intent holds no card number at all")
    func intent() throws {
        let request = try PaymentsTests.draft(#"{"pan":"4539578763621486","amount":"1"}"#).validated()
        let digest = KeyedDigest(keyID: 1, bytes: Array(repeating: 255, count: 32))
        expectConcealed(
            request.intent(requestID: try #require(RequestID("r")), panToken: digest, requestHash: digest))
    }
}
