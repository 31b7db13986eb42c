/// A scenario as it is written: blocks of events, `----`, and the effects expected of them; the rest is prose.
///
///     vote clearing yes A1B2C3
///     ----
///     prepare db1 code=A1B2C3
///
/// Lines that begin with `#` and empty lines between blocks are kept as they are.
struct ScenarioText {
    enum Part: Equatable {
        case prose(String)
        case block(Block)
    }

    struct Block: Equatable {
        /// Where the first event stands in the file, counted from 1.
        let line: Int
        let events: [String]
        let expected: [String]
    }

    struct Malformed: Error, CustomStringConvertible {
        let line: Int
        var description: String { "line \(line): a block is events, then ----, then the effects expected" }
    }

    static let separator = "----"
    let parts: [Part]

    var blocks: [Block] {
        parts.compactMap { if case .block(let block) = $0 { block } else { nil } }
    }

    init(_ text: String) throws(Malformed) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var parts: [Part] = []
        var index = 0
        while index < lines.count {
            if lines[index].isEmpty || lines[index].hasPrefix("#") {
                parts.append(.prose(lines[index]))
                index += 1
                continue
            }
            let end = lines[index...].firstIndex(of: "") ?? lines.count
            let block = lines[index..<end]
            guard let middle = block.firstIndex(of: Self.separator), middle > index else {
                throw Malformed(line: index + 1)
            }
            parts.append(
                .block(
                    Block(
                        line: index + 1, events: Array(block[..<middle]), expected: Array(block[(middle + 1)...]))))
            index = end
        }
        self.parts = parts
    }

    /// The same scenario with other expectations, one list for each block.
    func text(expecting effects: [[String]]) -> String {
        var remaining = effects[...]
        return parts.flatMap { part -> [String] in
            switch part {
            case .prose(let line): [line]
            case .block(let block): block.events + [Self.separator] + (remaining.popFirst() ?? block.expected)
            }
        }.joined(separator: "\n")
    }
}
