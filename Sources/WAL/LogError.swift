/// Why the log cannot be opened, read or used. Refusals of single steps are `LogRefusal`s instead.
public struct LogError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        /// Another process works on the state directory; its number, if it could be read.
        case inUse(pid: Int32?)
        /// The directory is on a file system that cannot keep the log's promises.
        case unsafeFileSystem
        /// There is no log, or no directory.
        case missing
        /// The process may not read or write it.
        case notPermitted
        /// The file holds something else.
        case notALog
        /// Written by a newer version of this program.
        case newerFormat(found: UInt8)
        /// Written by a version older than the one before this.
        case olderFormat(found: UInt8)
        /// A value that must be readable is not.
        case damaged
        /// Something is where a new file was to go.
        case exists
        /// This process has it open already.
        case alreadyOpen
        /// The disk or the map is full.
        case noSpace
        /// The log was closed.
        case closed
        /// The storage failed in another way.
        case storage
    }

    public let code: Code
    /// What is wrong and what to do.
    public let message: String
    /// The `errno` or LMDB code beneath, if there is one.
    public let systemCode: Int32?

    public init(_ code: Code, _ message: String, systemCode: Int32? = nil) {
        self.code = code
        self.message = message
        self.systemCode = systemCode
    }

    public var description: String { message }

    init(_ failure: LMDBFailure, doing what: String) {
        let code: Code
        let advice: String
        if failure.isOutOfSpace {
            code = .noSpace
            advice = "Free disk space or raise the size of the log's map, then start again."
        } else if failure.isMissing {
            code = .missing
            advice = "Check the path of the state directory."
        } else if failure.isReadOnly {
            code = .notPermitted
            advice = FileSystem.readOnlyAdvice
        } else if failure.isNotPermitted {
            code = .notPermitted
            advice = "Run as the owner of the state directory."
        } else if failure.isDamage {
            code = .damaged
            advice = "Keep a copy of the state directory as it is, then restore the log from a backup."
        } else {
            code = .storage
            advice = "Check the disk and the kernel's messages."
        }
        self.init(code, "\(what): \(failure). \(advice)", systemCode: failure.code)
    }
}
