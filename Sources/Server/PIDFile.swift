import Foundation
import Synchronization
import Telemetry
import UnixSignals

/// `server.pid`, for people and scripts. Nothing depends on it, so a disk that has no room for it is no reason not to serve.
final class PIDFile: Sendable {
    private let path: String
    private let events: EventLog
    private let isWritten = Mutex(false)

    init(_ stateDirectory: String, _ events: EventLog) {
        path = stateDirectory + "/server.pid"
        self.events = events
    }

    func write() {
        let failure = isWritten.withLock { isWritten in
            let failure = Self.replace(path, "\(getpid())\n")
            isWritten = failure == nil
            return failure
        }
        guard let failure else { return }
        // What an earlier start has left names another process.
        unlink(path)
        events.emit(
            .warning, .starting, .message("\(path) could not be written: \(failure); it will be when there is room"))
    }

    /// Tries again what failed before, without a word.
    func writeIfMissing() {
        isWritten.withLock { isWritten in
            if !isWritten { isWritten = Self.replace(path, "\(getpid())\n") == nil }
        }
    }

    func remove() { unlink(path) }

    /// - Returns: what the system said if it failed.
    private static func replace(_ path: String, _ text: String) -> String? {
        let new = path + ".new"
        let descriptor = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return String(cString: strerror(errno)) }
        let count = text.withCString { Foundation.write(descriptor, $0, strlen($0)) }
        let isWhole = count == text.utf8.count
        let code = errno
        close(descriptor)
        if isWhole, rename(new, path) == 0 { return nil }
        let reason = String(cString: strerror(isWhole ? errno : (count < 0 ? code : ENOSPC)))
        unlink(new)
        return reason
    }
}

/// The order to stop, from a signal.
final class StopRequest: Sendable {
    private let task: Task<String, Never>
    private let asked: Flag

    private final class Flag: Sendable {
        let value = Atomic(false)
    }

    init(_ signals: UnixSignalsSequence) {
        let flag = Flag()
        asked = flag
        task = Task {
            for await signal in signals {
                flag.value.store(true, ordering: .releasing)
                return "\(signal)"
            }
            return "no signals"
        }
    }

    var isAsked: Bool { asked.value.load(ordering: .acquiring) }

    /// Waits for the signal, and names it.
    var signal: String { get async { await task.value } }
}
