import Foundation

/// What a stream of the process is connected to, and what may be done there.
struct Terminal: Sendable, Equatable {
    /// Whether a person looks at it: only there lines are cut to the width and rewritten in place.
    let isInteractive: Bool
    /// Whether colours are allowed.
    let hasColour: Bool
    /// Columns; `nil` where lines are as long as they are.
    let width: Int?
    /// Lines of the screen; `nil` where that is not known or there is none.
    let height: Int?

    /// Neither width nor colours: files, pipes.
    static let none = Terminal(isInteractive: false, hasColour: false, width: nil)

    /// - Parameters:
    ///   - isTerminal: whether the stream is one.
    ///   - environment: NO_COLOR (set to anything but nothing) and TERM=dumb forbid colours, the latter cursor movements too;
    ///     COLUMNS overrides the width.
    ///   - width, height: what the terminal says of itself.
    init(isTerminal: Bool, environment: [String: String], width: Int?, height: Int? = nil) {
        let isDumb = environment["TERM"] == "dumb" || (environment["TERM"] ?? "").isEmpty
        isInteractive = isTerminal && !isDumb
        hasColour = isTerminal && !isDumb && (environment["NO_COLOR"] ?? "").isEmpty
        let given = environment["COLUMNS"].flatMap(Int.init).flatMap { $0 > 0 ? $0 : nil }
        self.width = isTerminal ? given ?? width : nil
        self.height = isTerminal ? height : nil
    }

    private init(isInteractive: Bool, hasColour: Bool, width: Int?) {
        self.isInteractive = isInteractive
        self.hasColour = hasColour
        self.width = width
        height = nil
    }

    init(descriptor: Int32) {
        var size = winsize()
        let isTerminal = isatty(descriptor) == 1
        let isKnown = isTerminal && ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        self.init(
            isTerminal: isTerminal, environment: ProcessInfo.processInfo.environment,
            width: isKnown ? Int(size.ws_col) : nil, height: isKnown && size.ws_row > 0 ? Int(size.ws_row) : nil)
    }

    /// Where data goes. Read anew each time: a window may change its size.
    static var output: Terminal { Terminal(descriptor: STDOUT_FILENO) }
    /// Where talk goes.
    static var errors: Terminal { Terminal(descriptor: STDERR_FILENO) }

    /// The text in a style, if the terminal has colours.
    func styled(_ text: String, _ style: Style?) -> String {
        guard hasColour, let style, !text.isEmpty else { return text }
        return "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m"
    }
}

/// How a text stands out (the parameters of SGR, ECMA-48).
enum Style: Int, Sendable {
    case bold = 1
    case dim = 2
    /// Something is wrong or waits for a person.
    case red = 31
    /// All is well.
    case green = 32
    /// Something is to be done.
    case yellow = 33
}
