import Foundation
import Synchronization

/// Ends what the tests have started when the test process ends, however it ends.
///
/// It is a small shell in a session of its own that reads orders from a pipe. The kernel closes the pipe with the test
/// process: the shell then kills the processes that are left, stops the clusters and removes the files.
final class Reaper: Sendable {
    private let orders: Int32
    private static let instance = Mutex<Reaper?>(nil)

    static func shared() throws -> Reaper {
        try instance.withLock { instance in
            if let instance { return instance }
            let made = try Reaper()
            instance = made
            return made
        }
    }

    /// Kills the process in the end.
    func adopt(_ pid: pid_t) throws { try write("pid \(pid)") }

    /// The process has ended: its pid may be another's soon.
    static func forget(_ pid: pid_t) {
        let reaper = instance.withLock { $0 }
        // A pipe that is broken has no reader left which could kill the wrong process.
        try? reaper?.write("gone \(pid)")
    }

    /// Stops the PostgreSQL cluster in `directory` in the end, through its postmaster.pid.
    func adoptCluster(_ directory: String) throws { try write("cluster \(directory)") }

    /// Removes the directory in the end.
    func adoptDirectory(_ directory: String) throws { try write("directory \(directory)") }

    /// Leaves every directory behind for the person who looks into a failure.
    func keepDirectories() throws { try write("keep") }

    /// In the script below, a cluster gets SIGQUIT (immediate shutdown), and SIGKILL if it is still there after 5 s.
    private static let script = """
        trap '' HUP INT TERM
        declare -A pids; clusters=(); directories=(); keep=0
        while IFS=' ' read -r order value; do
            case $order in
                pid) pids[$value]=1 ;;
                gone) unset "pids[$value]" ;;
                cluster) clusters+=("$value") ;;
                directory) directories+=("$value") ;;
                keep) keep=1 ;;
            esac
        done
        for pid in "${!pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
        for cluster in "${clusters[@]}"; do
            [ -s "$cluster/postmaster.pid" ] || continue
            read -r postmaster <"$cluster/postmaster.pid"
            kill -QUIT "$postmaster" 2>/dev/null
            for _ in {1..50}; do kill -0 "$postmaster" 2>/dev/null || break; sleep 0.1; done
            kill -KILL "$postmaster" 2>/dev/null
        done
        [ "$keep" = 1 ] || for directory in "${directories[@]}"; do rm -rf -- "$directory"; done
        """

    private init() throws {
        // Writing to a reaper that is gone is an error to report, not the end of the test process.
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw HarnessError("pipe: \(String(cString: strerror(errno)))") }
        orders = ends[1]
        defer { close(ends[0]) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        Descriptors.keepFromChildren()
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Descriptors.spawnInNewSession)

        let words = ["bash", "-c", Self.script]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, "bash", &actions, &attributes, &arguments, environ)
        guard result == 0 else { throw HarnessError("bash cannot be started: \(String(cString: strerror(result)))") }
    }

    /// One write(2) a line: lines shorter than PIPE_BUF are never mixed.
    private func write(_ order: String) throws {
        let bytes = Array((order + "\n").utf8)
        guard Foundation.write(orders, bytes, bytes.count) == bytes.count else {
            throw HarnessError("the reaper is gone: \(String(cString: strerror(errno)))")
        }
    }
}

/// The directory of this run, removed in the end.
final class RunDirectory: Sendable {
    let path: String
    private static let instance = Mutex<RunDirectory?>(nil)

    static func shared() throws -> RunDirectory {
        try instance.withLock { instance in
            if let instance { return instance }
            let made = try RunDirectory()
            instance = made
            return made
        }
    }

    private init() throws {
        var template = Array((Settings.baseDirectory + "/holdfast-it-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw HarnessError(
                "cannot make a directory in \(Settings.baseDirectory): \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // PostgreSQL may run as another user and must be able to reach its own directory.
        guard chmod(path, 0o755) == 0 else { throw HarnessError("chmod \(path): \(String(cString: strerror(errno)))") }
        try Reaper.shared().adoptDirectory(path)
        if Settings.keepsFiles { try keep() }
    }

    /// Leaves everything behind in the end.
    func keep() throws { try Reaper.shared().keepDirectories() }

    /// Makes a directory below, which must not exist.
    func make(_ name: String) throws -> String {
        let made = "\(path)/\(name)"
        try FileManager.default.createDirectory(atPath: made, withIntermediateDirectories: false)
        return made
    }
}
