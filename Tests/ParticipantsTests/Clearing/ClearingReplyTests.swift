import Coordinator
import NIOCore
import Testing

@testable import ClearingParticipant

/// Goal: a reply is believed only if it is the contract's to the letter; whatever else comes is unreadable.
@Suite struct ClearingReplyTests {
    private static func reply(_ status: UInt, _ body: String) -> ClearingReply {
        ClearingReply(httpStatus: status, body: Array(body.utf8), transaction: ClearingFixture.transaction)
    }

    @Test func believed() {
        #expect(Self.reply(200, ClearingFixture.ok) == .holdPlaced(authorizationCode: "A1B2C3"))
        #expect(Self.reply(200, ClearingFixture.settled) == .settled)
        #expect(Self.reply(200, ClearingFixture.released) == .holdReleased)
        for status: UInt in [200, 402, 409, 422] {
            #expect(Self.reply(status, ClearingFixture.declined) == .declined("do_not_honor"))
        }
        for status: UInt in [200, 400, 409, 500, 503] {
            #expect(Self.reply(status, ClearingFixture.failed) == .error("internal"))
        }
        #expect(Self.reply(200, #"{"more":[1],"status":"OK","action":"settled","state":null}"#) == .settled)
        #expect(Self.reply(200, #"{"status":"DECLINED"}"#) == .declined("no reason given"))
    }

    @Test(arguments: ["held", "settled", "released", "declined", "tombstone", "unknown"])
    func statuses(name: String) throws {
        let body = #"{"status":"OK","transaction_id":"\#(ClearingFixture.transaction)","state":"\#(name)"}"#
        let expected = try #require(ClearingStatus(wireName: name))
        #expect(Self.reply(200, body) == .status(expected))
    }

    @Test(arguments: [
        (UInt(200), ""), (200, "OK"), (200, "{"), (200, "[]"), (200, "null"), (200, "{}"), (200, "<html>"),
        (200, #"{"status":"ok","action":"settled"}"#), (200, #"{"status":"OK"}"#),
        (200, #"{"status":"OK","action":"hold_placed"}"#),
        (200, #"{"status":"OK","action":"hold_placed","auth_code":""}"#),
        (200, #"{"status":"OK","action":"hold_placed","auth_code":"a b"}"#),
        (200, #"{"status":"OK","action":"hold_placed","auth_code":7}"#),
        (200, #"{"status":"OK","action":"hold_placed","auth_code":"123456789012345678901234567890123"}"#),
        (200, #"{"status":"OK","action":"refunded"}"#), (200, #"{"status":"OK","action":7}"#),
        (200, #"{"status":"OK","action":"settled","state":"held"}"#), (200, #"{"status":"OK","state":"held"}"#),
        (200, #"{"status":"OK","state":"lost","transaction_id":"visa_00000000000000010000000000000002"}"#),
        (200, #"{"status":"OK","action":"settled","transaction_id":"visa_ffffffffffffffffffffffffffffffff"}"#),
        (409, #"{"status":"DECLINED","reason":"x","transaction_id":"somebody else's"}"#),
        (201, #"{"status":"OK","action":"settled"}"#), (500, #"{"status":"OK","action":"settled"}"#),
        (302, #"{"status":"DECLINED","reason":"x"}"#), (502, #"{"status":"DECLINED","reason":"x"}"#),
        (200, #"{"status":"OK","status":"DECLINED","action":"settled"}"#),
        (200, #"{"status":"OK","action":"settled"} x"#), (200, #"{"status":"DECLINED","reason":{}}"#),
        (404, "not found"), (503, ""),
    ])
    func unreadable(status: UInt, body: String) {
        guard case .unreadable(let reason) = Self.reply(status, body) else {
            unexpected(body, "believed with status \(status)")
            return
        }
        #expect(!reason.contains("{"), "the reply is repeated in a message")
    }

    /// A reason is fit for a log line, whatever the network sends.
    @Test func reasonsAreMadeSafe() {
        let long = String(repeating: "r", count: 1000)
        #expect(
            Self.reply(200, #"{"status":"DECLINED","reason":"\#(long)"}"#)
                == .declined(String(repeating: "r", count: ClearingLimits.reasonCharactersMax)))
        #expect(Self.reply(200, #"{"status":"DECLINED","reason":"a\nb\u0000cä"}"#) == .declined("abc"))
    }

    /// The body is valid JSON whatever the merchant is called, and has the contract's fields.
    @Test func messages() throws {
        for merchant in ["MERCHANT001", #"a"b\c"#, "Caf} {"] {
            let message = ClearingMessage(
                action: .prepare, transaction: ClearingFixture.transaction,
                intent: try ClearingFixture.intent(merchant: merchant), isRepeat: false)
            let escaped = merchant.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            #expect(
                String(buffer: message.encoded())
                    == #"{"action":"prepare","transaction_id":"\#(ClearingFixture.transaction)","#
                    + #""pan":"411111******1111","amount":"12.34","currency":"USD","merchant_id":"\#(escaped)","#
                    + #""type":"AUTH"}"#)
        }
        let repeated = ClearingMessage(
            action: .abort, transaction: ClearingFixture.transaction,
            intent: try ClearingFixture.intent(kind: .refund), isRepeat: true)
        #expect(String(buffer: repeated.encoded()).hasSuffix(#""type":"REFUND","repeat":true}"#))
        #expect(JSONText.quoted("a\u{1}\n\u{1F}ä") == "\"a\\u0001\\u000a\\u001fä\"")
    }

    @Test(arguments: [
        "", "localhost:8082", "ftp://localhost", "http://", "http://h?x=1", "http://h#f", "http://user:secret@h",
        "http://user@h",
    ])
    func wrongAddresses(address: String) {
        let error = #expect(throws: ClearingConfigurationError.self) {
            try ClearingConfiguration(url: address, attemptTimeout: .seconds(1), retryMax: 2)
        }
        #expect(error?.description.contains("secret") == false)
    }

    @Test func wrongNumbers() {
        #expect(throws: ClearingConfigurationError.timeout) {
            try ClearingConfiguration(url: "http://h", attemptTimeout: .zero, retryMax: 2)
        }
        #expect(throws: ClearingConfigurationError.retries) {
            try ClearingConfiguration(url: "http://h", attemptTimeout: .seconds(1), retryMax: -1)
        }
        #expect(throws: ClearingConfigurationError.backoff) {
            try ClearingConfiguration(
                url: "http://h", attemptTimeout: .seconds(1), retryMax: 1, backoffBase: .seconds(3))
        }
    }
}
