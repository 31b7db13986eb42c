import Foundation
import Synchronization

/// The two streams: data on standard output, talk on standard error.
///
/// A reader that goes away (`recover list | head -1`) is no failure: what is written after that is dropped, and what the command does
/// is done to its end. SIGPIPE must be ignored.
enum Output {
    private struct State {
        var hasReader = true
        /// errno of a write that failed otherwise, as on a full disk.
        var failure: Int32?
    }

    private static let state = Mutex(State())

    /// Whether somebody still reads standard output; a command that only prints may stop when nobody does.
    static var hasReader: Bool { state.withLock { $0.hasReader } }

    /// What the data could not be written for; `nil` if all is well.
    static var failure: String? {
        state.withLock { state in state.failure.map { String(cString: strerror($0)) } }
    }

    /// Writes a line of data, or several.
    static func line(_ text: String) { data(text + "\n") }

    /// Writes data as it is.
    static func data(_ text: String) {
        // What was printed before stands before it.
        fflush(nil)
        state.withLock { state in
            guard state.hasReader, state.failure == nil, let code = write(text, to: STDOUT_FILENO) else { return }
            if code == EPIPE { state.hasReader = false } else { state.failure = code }
        }
    }

    /// Tells the person at the terminal, or the log of the script.
    ///
    /// - Parameter isStyled: whether it is made for the terminal already, all of it printable or ours.
    static func talk(_ text: String, isStyled: Bool = false) {
        // Nobody could be told that standard error is gone.
        _ = write((isStyled ? text : text.printableLines) + "\n", to: STDERR_FILENO)
    }

    /// Rewrites the line that a person watches, on standard error. Carriage returns are obeyed.
    static func progress(_ line: String) { _ = write(line, to: STDERR_FILENO) }

    /// - Returns: errno if it failed.
    private static func write(_ text: String, to descriptor: Int32) -> Int32? {
        Array(text.utf8).withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count, let base = buffer.baseAddress {
                let written = Foundation.write(descriptor, base + offset, buffer.count - offset)
                if written >= 0 {
                    offset += written
                } else if errno == EAGAIN {
                    usleep(retryMicroseconds)
                } else if errno != EINTR {
                    return errno
                }
            }
            return nil
        }
    }

    /// Between two attempts at a stream that takes nothing just now.
    private static let retryMicroseconds: UInt32 = 1000
}
