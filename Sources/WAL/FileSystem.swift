import Glibc

/// What the log asks of the operating system's files.
enum FileSystem {
    /// File systems that cannot keep a log: network file systems break locks and memory maps, memory file systems
    /// forget, and what is behind a user-space one nobody knows. Overlays are allowed: containers run on them.
    private static let unsafeKinds: Set<String> = [
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "coda", "lustre", "ncpfs", "vboxsf", "virtiofs",
        "tmpfs", "ramfs", "devtmpfs", "hugetlbfs",
    ]

    /// The name of the file system below the directory `path` if it is one that cannot keep a log.
    static func unsafeKind(below path: String) throws(LogError) -> String? {
        guard let kind = try kind(below: path) else {
            throw LogError(
                .unsafeFileSystem,
                "cannot tell what file system \(path) is on (/proc is not mounted?). "
                    + "Mount it, or allow unsafe file systems."
            )
        }
        return isUnsafe(kind: kind) ? kind : nil
    }

    /// Whether a file system of that kind cannot keep a log.
    static func isUnsafe(kind: String) -> Bool { unsafeKinds.contains(kind) || kind.hasPrefix("fuse") }

    /// The kind of file system that `path` is on, as `mount(8)` names it. `nil` if the kernel does not tell.
    static func kind(below path: String) throws(LogError) -> String? { try mount(below: path)?.kind }

    /// A mount, as the kernel describes it.
    struct Mount {
        let point: String
        let kind: String
        /// The mount's own and those of the file system below it.
        let options: [String]
    }

    /// The mount that `path` is on: the kernel tells that of an open descriptor (`/proc/self/fdinfo`), and what each mount is
    /// (`proc(5)`, mountinfo). `nil` if it does not.
    static func mount(below path: String) throws(LogError) -> Mount? {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot open the directory \(path)", errno) }
        defer { close(descriptor) }
        let identifier = text(of: "/proc/self/fdinfo/\(descriptor)")?.split(separator: "\n")
            .first { $0.hasPrefix("mnt_id:") }?.split(whereSeparator: { $0 == "\t" || $0 == " " }).last
        guard let identifier, let mounts = text(of: "/proc/self/mountinfo") else { return nil }
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            // "36 35 98:0 /root /mount options optional... - type source options"
            guard fields.first == identifier, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count, dash > 5
            else { continue }
            // A source may be empty.
            let below = dash + 2 < fields.count ? fields[fields.count - 1] : ""
            let options = fields[5].split(separator: ",") + below.split(separator: ",")
            var seen: Set<Substring> = []
            return Mount(
                point: String(fields[4]), kind: String(fields[dash + 1]),
                options: options.filter { seen.insert($0).inserted }.map(String.init))
        }
        return nil
    }

    /// The text of a small file of the kernel's.
    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(contentsOf: buffer[..<count])
        }
    }

    /// Bytes that the file system of an open file has left for an unprivileged process; `nil` if it does not say.
    static func freeBytes(of descriptor: Int32) -> Int? {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? Int.max : Int(clamping: bytes)
    }

    /// What a file occupies on the disk, bytes; `stat(2)` counts blocks of 512.
    static func allocatedBytes(of descriptor: Int32) -> Int? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? Int(status.st_blocks) * 512 : nil
    }

    /// Makes directory entries durable.
    static func syncDirectory(_ path: String) throws(LogError) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("cannot open the directory \(path)", errno) }
        let result = fsync(descriptor)
        let code = errno
        close(descriptor)
        guard result == 0 else { throw failure("cannot sync the directory \(path)", code) }
    }

    /// Syncs a file that an earlier process wrote and drops its pages from memory, so that what is read next comes from
    /// the disk.
    ///
    /// After a failed sync the kernel may keep pages as clean that never reached the disk; the process that saw the
    /// failure ended, and the next one must not take those pages for what is stored.
    static func settle(_ path: String) throws(LogError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw failure("cannot open \(path)", errno)
        }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("cannot sync \(path)", errno) }
        // Advice only: a kernel that does not follow it leaves us where we were.
        _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }

    /// Whether there is something. What cannot be looked at counts as there: whoever opens it is told why it cannot be.
    static func exists(_ path: String) -> Bool {
        access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR)
    }

    static func size(of descriptor: Int32) -> Int? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? Int(status.st_size) : nil
    }

    /// `nil` if it cannot be asked for.
    static func size(of path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// The directory that `path` lies in.
    static func parent(of path: String) -> String {
        var trimmed = Substring(path)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    /// What to do about a file system that takes no writes: most often the kernel made it so after an error of the disk.
    static let readOnlyAdvice =
        "The file system is read-only: look for its errors in the kernel's messages, check it, and mount it writable."

    static func failure(_ what: String, _ code: Int32) -> LogError {
        let kind: LogError.Code
        let advice: String
        switch code {
        case ENOENT: (kind, advice) = (.missing, "Check the path; the directory above must exist.")
        case EACCES, EPERM: (kind, advice) = (.notPermitted, "Run as the owner of the state directory.")
        case EROFS: (kind, advice) = (.notPermitted, readOnlyAdvice)
        case _ where isForSpace(code): (kind, advice) = (.noSpace, "Free disk space, then start again.")
        default: (kind, advice) = (.storage, "Check the disk and the kernel's messages.")
        }
        return LogError(kind, "\(what): \(String(cString: strerror(code))). \(advice)", systemCode: code)
    }
}

/// The monotonic clock, nanoseconds.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
