/// What the programs' exit codes mean. Scripts rely on them.
public enum ProgramExit {
    /// Done, and nothing is in doubt.
    public static let clean: Int32 = 0
    /// Something failed; the message says what.
    public static let failure: Int32 = 1
    /// Something is in doubt still or, in a dry run, would be done.
    public static let inDoubt: Int32 = 3
    /// Another process holds the state directory.
    public static let inUse: Int32 = 5
    /// The command line is wrong (sysexits.h, EX_USAGE).
    public static let usage: Int32 = 64
    /// The configuration is wrong (sysexits.h, EX_CONFIG).
    public static let configuration: Int32 = 78
}

/// A start that was refused, with the exit code that tells why.
public struct StartRefusal: Error, CustomStringConvertible {
    public let message: String
    public let exitCode: Int32
    public var description: String { message }

    public init(_ message: String, exitCode: Int32) {
        self.message = message
        self.exitCode = exitCode
    }
}
