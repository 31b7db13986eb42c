import Coordinator

/// Limits of the runtime that nobody configures.
enum RuntimeLimits {
    /// How long a reversal whose hold has ended waits for those of others, so that the log is read once for all.
    static let takeUpPause = Milliseconds(20)
}
