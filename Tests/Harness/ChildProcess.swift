import Foundation
import Synchronization

/// How a process ended.
enum ExitStatus: Sendable, Equatable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)

    /// - Parameter status: as waitpid(2) gives it.
    init(waitStatus status: Int32) {
        let signal = status & 0x7F
        self = signal == 0 ? .code((status >> 8) & 0xFF) : .signal(signal)
    }

    var description: String {
        switch self {
        case .code(let code): "exit code \(code)"
        case .signal(let signal): "signal \(signal)"
        }
    }
}

/// A process that a test has started, in a session of its own, so that a signal for the terminal's group does not reach it.
///
/// It gets exactly the environment given and no descriptor but the first three. It never outlives the test process.
final class ChildProcess: Sendable {
    let name: String
    let pid: pid_t
    let startedAt: ContinuousClock.Instant
    private let ended = Mutex<ExitStatus?>(nil)

    /// - Parameters:
    ///   - executable: an absolute path.
    ///   - input, output, errors: files for the first three descriptors; output and errors are appended to.
    init(
        name: String, executable: String, arguments: [String], environment: [String: String],
        input: String = "/dev/null", output: String = "/dev/null", errors: String = "/dev/null"
    ) throws {
        self.name = name
        startedAt = .now
        pid = try Self.spawn(
            [executable] + arguments, environment: environment.map { "\($0.key)=\($0.value)" }.sorted(),
            input: input, output: output, errors: errors)
        try Reaper.shared().adopt(pid)
    }

    deinit { kill() }

    /// How it ended; `nil` while it runs.
    func status() -> ExitStatus? {
        ended.withLock { ended in
            if let ended { return ended }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            ended = ExitStatus(waitStatus: status)
            Reaper.forget(pid)
            return ended
        }
    }

    var isRunning: Bool { status() == nil }

    func wait(within limit: Duration) throws -> ExitStatus {
        let deadline = Deadline(in: limit)
        while true {
            if let status = status() { return status }
            guard !deadline.hasPassed else { throw HarnessError("\(name) (pid \(pid)) did not end within \(limit)") }
            Wait.sleep(.milliseconds(2))
        }
    }

    /// Sends a signal, unless it has ended (its pid may be somebody else's by then).
    func send(_ signal: Int32) {
        ended.withLock { ended in
            if ended == nil { _ = Foundation.kill(pid, signal) }
        }
    }

    /// Until it stands still because of SIGSTOP.
    func waitUntilStopped(within limit: Duration = Limits.answer) throws {
        try Wait.until("\(name) (pid \(pid)) stands still", within: limit) {
            // "pid (name) state ...": the name may hold anything, the state is behind the last parenthesis.
            let text = try Files.text("/proc/\(pid)/stat")
            return text[(text.lastIndex(of: ")") ?? text.startIndex)...].dropFirst(2).first == "T"
        }
    }

    /// SIGKILL, and waits for the end.
    func kill() {
        guard isRunning else { return }
        send(SIGKILL)
        // A process that was sent SIGKILL ends; if the kernel does not let it, the reaper has its pid.
        _ = try? wait(within: .seconds(10))
    }

    private static func spawn(
        _ command: [String], environment: [String], input: String, output: String, errors: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let appending = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, appending, 0o644)
        posix_spawn_file_actions_addopen(&actions, 2, errors, appending, 0o644)
        Descriptors.keepFromChildren()

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The test runner may ignore or block signals; its children start with the defaults.
        var all = sigset_t()
        var none = sigset_t()
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK) | Descriptors.spawnInNewSession)

        var pid: pid_t = 0
        let result = withCStrings(command) { arguments in
            withCStrings(environment) { posix_spawn(&pid, command[0], &actions, &attributes, arguments, $0) }
        }
        guard result == 0 else {
            throw HarnessError("\(command[0]) cannot be started: \(String(cString: strerror(result)))")
        }
        return pid
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
    ) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeBufferPointer { buffer in
            // Never empty: it ends with the null pointer.
            body(buffer.baseAddress!)
        }
    }
}

/// What posix_spawn(3) of the GNU C library offers and its Swift module does not show.
enum Descriptors {
    /// `POSIX_SPAWN_SETSID` of <spawn.h>.
    static let spawnInNewSession: Int16 = 0x80

    /// Marks what this process inherited from its own parent, so that no child holds the pipes of the test runner open.
    static func keepFromChildren() {
        for descriptor in Int32(3)..<256 {
            let flags = fcntl(descriptor, F_GETFD)
            if flags >= 0, flags & FD_CLOEXEC == 0 { _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
        }
    }
}

/// The end of a program that was run to its end.
struct ToolResult: Sendable, CustomStringConvertible {
    let status: ExitStatus
    let output: String
    let errors: String

    var description: String { "\(status); output: \(output.suffix(2000)); errors: \(errors.suffix(2000))" }
}

enum Tool {
    private static let runs = Atomic<Int>(0)

    /// Runs a program to its end.
    ///
    /// - Throws: ``HarnessError`` if it cannot be started or does not end in time; its exit code is the caller's to judge.
    static func run(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
        within limit: Duration = Limits.tool
    ) throws -> ToolResult {
        let number = runs.add(1, ordering: .relaxed).newValue
        let stem = try RunDirectory.shared().path + "/tool-\(number)"
        defer { for suffix in ["in", "out", "err"] { unlink("\(stem).\(suffix)") } }
        if let input { try input.write(toFile: "\(stem).in", atomically: false, encoding: .utf8) }
        let process = try ChildProcess(
            name: executable, executable: executable, arguments: arguments, environment: environment,
            input: input == nil ? "/dev/null" : "\(stem).in", output: "\(stem).out", errors: "\(stem).err")
        defer { process.kill() }
        let status = try process.wait(within: limit)
        return ToolResult(
            status: status, output: try Files.text("\(stem).out"), errors: try Files.text("\(stem).err"))
    }

    /// As ``run(_:_:environment:input:within:)``; throws if the exit code is not 0 too.
    @discardableResult
    static func check(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], input: String? = nil,
        within limit: Duration = Limits.tool
    ) throws -> String {
        let result = try run(executable, arguments, environment: environment, input: input, within: limit)
        guard result.status == .code(0) else {
            throw HarnessError("\(executable) \(arguments.joined(separator: " ").prefix(300)): \(result)")
        }
        return result.output
    }

    /// The path of a program of the system, looked for in `PATH` and the system's directories.
    static func locate(_ name: String, alsoIn directories: [String] = []) throws -> String {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let searched =
            directories + path.split(separator: ":").map(String.init) + ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        for directory in searched where access("\(directory)/\(name)", X_OK) == 0 { return "\(directory)/\(name)" }
        throw HarnessError("\(name) is not installed (looked in \(searched.joined(separator: ", ")))")
    }
}

enum Files {
    /// A file's text; what is not UTF-8 in it is replaced.
    static func text(_ path: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path) else { throw HarnessError("cannot read \(path)") }
        return String(decoding: data, as: UTF8.self)
    }

    /// Copies a directory as people do, sockets included.
    static func copyDirectory(_ source: String, to target: String) throws {
        _ = try Tool.check("/bin/cp", ["-a", source, target])
    }
}
