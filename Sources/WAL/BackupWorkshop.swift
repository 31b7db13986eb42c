import Glibc

/// A directory beside the target of a backup, for a copy that is not finished, of a name that nobody else has.
///
/// A file in it says that it is one, and whoever works in it holds the lock of that file: what a killed backup left is told from the
/// work of another, and both from a directory that somebody else has made.
struct BackupWorkshop {
    private static let namePrefix = "partial-"
    private static let nameRandom = "XXXXXX"
    private static let markName = "unfinished"

    let path: String
    private let mark: Int32
    var file: String { path + "/" + Environment.dataFileName }

    /// - Throws: ``LogError`` with what the system said.
    init(in directory: String) throws(LogError) {
        // Another backup may take it for abandoned until it is locked.
        for _ in 0..<LogLimits.workshopAttempts {
            var template = Array("\(directory)/\(Self.namePrefix)\(Self.nameRandom)".utf8CString)
            guard mkdtemp(&template) != nil else {
                throw FileSystem.failure("cannot make a directory in \(directory)", errno)
            }
            let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let name = path + "/" + Self.markName
            let mark = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, LogLimits.fileMode)
            if mark < 0, errno != ENOENT {
                let code = errno
                rmdir(path)
                throw FileSystem.failure("cannot make \(name)", code)
            }
            guard mark >= 0 else { continue }
            // On a file system without locks nobody gets one, so nobody takes it for abandoned either.
            let isTaken = flock(mark, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
            if !isTaken, FileSystem.exists(name) {
                self.path = path
                self.mark = mark
                return
            }
            close(mark)
        }
        throw FileSystem.failure("cannot keep a directory in \(directory)", EBUSY)
    }

    func remove() {
        Self.empty(path)
        close(mark)
    }

    /// Removes what killed backups into `directory` have left. What cannot be removed is nobody's loss but the disk's.
    static func removeAbandoned(in directory: String) {
        for name in names(in: directory) where isWorkshop(name) {
            let path = directory + "/" + name
            let mark = open(path + "/" + markName, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
            guard mark >= 0 else {
                // Killed before it had its mark, or somebody else's: then it is not empty.
                if errno == ENOENT { rmdir(path) }
                continue
            }
            if flock(mark, LOCK_EX | LOCK_NB) == 0 { empty(path) }
            close(mark)
        }
    }

    /// The mark goes last, so that a removal that is killed can be gone on with.
    private static func empty(_ path: String) {
        for name in [Environment.dataFileName, Environment.lockFileName, markName] { unlink(path + "/" + name) }
        rmdir(path)
    }

    private static func isWorkshop(_ name: String) -> Bool {
        name.hasPrefix(namePrefix) && name.utf8.count == namePrefix.utf8.count + nameRandom.utf8.count
    }

    private static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }
}
