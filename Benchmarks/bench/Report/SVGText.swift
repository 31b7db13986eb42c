import Foundation

/// Writes the few elements of SVG that a chart needs. The same calls always make the same text.
struct SVGText {
    private(set) var lines: [String] = []

    /// A point's coordinates with one decimal, which is finer than any screen.
    static func number(_ value: Double) -> String {
        let rounded = (value * 10).rounded() / 10
        // There is no minus zero.
        return rounded == rounded.rounded() ? String(Int(rounded)) : String(format: "%.1f", rounded)
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }

    mutating func open(width: Double, height: Double, title: String) {
        let (width, height) = (Self.number(width), Self.number(height))
        lines.append(
            #"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \#(width) \#(height)" width="\#(width)" "#
                + #"height="\#(height)" role="img" font-family="system-ui, sans-serif" font-size="12">"#)
        lines.append("<title>\(Self.escaped(title))</title>")
    }

    mutating func close() { lines.append("</svg>") }

    enum Anchor: String {
        case start, middle, end
    }

    mutating func text(
        _ text: String, x: Double, y: Double, anchor: Anchor = .start, color: String, isBold: Bool = false,
        isUpright: Bool = false
    ) {
        let (x, y) = (Self.number(x), Self.number(y))
        let turn = isUpright ? #" transform="rotate(-90 \#(x) \#(y))""# : ""
        let weight = isBold ? #" font-weight="600""# : ""
        lines.append(
            #"<text x="\#(x)" y="\#(y)" text-anchor="\#(anchor.rawValue)" fill="\#(color)"\#(weight)\#(turn)>"#
                + Self.escaped(text) + "</text>")
    }

    mutating func line(
        from start: (x: Double, y: Double), to end: (x: Double, y: Double), color: String, width: Double = 1,
        opacity: Double = 1
    ) {
        let numbers = [start.x, start.y, end.x, end.y].map(Self.number)
        let faint = opacity < 1 ? #" stroke-opacity="\#(opacity)""# : ""
        lines.append(
            #"<line x1="\#(numbers[0])" y1="\#(numbers[1])" x2="\#(numbers[2])" y2="\#(numbers[3])" "#
                + #"stroke="\#(color)" stroke-width="\#(Self.number(width))"\#(faint)/>"#)
    }

    mutating func polyline(_ points: [(x: Double, y: Double)], color: String, isDashed: Bool) {
        let places = points.map { "\(Self.number($0.x)),\(Self.number($0.y))" }.joined(separator: " ")
        let dashes = isDashed ? #" stroke-dasharray="5 4""# : ""
        lines.append(
            #"<polyline points="\#(places)" fill="none" stroke="\#(color)" stroke-width="2"\#(dashes)/>"#)
    }

    /// The mark of a subject, so that lines are told apart without colours.
    mutating func mark(_ shape: Int, at place: (x: Double, y: Double), color: String) {
        let (x, y) = (place.x, place.y)
        let corners: [(Double, Double)]
        switch shape % 4 {
        case 0:
            lines.append(
                #"<circle cx="\#(Self.number(x))" cy="\#(Self.number(y))" r="3.5" fill="\#(color)"/>"#)
            return
        case 1: corners = [(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)]
        case 2: corners = [(0, -4.5), (4.5, 3.5), (-4.5, 3.5)]
        default: corners = [(0, -5), (5, 0), (0, 5), (-5, 0)]
        }
        let places = corners.map { "\(Self.number(x + $0.0)),\(Self.number(y + $0.1))" }.joined(separator: " ")
        lines.append(#"<polygon points="\#(places)" fill="\#(color)"/>"#)
    }

    /// The whole document.
    var document: String { lines.joined(separator: "\n") + "\n" }
}
