import Glibc

/// How much room files have, and how they get it.
extension FileSystem {
    private typealias Allocate = @convention(c) (Int32, Int32, off_t, off_t) -> Int32

    /// `FALLOC_FL_KEEP_SIZE` of `linux/falloc.h`.
    private static let keepSize: Int32 = 0x01

    /// `fallocate(2)`. The C library declares it under `_GNU_SOURCE` only, which its Swift module is built without, so
    /// it is found by name; where it is missing there is no allocation ahead.
    private static let fallocate: Allocate = {
        guard let program = dlopen(nil, RTLD_NOW), let symbol = dlsym(program, "fallocate") else {
            return { _, _, _, _ in
                errno = EOPNOTSUPP
                return -1
            }
        }
        // The C declaration: int fallocate(int fd, int mode, off_t offset, off_t len).
        return unsafeBitCast(symbol, to: Allocate.self)
    }()

    /// Gives a file disk blocks for a stretch of it, holes included, without changing its size or its content.
    ///
    /// - Returns: 0, or the `errno`: ENOSPC, or EOPNOTSUPP on a file system that cannot allocate ahead.
    static func allocate(_ descriptor: Int32, from start: Int, to end: Int) -> Int32 {
        allocate(descriptor, keepSize, from: start, to: end)
    }

    /// Likewise, with the size: what was behind the end of the file is zeros then.
    static func extend(_ descriptor: Int32, from start: Int, to end: Int) -> Int32 {
        allocate(descriptor, 0, from: start, to: end)
    }

    private static func allocate(_ descriptor: Int32, _ mode: Int32, from start: Int, to end: Int) -> Int32 {
        while fallocate(descriptor, mode, off_t(start), off_t(end - start)) != 0 {
            guard errno == EINTR else { return errno }
        }
        return 0
    }

    /// The size beyond which this process may not write to a file (`setrlimit(2)`, RLIMIT_FSIZE), bytes.
    static var fileBytesMax: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { return Int.max }
        return Int(clamping: limit.rlim_cur)
    }

    /// Gives LMDB's lock file the blocks that it needs.
    ///
    /// LMDB makes that file sparse, maps it and writes to it through the map. On a full disk the first write to a page
    /// without a block would end the process by SIGBUS, which looks like damage and is none. Must be called before LMDB
    /// opens the file in this process: `close` drops every lock that the process has on it.
    ///
    /// - Throws: ``LogError`` if there is no room. What else is wrong with the file is for LMDB to say.
    static func allocateLockFile(_ path: String) throws(LogError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LogLimits.fileMode)
        guard descriptor >= 0 else {
            if isForSpace(errno) { throw failure("cannot make \(path)", errno) }
            return
        }
        defer { close(descriptor) }
        let bytes = max(LogLimits.lockFileBytes, size(of: descriptor) ?? 0)
        let code = allocate(descriptor, from: 0, to: bytes)
        guard !isForSpace(code) else { throw failure("cannot allocate \(path)", code) }
    }

    /// Whether an `errno` says that there is no room.
    static func isForSpace(_ code: Int32) -> Bool { code == ENOSPC || code == EDQUOT || code == EFBIG }
}
