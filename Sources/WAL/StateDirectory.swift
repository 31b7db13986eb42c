import Glibc
import Synchronization

/// The directory that belongs to one server: its log and what goes with it. Whoever holds this value holds its lock.
///
/// The lock is an `flock` on a file of its own, never on a file of LMDB's, whose locks a second `close` would drop.
/// It is given back by ``release()``, when the value goes, or when the process ends in whatever way.
public final class StateDirectory: Sendable {
    /// The lock file's name.
    public static let lockFileName = "server.lock"

    public let path: String
    /// -1 once released.
    private let descriptor: Mutex<Int32>

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = Mutex(descriptor)
    }

    deinit { release() }

    /// Makes the directory if it is missing (its parent must exist), and takes its lock.
    ///
    /// - Parameter allowUnsafeFileSystem: for tests and demonstrations on a network or memory file system.
    /// - Throws: ``LogError`` with `.inUse` naming the holder, `.unsafeFileSystem`, or what the operating system said.
    public static func acquire(
        path: String, allowUnsafeFileSystem: Bool = false
    ) throws(LogError) -> StateDirectory {
        if mkdir(path, LogLimits.directoryMode) == 0 {
            try FileSystem.syncDirectory(path)
            try FileSystem.syncDirectory(FileSystem.parent(of: path))
        } else if errno != EEXIST {
            throw FileSystem.failure("cannot make the state directory \(path)", errno)
        }
        if !allowUnsafeFileSystem, let kind = try FileSystem.unsafeKind(below: path) {
            throw LogError(
                .unsafeFileSystem,
                "the state directory \(path) is on \(kind), which cannot keep a log through a crash. "
                    + "Use a local disk, or allow unsafe file systems for a test.")
        }
        return StateDirectory(path: path, descriptor: try lock(path + "/" + lockFileName))
    }

    /// Gives the lock back. Harmless when it has been given back.
    public func release() {
        let held = descriptor.withLock { value in
            let held = value
            value = -1
            return held
        }
        if held >= 0 { close(held) }
    }

    var isHeld: Bool { descriptor.withLock { $0 >= 0 } }

    private static func lock(_ file: String) throws(LogError) -> Int32 {
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LogLimits.fileMode)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot open the lock file \(file)", errno) }
        var attemptsLeft = LogLimits.lockAttempts
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EINTR { continue }
            // A tool that only looks whether somebody is here holds a shared lock for a moment.
            attemptsLeft -= 1
            if code == EWOULDBLOCK, attemptsLeft > 0 {
                usleep(LogLimits.lockPauseMicroseconds)
                continue
            }
            let holder = readHolder(descriptor)
            close(descriptor)
            guard code == EWOULDBLOCK else { throw FileSystem.failure("cannot lock \(file)", code) }
            let who = holder.map { "process \($0)" } ?? "another process"
            throw LogError(
                .inUse(pid: holder),
                "the state directory is in use by \(who) (\(file)). "
                    + "Stop it, or give this server a directory of its own."
            )
        }
        // The number is for people; the lock is what counts. So a failed write is no reason to refuse the start.
        let text = Array("\(getpid())\n".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, text, text.count, 0) }
        return descriptor
    }

    static func readHolder(_ descriptor: Int32) -> Int32? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        let digits = buffer[..<count].prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        return Int32(String(decoding: digits, as: UTF8.self))
    }
}
