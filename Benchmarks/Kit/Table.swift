import Foundation

/// Aligned columns for people.
public struct Table: Sendable {
    private let heads: [String]
    private var rows: [[String]] = []

    /// - Parameter heads: the columns' heads. The first column is set to the left, the others to the right.
    public init(_ heads: [String]) { self.heads = heads }

    /// Adds a row, with a cell for each column.
    public mutating func add(_ cells: [String]) {
        precondition(cells.count == heads.count, "a row of \(cells.count) cells in a table of \(heads.count) columns")
        rows.append(cells)
    }

    /// The lines, without an end of the last one.
    public func text() -> String {
        let all = [heads] + rows
        let widths = heads.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ").trimmingSuffix()
        }.joined(separator: "\n")
    }

    public func print() { Swift.print(text()) }

    /// A figure with the digits that tell something.
    public static func number(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        let digits = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : 2
        return String(format: "%.\(digits)f", value)
    }

    /// A share as a percentage.
    public static func percent(_ share: Double) -> String {
        share.isFinite ? String(format: "%.0f %%", share * 100) : "-"
    }
}

extension Report {
    /// Prints the machine, the series, the ratios with their verdicts, and the notes.
    public func print() {
        Swift.print("\(benchmark): \(rounds) rounds\(quick ? ", quick: the figures tell nothing" : "")")
        Swift.print(machine.summary)
        let names = Set(series.flatMap(\.parameters.keys)).sorted()
        var table = Table(["series"] + names + ["median", "unit", "least", "most", "spread"])
        for one in series {
            table.add(
                [one.label] + names.map { one.parameters[$0] ?? "" } + [
                    Table.number(one.median), one.unit, Table.number(one.minimum), Table.number(one.maximum),
                    Table.percent(one.spread),
                ])
        }
        if !series.isEmpty { Swift.print("\n" + table.text()) }
        if !ratios.isEmpty { Swift.print("\n" + ratioTable.text()) }
        if !notes.isEmpty { Swift.print("\n" + notes.joined(separator: "\n")) }
    }

    private var ratioTable: Table {
        var table = Table(["ratio", "median", "spread", "floor", "goal", "reached"])
        for ratio in ratios {
            table.add([
                ratio.name, Table.number(ratio.value), Table.percent(ratio.spread),
                ratio.floor.map(Table.number) ?? "", ratio.goal.map(Table.number) ?? "",
                quick ? "(quick)" : ratio.verdict.rawValue,
            ])
        }
        return table
    }
}

/// What is told while a benchmark runs: on standard error, so that standard output has the result alone.
public enum Progress {
    public static func note(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }
}

extension String {
    fileprivate func trimmingSuffix() -> String {
        var text = Substring(self)
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
