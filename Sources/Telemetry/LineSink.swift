import Glibc
import Synchronization

/// Takes lines from any thread and writes them to a file descriptor from a thread of its own, so that a slow reader of stderr
/// never holds up a payment. What does not fit is dropped and counted; the count is written when there is room again.
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

    public func write(_ line: String) {
        let wasEmpty = state.withLock { state in
            guard state.waiting.count + line.utf8.count <= Self.backlogBytesMax else {
                state.dropped += 1
                return false
            }
            let wasEmpty = state.waiting.isEmpty
            state.waiting.append(contentsOf: line.utf8)
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
        while true {
            let bytes = state.withLock { state in
                var bytes: [UInt8] = []
                swap(&bytes, &state.waiting)
                if state.dropped > 0 {
                    bytes += Array(#"{"lvl":"WARN","event":"log","lines_dropped":\#(state.dropped)}"#.utf8) + [0x0A]
                    state.dropped = 0
                }
                state.isWriting = !bytes.isEmpty
                return bytes
            }
            if bytes.isEmpty {
                lineArrived.wait()
            } else {
                writeAll(bytes)
                state.withLock { $0.isWriting = false }
            }
        }
    }

    /// Nobody can be told of a failure to write the log lines; they are lost and the process goes on.
    private func writeAll(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let written = Glibc.write(descriptor, buffer.baseAddress! + offset, buffer.count - offset)
                if written > 0 {
                    offset += written
                } else if errno == EAGAIN {
                    usleep(1000)
                } else if errno != EINTR {
                    return
                }
            }
        }
    }
}
