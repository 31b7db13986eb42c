import NIOCore
import Payments
import Testing

@testable import LoadGenerator

/// What is sent.
@Suite struct PaymentScriptTests {
    @Test("Goal: every card number is valid, none is used twice before all were used, and none is an issuer's")
    func cards() {
        let script = PaymentScript(cards: 5000)
        let cards = (0..<10_000).map { String(decoding: script.card($0), as: UTF8.self) }
        #expect(cards.allSatisfy { PAN($0) != nil && $0.hasPrefix("9") && $0.count == 16 })
        #expect(Set(cards.prefix(5000)).count == 5000)
        #expect(Array(cards.prefix(5000)) == Array(cards.suffix(5000)))
    }

    @Test("Goal: the server's parser takes every line for what it is meant to be")
    func lines() throws {
        let script = PaymentScript(prefix: "t")
        for number in [0, 1, 99, 899_899, 899_900, 12_345_678] {
            let line = String(buffer: script.line(number, kind: .authorization, reference: nil))
            #expect(line.hasSuffix("}\n"))
            let draft = try Array(line.utf8.dropLast()).withUnsafeBytes { try RequestDraft(json: $0) }
            #expect(draft.requestID?.text == "t-\(number)")
        }
        let capture = String(buffer: script.line(7, kind: .capture, reference: 3))
        #expect(capture.contains(#""type":"CAPTURE","ref_request_id":"t-3""#))
        #expect(capture.contains(#""amount":"\#(script.amount(3))""#), "it acts on the earlier payment's amount")
    }

    @Test("Goal: amounts have two decimals and stay within the wire's limit")
    func amounts() {
        let script = PaymentScript()
        for number in stride(from: 0, to: 2_000_000, by: 977) {
            let parts = script.amount(number).split(separator: ".")
            #expect(parts.count == 2 && parts[1].count == 2)
            #expect(Int(parts[0]).map { (1...9999).contains($0) } == true)
        }
    }

    @Test("Goal: a mix gives each kind its share, and what is no mix is refused")
    func mixes() throws {
        let mix = try #require(PaymentScript.Mix("auth=80,capture=15,refund=5"))
        let script = PaymentScript()
        var counts: [PaymentScript.Kind: Int] = [:]
        for number in 0..<20_000 { counts[mix.kind(at: script.draw(number, 2)), default: 0] += 1 }
        #expect(abs(counts[.authorization, default: 0] - 16_000) < 400)
        #expect(abs(counts[.capture, default: 0] - 3000) < 300)
        #expect(abs(counts[.refund, default: 0] - 1000) < 200)
        #expect(counts[.reversal] == nil)
        for text in ["", "auth", "auth=-1", "auth=0", "sale=1", "auth=x", "auth=inf"] {
            #expect(PaymentScript.Mix(text) == nil, "\(text)")
        }
    }
}
