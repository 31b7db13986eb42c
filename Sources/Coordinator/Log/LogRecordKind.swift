/// The kinds of records, by the names that tools print and take. Names never change.
public enum LogRecordKind: String, Sendable, Hashable, CaseIterable {
    case start
    case begin
    case commit
    case abort
    case acknowledged
    case end
    case parked
    case reversalRefused = "reversal_refused"
    case reversalClosed = "reversal_closed"
    case reversalParked = "reversal_parked"
    case resolutionProposed = "resolution_proposed"
    case resolved
    case adopted
    case reopened
    case reversalReleased = "reversal_released"
    case quarantineReleased = "quarantine_released"
    case broken
    case reconciled
}

extension LogRecord {
    /// What it is, without its content.
    public var kind: LogRecordKind {
        switch self {
        case .serverStarted: .start
        case .begin: .begin
        case .commit: .commit
        case .abort: .abort
        case .acknowledged: .acknowledged
        case .end: .end
        case .parked: .parked
        case .reversalRefused: .reversalRefused
        case .reversalClosed: .reversalClosed
        case .reversalParked: .reversalParked
        case .resolutionProposed: .resolutionProposed
        case .resolved: .resolved
        case .adopted: .adopted
        case .reopened: .reopened
        case .reversalReleased: .reversalReleased
        case .quarantineReleased: .quarantineReleased
        case .broken: .broken
        case .reconciled: .reconciled
        }
    }
}
