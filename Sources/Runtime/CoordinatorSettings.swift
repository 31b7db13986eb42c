public import Coordinator

/// The limits and times of a coordinator.
public struct CoordinatorSettings: Sendable {
    /// Payments between their BEGIN and their answer.
    public var inFlightMax = 512
    /// Payments that wait for a place in flight.
    public var queueMax = 1024
    /// Decided transactions whose delivery is not proven yet; beyond it no new payment is taken.
    public var undeliveredMax = 100_000
    /// From BEGIN to the decision.
    public var prepareTimeout = Milliseconds.seconds(30)
    /// From the decision to the answer PENDING.
    public var commitTimeout = Milliseconds.seconds(30)
    public var breaker = CircuitBreaker.Settings(
        window: .seconds(30), failuresToOpen: 5, openFor: .seconds(20))
    public var reversals = ReversalQueue.Settings(
        refusalsMax: 6, backoff: Backoff(base: Milliseconds(250), ceiling: .seconds(60)), inFlightMax: 64)
    public var delivery = Backoff(base: Milliseconds(50), ceiling: .seconds(10))
    public var logRetry = Backoff(base: Milliseconds(100), ceiling: .seconds(5))
    /// How long a finished transaction is kept: the idempotency window.
    public var retention = Milliseconds.seconds(24 * 3600)
    /// Card velocity; `nil` if risk checks are off.
    public var velocity: (limit: Int, window: Milliseconds)? = (20, .seconds(60))

    public init() {}

    var timing: TransactionMachine.Timing { .init(delivery: delivery, log: logRetry) }
}
