import Foundation

/// The time of day that some processes see, set by a test while they run (libfaketime, Debian's package `libfaketime`).
///
/// What passes is left alone, as on a real machine: setting the time never moves CLOCK_MONOTONIC.
struct FakeClock: Sendable {
    /// Read by the library whenever a process asks for the time.
    private let file: String
    private let libraries: [String]

    /// - Parameter directory: where the clock's file is made; its processes must be able to read there.
    init(in directory: String, called name: String = "clock") throws {
        file = "\(directory)/\(name).faketime"
        libraries = [try Self.makeTimers(in: directory, name), try Self.locate()]
        Self.removeLeftovers()
        try set(ahead: .zero)
    }

    /// Sets the clock to the machine's, and so much further; behind it if negative.
    func set(ahead offset: Duration) throws { try set("\(offset < .zero ? "-" : "+")\(abs(offset.seconds))") }

    /// Sets the clock to a moment, seconds since 1970, from which it goes on.
    func set(to seconds: TimeInterval) throws { try set(ahead: .seconds(seconds - Date().timeIntervalSince1970)) }

    /// For the environment of a process that is to see this clock.
    var environment: [String: String] {
        [
            "LD_PRELOAD": libraries.joined(separator: ":"), "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            // Else it moves the limits of waits on conditions that are by the monotonic clock: they end at once or never.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            // Where the library would have to set it, it moves the environment, next to which Swift looks for a program's arguments.
            "FAKETIME_SHARED": "none none",
        ]
    }

    /// Each process makes a semaphore and a piece of shared memory that are named after its number. One that was killed leaves them behind, and
    /// a later one that gets its number does not start.
    private static func removeLeftovers() {
        let folder = "/dev/shm"
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            for prefix in ["sem.faketime_sem_", "faketime_shm_"] where name.hasPrefix(prefix) {
                guard let pid = pid_t(name.dropFirst(prefix.count)), kill(pid, 0) != 0, errno == ESRCH else { continue }
                unlink("\(folder)/\(name)")
            }
        }
    }

    /// In one step: whoever reads it sees the old time or the new one.
    private func set(_ text: String) throws {
        let next = file + ".next"
        try Data("\(text)\n".utf8).write(to: URL(fileURLWithPath: next))
        guard chmod(next, 0o644) == 0, rename(next, file) == 0 else {
            throw HarnessError("cannot write \(file): \(String(cString: strerror(errno)))")
        }
    }

    /// libfaketime moves every absolute timer of timerfd(2), also those by the monotonic clock, and cannot be told not to. This comes before
    /// it and hands them on as they are.
    private static let timers = """
        #define _GNU_SOURCE
        #include <sys/syscall.h>
        #include <sys/timerfd.h>
        #include <unistd.h>
        int timerfd_settime(int fd, int flags, const struct itimerspec *next, struct itimerspec *former) {
            return (int)syscall(SYS_timerfd_settime, fd, flags, next, former);
        }
        int timerfd_gettime(int fd, struct itimerspec *rest) { return (int)syscall(SYS_timerfd_gettime, fd, rest); }

        """

    private static func makeTimers(in directory: String, _ name: String) throws -> String {
        let stem = "\(directory)/\(name)-timers"
        try timers.write(toFile: stem + ".c", atomically: false, encoding: .utf8)
        // The first is part of the Swift toolchain, which may be reached by another path.
        let compiler = try (try? Tool.locate("clang")) ?? Tool.locate("gcc")
        try Tool.check(
            compiler, ["-shared", "-fPIC", "-O1", "-o", stem + ".so", stem + ".c"],
            environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "TMPDIR": directory])
        guard chmod(stem + ".so", 0o755) == 0 else { throw HarnessError("chmod \(stem).so") }
        return stem + ".so"
    }

    private static func locate() throws -> String {
        let roots = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib")) ?? []
        let directories = ["/usr/lib/faketime"] + roots.sorted().map { "/usr/lib/\($0)/faketime" }
        for directory in directories where access("\(directory)/libfaketimeMT.so.1", R_OK) == 0 {
            return "\(directory)/libfaketimeMT.so.1"
        }
        throw HarnessError("libfaketime is not installed (Debian's package libfaketime); run make setup")
    }
}

extension PrivateCluster {
    /// Starts the cluster anew with a clock of the test's.
    func restart(under clock: FakeClock) throws {
        // Its options are those of the last start.
        let words = clock.environment.map { "\($0.key)=\($0.value)" }.sorted()
        try tools.run(
            "env",
            words + [
                try tools.path("pg_ctl"), "restart", "--wait", "--pgdata", dataDirectory, "--log", logFile, "--mode",
                "fast",
            ], within: Limits.clusterStart)
    }
}

extension Duration {
    static prefix func - (duration: Duration) -> Duration { .zero - duration }
}
