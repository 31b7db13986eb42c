/// The events of the log lines. Names are constants, and clients grep for them.
public enum Event: String, Sendable {
    /// A payment was answered.
    case transaction = "tx"
    case starting, ready, draining, stopped
    case configuration
    case database
    case clearing
    case log
    case recovery
    /// A participant did otherwise than decided; somebody must look.
    case heuristic
    case reversal
    /// A database lost what it had committed or rolled back: it was restored or failed over.
    case backInTime = "back_in_time"
    /// An operator ordered something: who, what, and what came of it.
    case order
    case fencedOut = "fenced_out"
    case fault
}

/// How much an event matters.
public enum Level: String, Sendable {
    case info = "INFO"
    case warning = "WARN"
    case error = "ERROR"
}

/// The keys of the log lines.
public enum Field: Sendable {
    case requestID(String)
    case transactionID(String)
    case status(String)
    case reason(String)
    case latencyMicroseconds(Int64)
    case message(String)
    case count(String, Int)

    var key: String {
        switch self {
        case .requestID: "request_id"
        case .transactionID: "txn_id"
        case .status: "status"
        case .reason: "reason"
        case .latencyMicroseconds: "latency_us"
        case .message: "message"
        case .count(let name, _): name
        }
    }
}
