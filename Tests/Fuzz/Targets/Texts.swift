import Foundation
import Payments

/// What is asked of texts that leave the program.
enum Texts {
    /// The card numbers that stand alone in an input, as a careless client may put them anywhere. Nothing of ours prints runs of
    /// digits that long, but zeros.
    static func cards(in input: [UInt8]) -> [String] {
        input.split(whereSeparator: { !isDigit($0) }).filter { run in
            PaymentLimits.panDigits.contains(run.count) && run.first != UInt8(ascii: "0") && Luhn.isValid(Array(run))
        }.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    /// Throws if the text shows one of the card numbers.
    static func holdNone(of cards: [String], in text: @autoclosure () -> String, _ place: String) throws {
        guard !cards.isEmpty else { return }
        let text = text()
        try hold(!cards.contains { text.contains($0) }, "\(place) shows a card number")
    }

    /// Reads what must be one JSON value, with a reader that is not ours.
    @discardableResult
    static func json(_ text: String, _ place: String) throws -> Any {
        do {
            return try JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)
        } catch {
            throw Finding(description: "\(place) is not JSON")
        }
    }

    /// One line, and JSON.
    @discardableResult
    static func jsonLine(_ text: String, _ place: String) throws -> Any {
        try hold(!text.utf8.contains(UInt8(ascii: "\n")), "\(place) is more than one line")
        return try json(text, place)
    }

    /// A valid text of whatever bytes there are: what is no UTF-8 is replaced, as where texts of C are read.
    static func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}
