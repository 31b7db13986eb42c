import Glibc

/// What a look at a state directory found, without its lock and without a trace.
public struct StateDirectoryFacts: Sendable, Hashable {
    /// The user and the mode (permission bits) of the directory.
    public var ownerID: UInt32
    public var mode: UInt32
    /// The user that looks.
    public var userID: UInt32
    /// Whether that user may make files in it.
    public var isWritable: Bool
    /// As `mount(8)` names it; `nil` if the kernel does not tell.
    public var fileSystemKind: String?
    /// Whether a file system of that kind cannot keep a log through a crash.
    public var isUnsafeKind: Bool
    public var mountPoint: String
    public var mountOptions: [String]
    /// Left for an unprivileged process; `nil` if the file system does not say.
    public var freeBytes: Int?
    /// Disk that the data file occupies, its reserve included; `nil` without a log.
    public var allocatedBytes: Int?
    /// How long syncs of a small write to an unnamed file took, nanoseconds, in order; empty if the file system has none.
    public var syncNanoseconds: [UInt64]
    /// Whether a server holds the directory's lock.
    public var isInUse: Bool
    /// The process that wrote its number into the lock file last; the holder, if there is one.
    public var holder: Int32?

    package init(
        ownerID: UInt32, mode: UInt32, userID: UInt32, isWritable: Bool, fileSystemKind: String?, isUnsafeKind: Bool,
        mountPoint: String, mountOptions: [String], freeBytes: Int?, allocatedBytes: Int?, syncNanoseconds: [UInt64],
        isInUse: Bool, holder: Int32?
    ) {
        self.ownerID = ownerID
        self.mode = mode
        self.userID = userID
        self.isWritable = isWritable
        self.fileSystemKind = fileSystemKind
        self.isUnsafeKind = isUnsafeKind
        self.mountPoint = mountPoint
        self.mountOptions = mountOptions
        self.freeBytes = freeBytes
        self.allocatedBytes = allocatedBytes
        self.syncNanoseconds = syncNanoseconds
        self.isInUse = isInUse
        self.holder = holder
    }
}

extension StateDirectory {
    /// Looks at a state directory that is there.
    ///
    /// - Throws: ``LogError`` if it is missing (`.missing`), is no directory or may not be looked into.
    public static func facts(path: String) throws(LogError) -> StateDirectoryFacts {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot open the state directory \(path)", errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw FileSystem.failure("cannot examine the state directory \(path)", errno)
        }
        let mount = try FileSystem.mount(below: path)
        let lock = path + "/" + lockFileName
        return StateDirectoryFacts(
            ownerID: status.st_uid, mode: status.st_mode & 0o7777, userID: geteuid(),
            isWritable: access(path, W_OK | X_OK) == 0, fileSystemKind: mount?.kind,
            isUnsafeKind: mount.map { FileSystem.isUnsafe(kind: $0.kind) } ?? false, mountPoint: mount?.point ?? "",
            mountOptions: mount?.options ?? [], freeBytes: FileSystem.freeBytes(of: descriptor),
            allocatedBytes: withFile(path + "/" + Environment.dataFileName) { FileSystem.allocatedBytes(of: $0) },
            syncNanoseconds: timeSyncs(in: path), isInUse: isInUse(path: path),
            holder: withFile(lock) { readHolder($0) })
    }

    private static func withFile<Result>(_ path: String, _ body: (Int32) -> Result?) -> Result? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return body(descriptor)
    }

    /// `O_TMPFILE` of `<fcntl.h>`, which the C library declares under `_GNU_SOURCE` only: "Create an unnamed temporary regular
    /// file. The path argument specifies a directory" (open(2)). It is in no listing, and gone when it is closed.
    private static let unnamedFile = 0o20_000_000 | O_DIRECTORY

    private static func timeSyncs(in path: String) -> [UInt64] {
        let descriptor = open(path, unnamedFile | O_RDWR | O_CLOEXEC, LogLimits.fileMode)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let page = [UInt8](repeating: 0x5A, count: LogLimits.syncProbeBytes)
        var times: [UInt64] = []
        for number in 0..<LogLimits.syncProbes {
            let start = monotonicNanoseconds()
            guard pwrite(descriptor, page, page.count, off_t(number * page.count)) == page.count, fsync(descriptor) == 0
            else { return [] }
            times.append(monotonicNanoseconds() - start)
        }
        return times.sorted()
    }
}
