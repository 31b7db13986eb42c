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

    /// Columns below which a flexible column is not cut.
    private static let flexibleColumnsMin = 8
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

    func text(for terminal: Terminal) -> String {
        let header = columns.map { Cell($0.title, .bold) }
        let widths = widths(of: [header] + rows, atMost: terminal.width)
        return ([header] + rows).map { row in
            var line = ""
            for (index, cell) in row.enumerated() {
                let text = cell.text.clipped(to: widths[index])
                let padding = String(repeating: " ", count: widths[index] - text.columns)
                let isLast = index == row.count - 1
                if columns[index].isRightAligned { line += padding }
                line += terminal.styled(text, cell.style)
                if !columns[index].isRightAligned, !isLast { line += padding }
                if !isLast { line += Self.gap }
            }
            return line
        }.joined(separator: "\n")
    }

    /// The widest cell of each column; where that is too much, the widest flexible columns give way first, then the last ones.
    private func widths(of all: [[Cell]], atMost limit: Int?) -> [Int] {
        var widths = columns.indices.map { column in all.map { $0[column].text.columns }.max() ?? 0 }
        guard let limit else { return widths }
        var excess = widths.reduce(0, +) + Self.gap.count * (widths.count - 1) - limit
        while excess > 0 {
            let flexible = columns.indices.filter {
                columns[$0].isFlexible && widths[$0] > Self.flexibleColumnsMin
            }
            guard let widest = flexible.max(by: { widths[$0] < widths[$1] }) else { break }
            widths[widest] -= 1
            excess -= 1
        }
        for column in columns.indices.reversed() where excess > 0 {
            let cut = min(excess, max(0, widths[column] - 1))
            widths[column] -= cut
            excess -= cut
        }
        return widths
    }
}
