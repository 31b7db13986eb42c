import Coordinator

/// One line on standard error that is rewritten in place while a command works; nothing at all where nobody looks.
///
/// The cursor rests at the line's begin, so that a log line that comes in between stands over it and not behind it.
struct ProgressLine {
    /// Between two updates, milliseconds.
    static let interval = Milliseconds(200)

    private let terminal: Terminal
    private let startedAt: ContinuousClock.Instant
    private var shown = 0
    private var done = 0
    private var total = 0

    init(terminal: Terminal = .errors, now: ContinuousClock.Instant = .now) {
        self.terminal = terminal
        startedAt = now
    }

    /// - Parameter open: what is not done yet; it may grow while work brings further work.
    mutating func show(open: Int, of noun: String, now: ContinuousClock.Instant = .now) {
        guard let text = advance(open: open, of: noun, now: now) else { return }
        rewrite(text)
    }

    /// Leaves an empty line behind.
    mutating func clear() { rewrite("") }

    /// The line's text; `nil` where none is shown.
    mutating func advance(open: Int, of noun: String, now: ContinuousClock.Instant) -> String? {
        guard terminal.isInteractive else { return nil }
        total = max(total, done + open)
        done = max(done, total - open)
        let elapsed = now - startedAt
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        let rate = seconds > 0 ? Double(done) / seconds : 0
        return "\(done) of \(total) \(noun) done, \(rate >= 10 ? "\(Int(rate))" : Self.oneDecimal(rate)) a second, "
            + "\(Int(seconds)) s"
    }

    private mutating func rewrite(_ text: String) {
        guard terminal.isInteractive else { return }
        let clipped = text.printable.clipped(to: max(1, (terminal.width ?? 80) - 1))
        let padding = String(repeating: " ", count: max(0, shown - clipped.columns))
        shown = clipped.columns
        Output.progress("\r\(clipped)\(padding)\r")
    }

    private static func oneDecimal(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
