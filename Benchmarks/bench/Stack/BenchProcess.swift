import BenchmarkKit
import Foundation
import Synchronization

/// How a process ended, and what it took.
struct ProcessEnd: Sendable, Equatable, CustomStringConvertible {
    /// As waitpid(2) gives it.
    let status: Int32
    /// Processor time of it and of the children that it waited for, microseconds.
    let processorTime: Double

    /// `nil` if a signal ended it.
    var exitCode: Int32? { status & 0x7F == 0 ? (status >> 8) & 0xFF : nil }

    var description: String { exitCode.map { "exit code \($0)" } ?? "signal \(status & 0x7F)" }
}

/// A process that a benchmark has started, in a session of its own: Ctrl-C reaches the benchmark alone, which ends its processes.
///
/// It gets exactly the environment given. It is killed when nobody holds it any more, and when the benchmark is interrupted.
final class BenchProcess: Sendable {
    let name: String
    let pid: pid_t
    let startedAt: ContinuousClock.Instant
    private let ended = Mutex<ProcessEnd?>(nil)

    /// - Parameters:
    ///   - executable: an absolute path.
    ///   - output, errors: files that are appended to.
    init(
        _ name: String, executable: String, arguments: [String] = [], environment: [String: String] = [:],
        output: String = "/dev/null", errors: String = "/dev/null"
    ) throws {
        self.name = name
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let appending = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, appending, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, appending, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // What this process ignores its children would ignore too.
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF) | Self.spawnInNewSession)
        startedAt = .now
        pid = try Interruption.begin {
            var child: pid_t = 0
            let result = Self.withCStrings([executable] + arguments) { words in
                Self.withCStrings(environment.map { "\($0.key)=\($0.value)" }.sorted()) {
                    posix_spawn(&child, executable, &actions, &attributes, words, $0)
                }
            }
            guard result == 0 else { throw BenchmarkFailure("\(executable) cannot be started", result) }
            let started = child
            Interruption.atEnd(Self.deed(started)) { _ = Foundation.kill(started, SIGKILL) }
            return started
        }
    }

    deinit { kill() }

    /// Its name among what is to be done at an interruption.
    private static func deed(_ pid: pid_t) -> String { "process \(pid)" }

    /// `POSIX_SPAWN_SETSID` of <spawn.h>, which the Swift module does not show.
    private static let spawnInNewSession: Int16 = 0x80

    /// How it ended; `nil` while it runs.
    func end() -> ProcessEnd? {
        ended.withLock { ended in
            if let ended { return ended }
            var status: Int32 = 0
            var usage = rusage()
            guard wait4(pid, &status, WNOHANG, &usage) == pid else { return nil }
            let seconds = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            let end = ProcessEnd(
                status: status,
                processorTime: seconds * 1e6 + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec))
            ended = end
            Interruption.forget(Self.deed(pid))
            return end
        }
    }

    /// - Throws: if it does not end in time; it runs on then.
    func wait(within limit: Duration) throws -> ProcessEnd {
        let deadline = ContinuousClock.now + limit
        while true {
            if let end = end() { return end }
            guard ContinuousClock.now < deadline else {
                throw BenchmarkFailure("\(name) (process \(pid)) did not end within \(limit)")
            }
            usleep(1000)
        }
    }

    /// Sends a signal, unless it has ended: its id may be another's by then.
    func send(_ signal: Int32) {
        ended.withLock { ended in
            if ended == nil { _ = Foundation.kill(pid, signal) }
        }
    }

    /// SIGKILL, and waits for the end.
    func kill() {
        guard end() == nil else { return }
        send(SIGKILL)
        _ = try? wait(within: .seconds(10))
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        // Never empty: it ends with the null pointer.
        return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
    }
}
