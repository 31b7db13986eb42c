import Coordinator
import Foundation
import Testing

@testable import Assembly

/// What an order must say, and how it travels.
@Suite struct OrderFormTests {
    private static let id = TransactionID(high: 1, low: 2)

    private static func signature(_ reason: String = "checked with the issuer") throws -> Signature {
        try Signature(actor: "alice", reason: reason)
    }

    private static func fault(actor: String = "alice", reason: String = "why") -> String? {
        do throws(OrderFault) {
            _ = try Signature(actor: actor, reason: reason)
            return nil
        } catch {
            return error.description
        }
    }

    // MARK: - Who and why

    @Test("Goal: plain text of any language is taken as it is")
    func takesPlainText() throws {
        for text in ["a", "Zoë O’Brien", "проверено", "ticket #4711 — see mail", String(repeating: "x", count: 128)] {
            #expect(Self.fault(actor: text, reason: text) == nil, "\(text)")
        }
    }

    @Test(
        "Goal: what is empty, too long or would play tricks on a terminal is refused, and the message says which it is",
        arguments: [
            ("", "why", "the actor is empty"), (" \u{A0}", "why", "the actor is empty"),
            ("alice", "  ", "the reason is empty"),
            (String(repeating: "x", count: 129), "why", "the actor is longer than 128 bytes"),
            ("alice", String(repeating: "é", count: 513), "the reason is longer than 1024 bytes"),
            ("alice", "two\nlines", "control character"), ("ali\u{1B}[2Jce", "why", "control character"),
            ("alice", "right\u{202E}to left", "control character"), ("alice", "line\u{2028}end", "control character"),
            ("alice\u{0}", "why", "control character"),
        ])
    func refuses(actor: String, reason: String, message: String) {
        #expect(Self.fault(actor: actor, reason: reason)?.contains(message) == true)
    }

    @Test(
        "Goal: what could be a card number does not get into the log, however it is grouped",
        arguments: [
            "4111111111111111", "card 4111 1111 1111 1111 called", "(4111-1111-1111-1111)", "row 12: 4111111111111111.",
            "no 7 4111 1111 1111 1111", "pan=4111111111111111", "card:4111 1111 1111 1111", "the card,4111111111111111",
            "[4111111111111111]/USD", "\u{E9} 4111111111111111\u{A0}x 4111111111111111",
        ])
    func refusesCards(reason: String) throws {
        let message = try #require(Self.fault(reason: reason))
        #expect(message.contains("card number") && !message.contains("1111"))
    }

    @Test(
        "Goal: numbers that are no cards are taken",
        arguments: [
            "visa_01a20b26bcf623581991e5860be952d5", "ticket 4111111111111112", "at 2026-11-25 22:56:14", "12 of 34",
            "411111******1111",
        ])
    func takesNumbers(reason: String) {
        #expect(Self.fault(reason: reason) == nil)
    }

    // MARK: - The line

    private static func all() throws -> [OperatorOrder] {
        let by = try signature("quote \" and \\ and é")
        return [
            .resolve(id, .committed, isForced: false, by: by), .resolve(id, .aborted, isForced: true, by: by),
            .retryReversal(id, by: by), .parkReversal(id, by: by), .unparkReversal(id, by: by),
            .releaseQuarantined(7, isDiscarded: true, by: by), .releaseQuarantined(.max, isDiscarded: false, by: by),
            .adopt(id, .committed, by: by), .adopt(id, .aborted, by: by), .recoverNow(only: []),
            .recoverNow(only: [id, TransactionID(high: 3, low: 4)]),
        ]
    }

    @Test("Goal: every order comes out of its line as it went in")
    func roundTrip() throws {
        for order in try Self.all() {
            let line = try order.line
            #expect(line.last == UInt8(ascii: "\n") && line.dropLast().allSatisfy { $0 >= 0x20 })
            #expect(try OperatorOrder(line: line.dropLast()) == order)
        }
    }

    @Test("Goal: the longest order fits into a line")
    func longest() throws {
        let ids = (0..<OrderLimits.transactionsMax).map { TransactionID(high: .max, low: UInt64($0)) }
        #expect(try OperatorOrder.recoverNow(only: ids).line.count <= OrderLimits.lineBytesMax)
        let text = String(repeating: "\"", count: OrderLimits.reasonBytesMax)
        let by = try Signature(actor: String(text.prefix(OrderLimits.actorBytesMax)), reason: text)
        #expect(try OperatorOrder.adopt(Self.id, .committed, by: by).line.count <= OrderLimits.lineBytesMax)
    }

    @Test("Goal: the form on the wire stays what it is")
    func wire() throws {
        let order = OperatorOrder.resolve(Self.id, .aborted, isForced: true, by: try Self.signature())
        let expected =
            #"{"actor":"alice","force":true,"order":"resolve","outcome":"abort","reason":"checked with the issuer","#
            + #""txn_id":"visa_00000000000000010000000000000002","version":1}"# + "\n"
        #expect(String(decoding: try order.line, as: UTF8.self) == expected)
    }

    @Test(
        "Goal: a line that is no order is refused with a reason, whatever it is",
        arguments: [
            ("", "is no order"), ("[]", "is no order"), ("{", "is no order"), ("{}", "is no order"),
            (#"{"version":2,"order":"recover_now"}"#, "version 1 here, not 2"),
            (#"{"version":1,"order":"drop_all"}"#, "“drop_all” is no order"),
            (#"{"version":1,"order":"resolve","outcome":"commit","actor":"a","reason":"r"}"#, "txn_id is missing"),
            (
                #"{"version":1,"order":"reversal_park","txn_id":"visa_00000000000000010000000000000002","actor":"a"}"#,
                "the reason is empty"
            ),
            (
                #"{"version":1,"order":"orphan_adopt","txn_id":"visa_00000000000000010000000000000002","outcome":"yes"}"#,
                "outcome must be commit or abort"
            ),
            (#"{"version":1,"order":"quarantine_release","actor":"a","reason":"r"}"#, "number is missing"),
            (#"{"version":1,"order":"quarantine_release","number":-1,"actor":"a","reason":"r"}"#, "is no order"),
            (#"{"version":1,"order":"recover_now","only":["x"]}"#, "no txn_id"),
        ])
    func malformed(line: String, message: String) {
        do throws(OrderFault) {
            Issue.record("taken: \(try OperatorOrder(line: line.utf8))")
        } catch {
            #expect(error.description.contains(message), "\(error)")
        }
    }

    @Test("Goal: more transactions than a pass may be narrowed to are refused")
    func tooMany() throws {
        let ids = (0...OrderLimits.transactionsMax).map { TransactionID(high: 1, low: UInt64($0)) }
        let line = try OperatorOrder.recoverNow(only: ids).line
        #expect(throws: OrderFault.self) { try OperatorOrder(line: line) }
    }
}
