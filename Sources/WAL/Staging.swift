import Coordinator
import Glibc

/// A log that is being made, in a directory beside its place: in its place it is whole or not there at all, whatever happens
/// meanwhile.
struct Staging {
    /// The directory of a restoration, and that of a log that is made by a start.
    static let restoring = "restoring"
    static let creating = "creating"
    /// Enough for any copy: addresses, neither memory nor disk.
    static let mapBytes = 1 << 40

    private let parent: String
    private let path: String
    private var file: String { path + "/" + Environment.dataFileName }

    init(in parent: String, named name: String) throws(LogError) {
        self.parent = parent
        path = parent + "/" + name
        // What was left behind by one that was killed is of no use.
        unlink(file)
        unlink(path + "/" + Environment.lockFileName)
        guard mkdir(path, LogLimits.directoryMode) == 0 || errno == EEXIST else {
            throw FileSystem.failure("cannot make \(path)", errno)
        }
    }

    func copy(_ source: String) throws(LogError) {
        let from = open(source, O_RDONLY | O_CLOEXEC)
        guard from >= 0 else { throw FileSystem.failure("cannot open \(source)", errno) }
        defer { close(from) }
        let to = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, LogLimits.fileMode)
        guard to >= 0 else { throw FileSystem.failure("cannot make \(file)", errno) }
        defer { close(to) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(from, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileSystem.failure("cannot read \(source)", errno) }
            if count == 0 { break }
            var offset = 0
            while offset < count {
                let written = buffer[offset..<count].withUnsafeBytes { Glibc.write(to, $0.baseAddress, $0.count) }
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { throw FileSystem.failure("cannot write \(file)", errno) }
                offset += written
            }
        }
        guard fsync(to) == 0 else { throw FileSystem.failure("cannot sync \(file)", errno) }
    }

    /// One transaction, durable when this returns.
    ///
    /// - Parameter mapBytes: see ``LogConfiguration/mapBytes``; the owner to come has its own.
    func write(
        mapBytes: Int = Self.mapBytes,
        _ body: (LogStore, borrowing WriteTransaction, inout StepContext) throws(LMDBFailure) -> Void
    ) throws(LogError) {
        let environment = try Environment(directory: path, access: .owner(mapBytes: mapBytes))
        do throws(LMDBFailure) {
            let txn = try WriteTransaction(environment)
            let store = try LogStore(environment, in: txn.reading, creating: true)
            var context = StepContext(now: WallTime(microseconds: 0), nextLSN: LSN(rawValue: 1))
            try body(store, txn, &context)
            try txn.commit()
        } catch {
            throw LogError(error, doing: "cannot write the log in \(path)")
        }
    }

    func moveIntoPlace() throws(LogError) {
        try FileSystem.syncDirectory(path)
        guard rename(file, parent + "/" + Environment.dataFileName) == 0 else {
            throw FileSystem.failure("cannot move the log into \(parent)", errno)
        }
        unlink(path + "/" + Environment.lockFileName)
        rmdir(path)
        try FileSystem.syncDirectory(parent)
        try FileSystem.syncDirectory(FileSystem.parent(of: parent))
    }

    /// Removes what a making left behind that was stopped after the log was in its place.
    static func tidy(in parent: String, named name: String) {
        let path = parent + "/" + name
        unlink(path + "/" + Environment.lockFileName)
        rmdir(path)
    }
}
