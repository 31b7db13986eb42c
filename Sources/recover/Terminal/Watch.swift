import Coordinator
import Foundation
import Synchronization
import Telemetry

/// Something that is printed again and again until Ctrl-C, which ends the program with 0.
///
/// A terminal gets it on its alternate screen, so that what was there before is there again afterwards; a file or a pipe gets one text
/// behind the other, an empty line after each.
struct Watch {
    /// How long the pause may be.
    static let intervals = Milliseconds(100)...Milliseconds.seconds(3600)

    let interval: Milliseconds
    /// Whether each text is one line, also on a terminal.
    let isPlain: Bool

    /// Returns when the reader has gone away; a signal ends the program.
    ///
    /// - Parameter text: what is shown; an error is shown in its place, as it may have gone by the next time.
    func run(_ text: (Terminal) async throws -> String) async {
        let screen = Screen(isUsed: !isPlain && Terminal.output.isInteractive)
        let signals = [SIGINT, SIGTERM, SIGHUP].map { endsOn($0, screen) }
        defer {
            for source in signals { source.cancel() }
            screen.close()
        }
        while Output.hasReader, Output.failure == nil {
            let terminal = Terminal.output
            let shown: String
            do {
                shown = try await text(terminal)
            } catch {
                shown = terminal.styled("recover: \("\(error)".printable)", .red)
            }
            screen.show(shown, on: terminal, isPlain: isPlain)
            do {
                try await Task.sleep(for: .milliseconds(interval.count))
            } catch {
                return
            }
        }
    }

    private func endsOn(_ number: Int32, _ screen: Screen) -> any DispatchSourceSignal {
        // The default action comes before a source hears of it.
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            screen.close()
            if number == SIGINT { ProcessEnd.exit(0) }
            signal(number, SIG_DFL)
            raise(number)
        }
        source.resume()
        return source
    }
}

/// A terminal's second screen (xterm's private mode 1049), or plain output where there is none.
private final class Screen: Sendable {
    private enum State { case unused, open, closed }
    private let state: Mutex<State>

    init(isUsed: Bool) {
        state = Mutex(isUsed ? .open : .unused)
        if isUsed { Output.data("\u{1B}[?1049h\u{1B}[?25l") }
    }

    func show(_ text: String, on terminal: Terminal, isPlain: Bool) {
        // Under the lock, so that nothing is drawn after the screen was given back.
        state.withLock { state in
            switch state {
            case .closed: break
            case .unused: Output.line(isPlain ? text : text + "\n")
            case .open: Output.data(Self.frame(text, height: terminal.height))
            }
        }
    }

    func close() {
        state.withLock { state in
            if state == .open { Output.data("\u{1B}[?25h\u{1B}[?1049l") }
            state = .closed
        }
    }

    /// The text from the top left corner on; whatever was there before is cleared line by line, so that nothing flickers.
    private static func frame(_ text: String, height: Int?) -> String {
        "\u{1B}[H" + WatchFrame.lines(text, height: height).map { $0 + "\u{1B}[K" }.joined(separator: "\n") + "\u{1B}[J"
    }
}

/// What of a text fits a screen.
enum WatchFrame {
    /// - Parameter height: lines of the screen; `nil` if that is not known.
    static func lines(_ text: String, height: Int?) -> [String] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let height, lines.count > height, height > 1 else { return lines }
        return lines.prefix(height - 1) + ["… \(lines.count - height + 1) more lines"]
    }
}

extension ListReport {
    /// The first line of what is watched.
    func heading(every interval: Span, for terminal: Terminal) -> String {
        let time = Timestamp.text(microseconds: now.microseconds).prefix(19) + "Z"
        return terminal.styled("\(time)  \(summary)  every \(interval), Ctrl-C ends", .bold)
    }
}
