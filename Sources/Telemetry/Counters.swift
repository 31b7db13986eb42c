import Synchronization

/// Everything that is counted, in the order in which `GET /metrics` shows it. The first eleven names are the original's.
public enum Counter: Int, CaseIterable, Sendable {
    case total
    case approved
    case declined
    case serverBusy
    case riskDeclined
    case twoPhaseCommitted
    case twoPhaseAborted
    case breakerShortCircuit
    case reversalEnqueued
    case reversalSucceeded
    case reversalFailed
    case pending
    case idempotentRepeat
    case idempotencyConflict
    case heuristic
    case reversalParked
    case lostCommit

    public var name: String {
        switch self {
        case .total: "total"
        case .approved: "approved"
        case .declined: "declined"
        case .serverBusy: "server_busy"
        case .riskDeclined: "risk_declined"
        case .twoPhaseCommitted: "twopc_committed"
        case .twoPhaseAborted: "twopc_aborted"
        case .breakerShortCircuit: "clearing_cb_short_circuit"
        case .reversalEnqueued: "reversal_enqueued"
        case .reversalSucceeded: "reversal_succeeded"
        case .reversalFailed: "reversal_failed"
        case .pending: "pending"
        case .idempotentRepeat: "idempotent_repeats"
        case .idempotencyConflict: "idempotency_conflicts"
        case .heuristic: "heuristic"
        case .reversalParked: "reversal_parked"
        case .lostCommit: "lost_commits"
        }
    }

    /// What it counts, for the exposition.
    public var help: String {
        switch self {
        case .total: "Payment requests whose form was right"
        case .approved: "Payments answered APPROVED for the first time"
        case .declined: "Requests answered DECLINED"
        case .serverBusy: "Requests refused because a queue or the log was full"
        case .riskDeclined: "Requests refused by the risk rules"
        case .twoPhaseCommitted: "Commit decisions"
        case .twoPhaseAborted: "Abort decisions"
        case .breakerShortCircuit: "Payments refused because the circuit breaker was open"
        case .reversalEnqueued: "Reversal tasks taken into the queue"
        case .reversalSucceeded: "Reversals acknowledged by the network"
        case .reversalFailed: "Reversal attempts without an acknowledgement"
        case .pending: "Requests answered PENDING"
        case .idempotentRepeat: "Repeats answered from the first outcome"
        case .idempotencyConflict: "Repeats with other content"
        case .heuristic: "Participants that did otherwise than decided"
        case .reversalParked: "Reversals that wait for an operator"
        case .lostCommit: "Commits that a database had lost when it came back, carried out again or parked"
        }
    }
}

/// The counts since the process started. Safe from any thread.
public final class Counters: Sendable {
    private let counts = Mutex([Int](repeating: 0, count: Counter.allCases.count))

    public init() {}

    public func add(_ counter: Counter, _ amount: Int = 1) {
        counts.withLock { $0[counter.rawValue] += amount }
    }

    public var snapshot: [(counter: Counter, count: Int)] {
        let values = counts.withLock { $0 }
        return Counter.allCases.map { ($0, values[$0.rawValue]) }
    }
}
