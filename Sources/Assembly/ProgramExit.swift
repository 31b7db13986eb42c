import WAL

/// What the programs' exit codes mean. Scripts rely on them.
public enum ProgramExit {
    /// Done, and nothing is in doubt.
    public static let clean: Int32 = 0
    /// Something failed; the message says what.
    public static let failure: Int32 = 1
    /// Something is in doubt still or, in a dry run, would be done.
    public static let inDoubt: Int32 = 3
    /// The log is damaged: it cannot be read at all, or a check found values in it that cannot.
    public static let damaged: Int32 = 4
    /// Another process holds the state directory.
    public static let inUse: Int32 = 5
    /// A database or the network could not be reached; everything else was done.
    public static let unreachable: Int32 = 6
    /// The command line is wrong (sysexits.h, EX_USAGE).
    public static let usage: Int32 = 64
    /// The configuration is wrong (sysexits.h, EX_CONFIG).
    public static let configuration: Int32 = 78
}

extension StartRefusal {
    /// What the log says, with the code that tells damage from the rest.
    init(_ error: LogError) {
        let code: Int32 =
            switch error.code {
            // Whatever was being read then.
            case _ where error.systemCode.map(Self.damageCodes.contains) ?? false: ProgramExit.damaged
            case .inUse: ProgramExit.inUse
            case .unsafeFileSystem: ProgramExit.configuration
            case .damaged: ProgramExit.damaged
            case .missing, .notPermitted, .notALog, .newerFormat, .olderFormat, .exists, .alreadyOpen, .noSpace,
                .closed, .storage:
                ProgramExit.failure
            }
        self.init(error.message, exitCode: code, isForSpace: error.code == .noSpace)
    }

    /// LMDB's codes for a page that is not there and for one of the wrong kind.
    private static let damageCodes: Set<Int32> = [-30797, -30796]
}

/// A start that was refused, with the exit code that tells why.
public struct StartRefusal: Error, CustomStringConvertible {
    public let message: String
    public let exitCode: Int32
    /// Whether the disk, or what the process may use of it, has no room: that passes, so a server waits for it.
    public let isForSpace: Bool
    public var description: String { message }

    public init(_ message: String, exitCode: Int32, isForSpace: Bool = false) {
        self.message = message
        self.exitCode = exitCode
        self.isForSpace = isForSpace
    }
}
