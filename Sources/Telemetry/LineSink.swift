import Glibc
import Synchronization

/// Takes lines from any thread and writes them to a file descriptor from a thread of its own, so that a slow reader of stderr
/// never holds up a payment. What does not fit, or cannot be written, is dropped and counted; the count is written with the next line for
/// which there is room.
public final class LineSink: Sendable {
    /// What may wait to be written, bytes.
    public static let backlogBytesMax = 4 << 20

    private struct State {
        var waiting: [UInt8] = []
        var dropped = 0
        var isClosed = false
        var isWriting = false
    }

    private let descriptor: Int32
    private let state = Mutex(State())
    private let lineArrived = Semaphore()

    /// - Parameter descriptor: stays open and is not owned.
    public init(descriptor: Int32) {
        self.descriptor = descriptor
        Thread.start(named: "holdfast-lines") { [self] in run() }
    }

    /// - Parameter line: ends with a line feed.
    public func write(_ line: String) { write(Array(line.utf8)) }

    /// - Parameter line: ends with a line feed.
    public func write(_ line: [UInt8]) {
        let wasEmpty = state.withLock { state in
            guard state.waiting.count + line.count <= Self.backlogBytesMax else {
                state.dropped += 1
                return false
            }
            let wasEmpty = state.waiting.isEmpty
            state.waiting += line
            return wasEmpty
        }
        if wasEmpty { lineArrived.signal() }
    }

    /// Waits until everything given so far is written, at most `milliseconds`. For the end of the process.
    public func flush(milliseconds: Int = 2000) {
        lineArrived.signal()
        for _ in 0..<max(1, milliseconds / 2) {
            if state.withLock({ $0.waiting.isEmpty && !$0.isWriting }) { return }
            usleep(2000)
        }
    }

    private func run() {
        // Whether what was written last is the beginning of a line whose rest was lost.
        var isTorn = false
        while true {
            let (bytes, told) = take()
            if bytes.isEmpty {
                lineArrived.wait()
                continue
            }
            let whole = isTorn ? [0x0A] + bytes : bytes
            let written = writeAll(whole)
            if written > 0 { isTorn = whole[written - 1] != 0x0A }
            let lost = whole[written...].count { $0 == 0x0A }
            state.withLock { state in
                // The line that tells of the dropped ones is none of them.
                if lost > 0 { state.dropped += told > 0 && written == 0 ? told + lost - 1 : lost }
                state.isWriting = false
            }
        }
    }

    /// - Returns: what is to be written, and how many dropped lines it tells of.
    private func take() -> (bytes: [UInt8], told: Int) {
        state.withLock { state in
            let told = state.waiting.isEmpty ? 0 : state.dropped
            var bytes: [UInt8] = []
            if told > 0 {
                bytes = Array(#"{"lvl":"WARN","event":"log","lines_dropped":\#(told)}"#.utf8) + [0x0A]
                state.dropped = 0
            }
            bytes += state.waiting
            state.waiting = []
            state.isWriting = !bytes.isEmpty
            return (bytes, told)
        }
    }

    /// - Returns: how much was written. If that is not all, the rest is lost, as on a full disk, and the process goes on.
    private func writeAll(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let written = Glibc.write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
                if written > 0 {
                    offset += written
                } else if errno == EAGAIN {
                    usleep(1000)
                } else if errno != EINTR {
                    break
                }
            }
            return offset
        }
    }
}
