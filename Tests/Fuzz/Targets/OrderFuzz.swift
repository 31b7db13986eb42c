import Coordinator
import Foundation

@testable import Assembly

/// A line of the control socket, in both directions: an operator's order, and the server's result.
enum OrderFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        try order(input)
        try result(input)
    }

    private struct Named: Decodable { let order: String }

    private static func order(_ input: [UInt8]) throws {
        let order: OperatorOrder
        do throws(OrderFault) {
            order = try OperatorOrder(line: input)
        } catch {
            let answer = Texts.text(try OrderResult(error).line.dropLast())
            try Texts.jsonLine(answer, "the answer to what is no order")
            // The name of an unknown order is repeated, and nothing else that was sent.
            let name = (try? JSONDecoder().decode(Named.self, from: Data(input)))?.order
            let isNamed = Texts.cards(in: input).contains { name?.contains($0) == true }
            if !isNamed { try Texts.holdNone(of: Texts.cards(in: input), in: answer, "a refusal of an order") }
            return
        }
        let line = try order.line
        try hold(line.last == UInt8(ascii: "\n"), "an order's line does not end")
        let text = Texts.text(line.dropLast())
        try Texts.jsonLine(text, "an order")
        try hold(try OperatorOrder(line: line.dropLast()) == order, "an order written and read again is another one")
        try hold(!order.words.isEmpty, "an order without words")
        guard let signature = order.signature else { return }
        for text in [signature.actor, signature.reason] {
            try hold(!text.isEmpty && text.utf8.count <= OrderLimits.reasonBytesMax, "a signature is too long")
            try hold(RecordWordsCheck.isPrintable(text), "a signature holds what a terminal obeys")
            // Digits that are a part of a longer name are no card number.
            try hold(standingAlone(text).isEmpty, "a card number goes into the log with an order")
        }
    }

    /// Card numbers that no letter or underscore touches.
    private static func standingAlone(_ text: String) -> [String] {
        let words = text.utf8.split { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), 0x80...:
                false
            default: true
            }
        }
        return words.flatMap { word in
            word.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } ? Texts.cards(in: Array(word)) : []
        }
    }

    private static func result(_ input: [UInt8]) throws {
        guard let result = try? OrderResult(line: input) else { return }
        let line = try result.line
        try Texts.jsonLine(Texts.text(line.dropLast()), "a result")
        try hold(try OrderResult(line: line.dropLast()) == result, "a result written and read again is another one")
    }
}
