import Foundation

/// Whether there is a log to be read at all: what its storage would say in codes, or not tell apart.
enum LogAccess {
    /// - Throws: ``StartRefusal`` that names the file, what is wrong with it, and what to do.
    static func check(_ stateDirectory: String) throws {
        let directory = URL(fileURLWithPath: stateDirectory).standardizedFileURL.path
        let file = directory + "/data.mdb"
        var status = stat()
        guard stat(file, &status) == 0 else {
            switch errno {
            case EACCES: throw denied(directory)
            case ENOENT, ENOTDIR:
                throw StartRefusal(
                    "there is no log in \(directory). Check STATE_DIR, or give --state-dir.",
                    exitCode: ProgramExit.failure)
            case let code:
                throw StartRefusal(
                    "\(file) cannot be looked at: \(String(cString: strerror(code)))", exitCode: ProgramExit.failure)
            }
        }
        guard access(file, R_OK) == 0 || errno != EACCES else { throw denied(file) }
        guard status.st_size > 0 else {
            throw StartRefusal(
                "\(file) is empty (0 bytes), so the log is lost. Keep the directory as it is, and restore the log into a new "
                    + "one: from a backup, or with recover restore --lost-log.", exitCode: ProgramExit.damaged)
        }
    }

    private static func denied(_ path: String) -> StartRefusal {
        StartRefusal(
            "permission denied: \(path) is closed to user \(geteuid()). Run as the owner of the state directory.",
            exitCode: ProgramExit.failure)
    }
}
