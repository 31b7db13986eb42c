/// Draws a chart: one panel for throughput, one for latency, a legend above. Readable on light and on dark backgrounds, since it
/// has none of its own and no colour near black or white.
struct ChartDrawing {
    private static let width = 720.0
    private static let panelHeight = 240.0
    private static let left = 76.0
    private static let right = 20.0
    /// Above the first panel, without the legend.
    private static let head = 36.0
    private static let legendLine = 20.0
    /// Between two panels, with the axis' numbers and its name.
    private static let gap = 58.0
    private static let legendColumns = 3

    private static let ink = "#7d8590"
    /// Of about the same lightness, and told apart by people who see few colours; marks differ too.
    private static let colors = ["#3b82f6", "#e8700a", "#2e9e6b", "#a56eff", "#e0528d", "#b08800"]

    private struct Panel {
        let name: String
        let lines: [Chart.Line]
        let scale: ([Double]) -> Scale
    }

    private let chart: Chart
    private let inFlight: Scale
    private var svg = SVGText()

    /// The SVG document.
    static func document(of chart: Chart) -> String {
        var drawing = ChartDrawing(chart)
        drawing.draw()
        return drawing.svg.document
    }

    private init(_ chart: Chart) {
        self.chart = chart
        inFlight = .powersOfTwo((chart.throughput + chart.latency).flatMap { $0.points.map(\.inFlight) })
    }

    private mutating func draw() {
        let panels = [
            Panel(name: chart.throughputName, lines: chart.throughput, scale: Scale.fromZero),
            Panel(name: "latency, ms", lines: chart.latency, scale: Scale.powersOfTen),
        ].filter { !$0.lines.isEmpty }
        let legendRows = (chart.subjects.count + Self.legendColumns - 1) / Self.legendColumns
        let top = Self.head + Double(legendRows) * Self.legendLine
        let height = top + Double(panels.count) * (Self.panelHeight + Self.gap)
        svg.open(width: Self.width, height: height, title: "\(chart.title): throughput and latency")
        svg.text(chart.title, x: Self.left, y: 20, color: Self.ink, isBold: true)
        svg.text(
            "medians of the rounds, bars from the least to the most", x: Self.width - Self.right, y: 20, anchor: .end,
            color: Self.ink)
        legend()
        for (number, panel) in panels.enumerated() {
            // What the bars reach is inside, too.
            let values = panel.lines.flatMap { $0.points.flatMap { [$0.least, $0.most] } }
            draw(
                panel.lines, named: panel.name, by: panel.scale(values),
                top: top + Double(number) * (Self.panelHeight + Self.gap))
        }
        svg.close()
    }

    private mutating func legend() {
        let column = (Self.width - Self.left - Self.right) / Double(Self.legendColumns)
        for (number, subject) in chart.subjects.enumerated() {
            let x = Self.left + column * Double(number % Self.legendColumns)
            let y = Self.head + Self.legendLine * Double(number / Self.legendColumns) + 4
            svg.mark(number, at: (x + 5, y - 4), color: color(number))
            svg.text(subject, x: x + 15, y: y, color: color(number))
        }
    }

    private mutating func draw(_ lines: [Chart.Line], named name: String, by scale: Scale, top: Double) {
        let bottom = top + Self.panelHeight
        let inFlight = inFlight
        func x(_ value: Double) -> Double {
            Self.left + inFlight.place(value) * (Self.width - Self.left - Self.right)
        }
        func y(_ value: Double) -> Double { bottom - scale.place(value) * Self.panelHeight }

        for tick in scale.ticks {
            svg.line(
                from: (Self.left, y(tick)), to: (Self.width - Self.right, y(tick)), color: Self.ink,
                opacity: tick == scale.least ? 1 : 0.25)
            svg.text(Scale.text(tick), x: Self.left - 8, y: y(tick) + 4, anchor: .end, color: Self.ink)
        }
        for tick in inFlight.ticks {
            svg.line(from: (x(tick), bottom), to: (x(tick), bottom + 5), color: Self.ink)
            svg.text(Scale.text(tick), x: x(tick), y: bottom + 19, anchor: .middle, color: Self.ink)
        }
        svg.text(
            chart.loadName, x: (Self.left + Self.width - Self.right) / 2, y: bottom + 37, anchor: .middle,
            color: Self.ink)
        svg.text(name, x: 16, y: (top + bottom) / 2, anchor: .middle, color: Self.ink, isUpright: true)
        if lines.contains(where: { $0.percentile == .p99 }) {
            svg.text(
                "p50 solid, p99 dashed", x: Self.width - Self.right, y: bottom + 37, anchor: .end, color: Self.ink)
        }
        for line in lines {
            let number = chart.subjects.firstIndex(of: line.subject) ?? 0
            let points = line.points.filter(\.median.isFinite)
            for point in points where point.most > point.least {
                svg.line(
                    from: (x(point.inFlight), y(point.least)), to: (x(point.inFlight), y(point.most)),
                    color: color(number), opacity: 0.6)
            }
            svg.polyline(
                points.map { (x($0.inFlight), y($0.median)) }, color: color(number), isDashed: line.percentile == .p99)
            for point in points { svg.mark(number, at: (x(point.inFlight), y(point.median)), color: color(number)) }
        }
    }

    private func color(_ number: Int) -> String { Self.colors[number % Self.colors.count] }
}
