public import Coordinator
import Glibc

/// A backup that was written.
public struct BackupReport: Sendable, Hashable {
    /// The data file.
    public let file: String
    public let bytes: Int
    public let log: LogID
    /// The epoch of the last start before it.
    public let epoch: Epoch
    /// The last record in it; `nil` if it has none.
    public let lastLSN: LSN?
}

extension LogReader {
    /// Writes a compact and consistent copy of the log as of now into `directory`, which is made if it is missing and
    /// must not hold a log. Complete or not there at all: it gets its name after it was synced and read once. What a backup
    /// into the same directory has left that was killed is removed first.
    ///
    /// The copy is marked as one that may lack a tail: whoever starts on it presumes nothing.
    ///
    /// - Parameter probe: for tests.
    /// - Returns: what the copy holds.
    @discardableResult
    public func backUp(
        to directory: String, now: WallTime, probe: LogProbe? = nil
    ) throws(LogError) -> BackupReport {
        func check(_ moment: LogMoment, _ what: String) throws(LogError) {
            guard probe?(moment) == true else { return }
            throw FileSystem.failure(what, EIO)
        }
        if mkdir(directory, LogLimits.directoryMode) != 0, errno != EEXIST {
            throw FileSystem.failure("cannot make the directory \(directory)", errno)
        }
        let target = directory + "/" + Environment.dataFileName
        BackupWorkshop.removeAbandoned(in: directory)
        guard !FileSystem.exists(target) else { throw Self.exists(target) }
        let workshop = try BackupWorkshop(in: directory)
        defer { workshop.remove() }
        try copy(to: workshop.file) { () throws(LogError) in
            try check(.backupCopied, "cannot sync \(workshop.file)")
        }
        try check(.backupSynced, "cannot mark \(workshop.file)")
        try LogRestoration.markCopy(in: workshop.path, now: now)
        let report = try Self.report(on: workshop, named: target)
        try check(.backupMarked, "cannot name \(target)")
        try Self.name(workshop.file, target)
        try check(.backupNamed, "cannot sync the directory \(directory)")
        try FileSystem.syncDirectory(directory)
        try FileSystem.syncDirectory(FileSystem.parent(of: directory))
        try check(.backupDone, "cannot report")
        return report
    }

    private static func exists(_ target: String) -> LogError {
        LogError(.exists, "\(target) exists. Give the backup a directory of its own.")
    }

    /// - Parameter copied: called when the bytes are written, before they are synced.
    private func copy(to path: String, copied: () throws(LogError) -> Void) throws(LogError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, LogLimits.fileMode)
        guard descriptor >= 0 else { throw FileSystem.failure("cannot write \(path)", errno) }
        defer { close(descriptor) }
        try read { store, _ throws(LogError) in
            do throws(LMDBFailure) {
                try store.environment.copy(to: descriptor)
            } catch {
                throw LogError(error, doing: "cannot copy the log to \(path)")
            }
        }
        try copied()
        guard fsync(descriptor) == 0 else { throw FileSystem.failure("cannot sync \(path)", errno) }
    }

    /// Reads the copy: one that cannot be read is no backup.
    private static func report(on workshop: BackupWorkshop, named target: String) throws(LogError) -> BackupReport {
        let copy = try LogReader(path: workshop.path)
        let summary = try copy.summary()
        return BackupReport(
            file: target, bytes: summary.fileBytes, log: summary.log, epoch: summary.owner.epoch, lastLSN: summary.last)
    }

    /// Gives the copy its name. Unlike a rename, a link never takes the place of a file that somebody else has made
    /// since.
    private static func name(_ path: String, _ target: String) throws(LogError) {
        if link(path, target) == 0 { return }
        let code = errno
        if code == EEXIST { throw exists(target) }
        // File systems without links.
        guard code == EPERM || code == EOPNOTSUPP, !FileSystem.exists(target), rename(path, target) == 0 else {
            throw FileSystem.failure("cannot name \(target)", code)
        }
    }
}
