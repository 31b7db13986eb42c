import Foundation

/// Runs other programs to their end.
public enum Tool {
    /// What a program wrote.
    public struct Output: Sendable {
        public let output: String
        public let errors: String

        /// Standard output without white space around it.
        public var text: String { output.trimmingCharacters(in: .whitespacesAndNewlines) }
    }

    /// Runs a program and waits for its end.
    ///
    /// - Parameters:
    ///   - executable: a path.
    ///   - environment: added to that of this process.
    ///   - timeout: after which it is ended.
    /// - Throws: ``BenchmarkFailure`` if it cannot be started, does not end in time, or ends with another code than 0.
    public static func run(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:],
        timeout: Duration = .seconds(600)
    ) throws -> Output {
        let name = URL(fileURLWithPath: executable).lastPathComponent
        // Files, because a grandchild that stays, such as a server, would hold a pipe open.
        let stem = "\(NSTemporaryDirectory())/bench-tool-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let (output, errors) = (stem + ".out", stem + ".err")
        defer {
            unlink(output)
            unlink(errors)
        }
        let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let child = try spawn([executable] + arguments, all.map { "\($0.key)=\($0.value)" }, output, errors)
        let status = wait(for: child, atMost: timeout)
        let result = Output(output: text(of: output), errors: text(of: errors))
        guard let status else { throw BenchmarkFailure("\(name) did not end within \(timeout): \(result.errors)") }
        guard status == 0 else {
            let end = status & 0x7F == 0 ? "\((status >> 8) & 0xFF)" : "signal \(status & 0x7F)"
            throw BenchmarkFailure(
                "\(name) ended with \(end): \(result.errors.isEmpty ? result.output : result.errors)")
        }
        return result
    }

    private static func text(of path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// The status as waitpid(2) gives it; `nil` if the process had to be killed.
    private static func wait(for child: pid_t, atMost limit: Duration) -> Int32? {
        let deadline = ContinuousClock.now + limit
        var status: Int32 = 0
        while waitpid(child, &status, WNOHANG) == 0 {
            guard ContinuousClock.now < deadline else {
                kill(child, SIGKILL)
                waitpid(child, &status, 0)
                return nil
            }
            usleep(2000)
        }
        return status
    }

    private static func spawn(
        _ command: [String], _ environment: [String], _ output: String, _ errors: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        // An interruption's signals are ignored here and handled; children get them as usual.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))

        var argv = command.map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        defer { for text in argv + envp { free(text) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, command[0], &actions, &attributes, &argv, &envp)
        guard code == 0 else {
            throw BenchmarkFailure("\(command[0]) cannot be started: \(String(cString: strerror(code)))")
        }
        return child
    }

    /// The path of a program in PATH.
    public static func find(_ name: String) throws -> String {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        for folder in folders where FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)") {
            return "\(folder)/\(name)"
        }
        throw BenchmarkFailure("\(name) is not in PATH; install it")
    }

    /// The path of a program of the newest PostgreSQL with a server, which is the one that scripts/pg-cluster takes.
    public static func postgres(_ name: String) throws -> String {
        let versions = "/usr/lib/postgresql"
        let folders = ((try? FileManager.default.contentsOfDirectory(atPath: versions)) ?? [])
            .sorted { $0.compare($1, options: .numeric) == .orderedDescending }
        for folder in folders.map({ "\(versions)/\($0)/bin" }) {
            guard FileManager.default.isExecutableFile(atPath: folder + "/postgres"),
                FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)")
            else { continue }
            return "\(folder)/\(name)"
        }
        return try find(name)
    }

    /// The checkout: the nearest folder above the working directory, or above this program, with scripts/pg-cluster in it.
    public static func checkout() throws -> String {
        let working = FileManager.default.currentDirectoryPath
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? working
        for start in [working, program] {
            var folder = URL(fileURLWithPath: start)
            while folder.path != "/" {
                if FileManager.default.isExecutableFile(atPath: folder.path + "/scripts/pg-cluster") {
                    return folder.path
                }
                folder.deleteLastPathComponent()
            }
        }
        throw BenchmarkFailure("scripts/pg-cluster is in no folder above \(working); run this from a checkout")
    }
}
