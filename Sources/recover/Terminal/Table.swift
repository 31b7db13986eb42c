/// Aligned columns for people. Whatever a cell holds is made printable.
struct Table {
    struct Column: ExpressibleByStringLiteral {
        let title: String
        /// Numbers are easier to compare at the right.
        var isRightAligned = false
        /// Whether it gives way where a terminal is too narrow.
        var isFlexible = false

        init(_ title: String, isRightAligned: Bool = false, isFlexible: Bool = false) {
            self.title = title
            self.isRightAligned = isRightAligned
            self.isFlexible = isFlexible
        }

        init(stringLiteral title: String) { self.init(title) }

        static func right(_ title: String) -> Column { Column(title, isRightAligned: true) }
        static func flexible(_ title: String) -> Column { Column(title, isFlexible: true) }
    }

    struct Cell {
        let text: String
        let style: Style?

        init(_ text: String, _ style: Style? = nil) {
            self.text = text.printable
            self.style = style
        }
    }

    /// Columns that a flexible column has at least; where there are less, a table cannot be read any more.
    private static let flexibleColumnsMin = 20
    private static let gap = "  "

    private let columns: [Column]
    private var rows: [[Cell]] = []

    init(_ columns: Column...) { self.columns = columns }

    var isEmpty: Bool { rows.isEmpty }

    mutating func add(_ cells: String...) { add(cells: cells.map { Cell($0) }) }

    mutating func add(cells: [Cell]) {
        precondition(cells.count == columns.count, "a row has as many cells as the header")
        rows.append(cells)
    }

    /// As it is written into files and pipes: nothing cut, no colour.
    var text: String { text(for: .none) }

    /// On a terminal what does not fit is wrapped, and where that leaves too little each row becomes a block; nothing is cut off.
    func text(for terminal: Terminal) -> String {
        let header = columns.map { Cell($0.title, .bold) }
        guard let widths = widths(of: [header] + rows, atMost: terminal.width) else { return blocks(for: terminal) }
        return ([header] + rows).flatMap { lines(of: $0, widths, terminal) }.joined(separator: "\n")
    }

    private func lines(of row: [Cell], _ widths: [Int], _ terminal: Terminal) -> [String] {
        let cells = zip(row, widths).map { $0.text.wrapped(to: $1) }
        let height = cells.map(\.count).max() ?? 1
        return (0..<height).map { number in
            let last = number == 0 ? row.count - 1 : cells.lastIndex { number < $0.count } ?? 0
            var line = ""
            for index in 0...last {
                let text = number < cells[index].count ? cells[index][number] : ""
                let padding = String(repeating: " ", count: widths[index] - text.columns)
                if columns[index].isRightAligned { line += padding }
                line += terminal.styled(text, row[index].style)
                if !columns[index].isRightAligned, index < last { line += padding }
                if index < last { line += Self.gap }
            }
            return line
        }
    }

    /// Each row as its first cell, and below it a line for each other one.
    private func blocks(for terminal: Terminal) -> String {
        let limit = terminal.width ?? .max
        return rows.map { row in
            var lines = "\(columns[0].title) \(row[0].text)".wrapped(to: limit).map { terminal.styled($0, .bold) }
            for (column, cell) in zip(columns, row).dropFirst() where !cell.text.isEmpty {
                let name = Self.gap + column.title.lowercased() + ": "
                let indent = min(name.columns, max(0, limit - Self.flexibleColumnsMin))
                let isNarrow = indent < name.columns
                let text = (isNarrow ? name + cell.text : cell.text).wrapped(
                    to: max(1, limit - (isNarrow ? 0 : indent)))
                for (number, part) in text.enumerated() {
                    let margin = isNarrow ? "" : number == 0 ? name : String(repeating: " ", count: indent)
                    lines.append(margin + terminal.styled(part, cell.style))
                }
            }
            return lines.joined(separator: "\n")
        }.joined(separator: "\n\n")
    }

    /// The widest cell of each column; where that is too much, the widest flexible columns give way.
    ///
    /// - Returns: `nil` if the limit cannot be kept that way.
    private func widths(of all: [[Cell]], atMost limit: Int?) -> [Int]? {
        var widths = columns.indices.map { column in all.map { $0[column].text.columns }.max() ?? 0 }
        guard let limit else { return widths }
        var excess = widths.reduce(0, +) + Self.gap.count * (widths.count - 1) - limit
        while excess > 0 {
            let flexible = columns.indices.filter {
                columns[$0].isFlexible && widths[$0] > Self.flexibleColumnsMin
            }
            guard let widest = flexible.max(by: { widths[$0] < widths[$1] }) else { return nil }
            widths[widest] -= 1
            excess -= 1
        }
        return widths
    }
}
