import Glibc

/// This program once more, in a process of its own.
enum Child {
    enum Status { case exited(Int32), killed(signal: Int32) }

    static var program: String { CommandLine.arguments.first ?? "PowerCut" }

    /// - Parameter isQuiet: drops what it says.
    static func run(_ arguments: [String], isQuiet: Bool) throws(Failure) -> Status {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if isQuiet {
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
            posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        }
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        // What the first lines said comes first.
        fflush(nil)
        let code = posix_spawn(&pid, "/proc/self/exe", &actions, nil, words, environ)
        guard code == 0 else { throw Failure("cannot start \(program): \(String(cString: strerror(code)))") }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw Failure("cannot wait for \(program)") }
        }
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
    }
}

func monotonicMicroseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
}
