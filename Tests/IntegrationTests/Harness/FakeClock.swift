import Foundation

/// The time of day that some processes see, set by a test while they run (libfaketime, Debian's package `libfaketime`).
///
/// What passes is left alone, as on a real machine: setting the time never moves CLOCK_MONOTONIC.
struct FakeClock: Sendable {
    /// Read by the library whenever a process asks for the time.
    private let file: String
    private let library: String

    /// - Parameter directory: where the clock's file is made; its processes must be able to read there.
    init(in directory: String, called name: String = "clock") throws {
        file = "\(directory)/\(name).faketime"
        library = try Self.locate()
        try set(ahead: .zero)
    }

    /// Sets the clock to the machine's, and so much further; behind it if negative.
    func set(ahead offset: Duration) throws { try set("\(offset < .zero ? "-" : "+")\(abs(offset.seconds))") }

    /// Sets the clock to a moment, seconds since 1970, from which it goes on.
    func set(to seconds: TimeInterval) throws { try set(ahead: .seconds(seconds - Date().timeIntervalSince1970)) }

    /// For the environment of a process that is to see this clock.
    var environment: [String: String] {
        [
            "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            // Else it moves the limits of waits that are by the monotonic clock all the same: they end at once or never.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            // Where the library would have to set it, it moves the environment, next to which Swift looks for a program's arguments.
            "FAKETIME_SHARED": "none none",
        ]
    }

    /// In one step: whoever reads it sees the old time or the new one.
    private func set(_ text: String) throws {
        let next = file + ".next"
        try Data("\(text)\n".utf8).write(to: URL(fileURLWithPath: next))
        guard chmod(next, 0o644) == 0, rename(next, file) == 0 else {
            throw HarnessError("cannot write \(file): \(String(cString: strerror(errno)))")
        }
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
