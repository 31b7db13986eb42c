import Glibc
import Synchronization

/// Takes lines from any thread and writes them to a file descriptor from a thread of its own, so that a slow reader of stderr
/// never holds up a payment. What does not fit, or cannot be written, is dropped and counted; the count is written with the next line for
/// which there is room.
///
/// A line after a pause is written at once. Those that follow it closely are gathered and written together: to wake the thread for each of
/// them takes longer than to make the line. A process that is killed loses what it had gathered.
public final class LineSink: Sendable {
    /// What may wait to be written, bytes.
    public static let backlogBytesMax = 4 << 20
    /// For so long lines are gathered after some were written, microseconds, and nobody has to wake the thread.
    private static let gatheringMicroseconds: UInt32 = 2000
    /// What a buffer may keep of its memory when it is emptied, bytes.
    private static let bufferBytesKept = 64 << 10

    private struct State {
        var waiting: [UInt8] = []
        var dropped = 0
        /// The thread found nothing and waits to be woken; by whoever takes this back.
        var isAsleep = false
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
        let isToBeWoken = state.withLock { state in
            guard state.waiting.count + line.count <= Self.backlogBytesMax else {
                state.dropped += 1
                return false
            }
            state.waiting += line
            defer { state.isAsleep = false }
            return state.isAsleep
        }
        if isToBeWoken { lineArrived.signal() }
    }

    /// Waits until everything given so far is written, at most `milliseconds`. For the end of the process.
    public func flush(milliseconds: Int = 2000) {
        for _ in 0..<max(1, milliseconds / 2) {
            if state.withLock({ $0.waiting.isEmpty && !$0.isWriting }) { return }
            usleep(2000)
        }
    }

    private func run() {
        // Whether what was written last is the beginning of a line whose rest was lost.
        var isTorn = false
        var lines: [UInt8] = []
        while true {
            guard let told = take(&lines) else {
                lineArrived.wait()
                continue
            }
            var before = isTorn ? "\n" : ""
            if told > 0 { before += #"{"lvl":"WARN","event":"log","lines_dropped":\#(told)}"# + "\n" }
            lines.insert(contentsOf: before.utf8, at: 0)
            let written = writeAll(lines)
            if written > 0 { isTorn = lines[written - 1] != 0x0A }
            let lost = lines[written...].count { $0 == 0x0A }
            state.withLock { state in
                // The line that tells of the dropped ones is none of them.
                if lost > 0 { state.dropped += told > 0 && written == 0 ? told + lost - 1 : lost }
                state.isWriting = false
            }
            usleep(Self.gatheringMicroseconds)
        }
    }

    /// Takes the lines that wait, in exchange for an empty buffer. Without any, the thread has to wait until it is woken.
    ///
    /// - Returns: how many dropped lines are to be told of; `nil` if there is nothing to write.
    private func take(_ lines: inout [UInt8]) -> Int? {
        lines.removeAll(keepingCapacity: lines.capacity <= Self.bufferBytesKept)
        return state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isAsleep = true
                return nil
            }
            swap(&lines, &state.waiting)
            state.isWriting = true
            defer { state.dropped = 0 }
            return state.dropped
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
