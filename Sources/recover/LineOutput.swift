import Glibc
import Synchronization

/// Standard output for many lines: written in large pieces, and a reader that went away ends it without an error.
struct LineOutput {
    /// Text that is gathered before it is written, bytes.
    private static let pieceBytes = 64 * 1024

    private var gathered: [UInt8] = []
    /// Whether nobody reads any more.
    private(set) var isClosed = false

    init() {
        // A write to a closed pipe is to fail, not to end the process by a signal.
        signal(SIGPIPE, SIG_IGN)
    }

    mutating func write(line: String) throws(OutputFailure) {
        gathered.append(contentsOf: line.utf8)
        gathered.append(0x0A)
        if gathered.count >= Self.pieceBytes { try flush() }
    }

    mutating func flush() throws(OutputFailure) {
        var offset = 0
        while offset < gathered.count, !isClosed {
            let count = gathered.withUnsafeBytes { bytes in
                Glibc.write(STDOUT_FILENO, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
            }
            if count >= 0 {
                offset += count
            } else if errno == EPIPE {
                isClosed = true
            } else if errno == EAGAIN {
                _ = Self.waits(for: Int16(POLLOUT), atMost: 1000)
            } else if errno != EINTR {
                throw OutputFailure(code: errno)
            }
        }
        gathered.removeAll(keepingCapacity: true)
    }

    /// Waits, and notices a reader that goes away meanwhile.
    mutating func pause(milliseconds: Int32) {
        if Self.waits(for: 0, atMost: milliseconds) & Int16(POLLERR | POLLHUP) != 0 { isClosed = true }
    }

    /// - Returns: what poll(2) reports of standard output.
    private static func waits(for events: Int16, atMost milliseconds: Int32) -> Int16 {
        var descriptor = pollfd(fd: STDOUT_FILENO, events: events, revents: 0)
        return poll(&descriptor, 1, milliseconds) > 0 ? descriptor.revents : 0
    }
}

/// Standard output cannot be written to.
struct OutputFailure: Error, CustomStringConvertible {
    let code: Int32
    var description: String { "cannot write to standard output: \(String(cString: strerror(code)))" }
}

/// Whether somebody asked the program to end, by SIGINT or SIGTERM.
enum Interruption {
    private static let wasAsked = Atomic<Bool>(false)

    /// From here on the signals are noted and do nothing else.
    static func watch() {
        // Made before the handler can run: a handler may not wait for a first use elsewhere.
        wasAsked.store(false, ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            signal(number) { _ in Interruption.wasAsked.store(true, ordering: .relaxed) }
        }
    }

    static var isAsked: Bool { wasAsked.load(ordering: .relaxed) }
}
