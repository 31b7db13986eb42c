/// Swift source with comments and the contents of string literals blanked, so that a rule finds code only.
///
/// Lines keep their numbers. Code within an interpolation stays. Regular expression literals are not known: a quote in one
/// blanks at most the rest of its line.
enum SwiftText {
    /// Of the same length in bytes as `text`.
    static func code(of text: String) -> String {
        var scanner = Scanner(source: Array(text.utf8))
        scanner.scanCode(untilParenthesis: false)
        return String(decoding: scanner.code, as: UTF8.self)
    }

    /// On bytes: all that matters is ASCII, and a byte of another character is never one of ASCII's.
    private struct Scanner {
        private static let newline = UInt8(ascii: "\n")

        private let source: [UInt8]
        private var position = 0
        private(set) var code: [UInt8] = []

        init(source: [UInt8]) {
            self.source = source
            code.reserveCapacity(source.count)
        }

        private var isAtEnd: Bool { position >= source.count }

        private func isAt(_ word: [UInt8], ahead: Int = 0) -> Bool {
            let begin = position + ahead
            return begin + word.count <= source.count && source[begin..<(begin + word.count)].elementsEqual(word)
        }

        private mutating func keep() {
            code.append(source[position])
            position += 1
        }

        private mutating func blank(_ count: Int = 1) {
            for _ in 0..<count where !isAtEnd {
                code.append(source[position] == Self.newline ? Self.newline : UInt8(ascii: " "))
                position += 1
            }
        }

        /// - Parameter untilParenthesis: stop after the parenthesis that closes an interpolation.
        mutating func scanCode(untilParenthesis: Bool) {
            var depth = 0
            while !isAtEnd {
                switch source[position] {
                case UInt8(ascii: "/") where isAt(Array("//".utf8)):
                    while !isAtEnd, source[position] != Self.newline { blank() }
                case UInt8(ascii: "/") where isAt(Array("/*".utf8)):
                    scanBlockComment()
                case UInt8(ascii: "#"), UInt8(ascii: "\""):
                    if let hashes = hashesOfLiteral() { scanLiteral(hashes: hashes) } else { keep() }
                case UInt8(ascii: "("):
                    depth += 1
                    keep()
                case UInt8(ascii: ")"):
                    if untilParenthesis, depth == 0 { return blank() }
                    depth -= 1
                    keep()
                case _:
                    keep()
                }
            }
        }

        private mutating func scanBlockComment() {
            var depth = 0
            repeat {
                if isAt(Array("/*".utf8)) {
                    depth += 1
                    blank(2)
                } else if isAt(Array("*/".utf8)) {
                    depth -= 1
                    blank(2)
                } else {
                    blank()
                }
            } while depth > 0 && !isAtEnd
        }

        /// The number of `#` before the quote of a literal that begins here; `nil` if none begins.
        private func hashesOfLiteral() -> Int? {
            var index = position
            while index < source.count, source[index] == UInt8(ascii: "#") { index += 1 }
            guard index < source.count, source[index] == UInt8(ascii: "\"") else { return nil }
            return index - position
        }

        private mutating func scanLiteral(hashes: Int) {
            let pounds = Array(repeating: UInt8(ascii: "#"), count: hashes)
            let isMultiline = isAt(Array("\"\"\"".utf8), ahead: hashes)
            let quote = Array(repeating: UInt8(ascii: "\""), count: isMultiline ? 3 : 1)
            let escape = [UInt8(ascii: "\\")] + pounds
            blank(hashes + quote.count)
            while !isAtEnd {
                if isAt(quote + pounds) {
                    return blank(quote.count + hashes)
                } else if isAt(escape + [UInt8(ascii: "(")]) {
                    blank(escape.count + 1)
                    scanCode(untilParenthesis: true)
                } else if isAt(escape) {
                    blank(escape.count + 1)
                } else if !isMultiline, source[position] == Self.newline {
                    return
                } else {
                    blank()
                }
            }
        }
    }
}
