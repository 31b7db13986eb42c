/// Why a payment was not made, as clients are told. The raw values are on disk and never reused.
public enum DeclineReason: UInt8, Sendable, Hashable, CaseIterable {
    case badRequest = 1
    case luhnFailed = 2
    case amountInvalid = 3
    case riskVelocity = 4
    case riskDecline = 5
    case transactionInitFailed = 6
    case databaseError = 7
    case clearingDeclined = 8
    case clearingUnavailable = 9
    case commitFailed = 10
    case serverBusy = 11
    case idempotencyConflict = 12
    case unknownReference = 13
    case invalidState = 14
    case rateLimited = 15
    case shuttingDown = 16

    /// The `reason` on the wire.
    public var wireName: String {
        switch self {
        case .badRequest: "bad_request"
        case .luhnFailed: "luhn_failed"
        case .amountInvalid: "amount_invalid"
        case .riskVelocity: "risk_velocity"
        case .riskDecline: "risk_decline"
        case .transactionInitFailed: "txn_init_failed"
        case .databaseError: "db_error"
        case .clearingDeclined: "clearing_declined"
        case .clearingUnavailable: "clearing_unavailable"
        case .commitFailed: "commit_failed"
        case .serverBusy: "server_busy"
        case .idempotencyConflict: "idempotency_conflict"
        case .unknownReference: "unknown_reference"
        case .invalidState: "invalid_state"
        case .rateLimited: "rate_limited"
        case .shuttingDown: "shutting_down"
        }
    }
}
