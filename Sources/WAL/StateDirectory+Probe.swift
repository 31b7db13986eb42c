import Glibc

extension StateDirectory {
    /// Whether a process holds the directory's lock now. Takes nothing: the shared lock that it tries is given back at once, and
    /// ``acquire(path:allowUnsafeFileSystem:)`` waits out such a moment.
    public static func isInUse(path: String) -> Bool {
        let descriptor = open(path + "/" + lockFileName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }
}
