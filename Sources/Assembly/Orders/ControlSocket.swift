import Glibc
import WAL

/// The Unix domain socket in the state directory over which orders reach the process that holds the log.
public enum ControlSocket {
    /// The socket's name in the state directory.
    public static let fileName = "control.sock"

    /// Makes the socket, and replaces one that a crash has left: only whoever holds the directory's lock may call it.
    ///
    /// - Returns: a descriptor that is bound and not listening yet. It belongs to the caller.
    /// - Throws: ``ControlSocketError``.
    public static func bind(in stateDirectory: String) throws(ControlSocketError) -> Int32 {
        remove(from: stateDirectory)
        let descriptor = try open()
        // The file gets the mode of its socket (Linux, unix_bind), so that there is no moment at which others could connect.
        guard fchmod(descriptor, OrderLimits.socketMode) == 0 else {
            throw Self.failure("cannot restrict the control socket", closing: descriptor)
        }
        let result = try withAddress(of: stateDirectory) { Glibc.bind(descriptor, $0, $1) }
        guard result == 0 else {
            throw Self.failure("cannot make \(stateDirectory)/\(fileName)", closing: descriptor)
        }
        return descriptor
    }

    /// Removes the socket, if it is there.
    public static func remove(from stateDirectory: String) {
        unlink(stateDirectory + "/" + fileName)
    }

    /// Whether a process of user `uid` may give orders: one of our own user, or of root.
    public static func maySend(uid: UInt32) -> Bool { uid == geteuid() || uid == 0 }

    /// Connects to the server of a state directory.
    ///
    /// - Returns: a blocking descriptor of the caller's; `nil` if nobody listens.
    static func connect(to stateDirectory: String) throws(ControlSocketError) -> Int32? {
        let descriptor = try open()
        let result = try withAddress(of: stateDirectory) { Glibc.connect(descriptor, $0, $1) }
        guard result != 0 else { return descriptor }
        if errno == ENOENT || errno == ECONNREFUSED {
            close(descriptor)
            return nil
        }
        throw Self.failure("cannot connect to \(stateDirectory)/\(fileName)", closing: descriptor)
    }

    private static func open() throws(ControlSocketError) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ControlSocketError("no socket can be made", errno) }
        return descriptor
    }

    /// Calls `body` with the socket's address. Its path may be longer than an address can hold: then the directory is named by a
    /// descriptor of it.
    private static func withAddress(
        of stateDirectory: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(ControlSocketError) -> Int32 {
        let path = stateDirectory + "/" + fileName
        if path.utf8.count <= OrderLimits.socketPathBytesMax { return withAddress(path: path, body) }
        let directory = Glibc.open(stateDirectory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else {
            throw ControlSocketError("cannot open the state directory \(stateDirectory)", errno)
        }
        let result = withAddress(path: "/proc/self/fd/\(directory)/\(fileName)", body)
        let code = errno
        close(directory)
        errno = code
        return result
    }

    /// - Parameter path: at most ``OrderLimits/socketPathBytesMax`` bytes.
    private static func withAddress(path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    private static func failure(_ what: String, closing descriptor: Int32) -> ControlSocketError {
        let code = errno
        close(descriptor)
        return ControlSocketError(what, code)
    }
}

/// The control socket cannot be used.
public struct ControlSocketError: Error, Sendable, CustomStringConvertible {
    /// What was tried, and what the system said.
    public let description: String
    /// errno(3); 0 if it was not the system that refused.
    public let systemCode: Int32
    /// Whether the directory had no room for it.
    public var isForSpace: Bool { systemCode == ENOSPC || systemCode == EDQUOT }

    init(_ what: String, _ code: Int32) {
        description = code == 0 ? what : "\(what): \(String(cString: strerror(code)))"
        systemCode = code
    }
}
