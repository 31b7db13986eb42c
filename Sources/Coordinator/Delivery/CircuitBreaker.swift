/// Keeps payments away from a network that does not answer. It can delay a decided commit, never fail it.
///
/// It opens when ``Settings/failuresToOpen`` calls in a row failed within ``Settings/window``: in a row, because a network that
/// loses one reply in ten under load is worth using, and one that answers nothing is not. A call here is a whole order with its
/// retries. While open, new payments are refused before anything is claimed. When the time is over one call is let
/// through as a probe: a due reversal or an undelivered commit, else the next payment.
public struct CircuitBreaker: Sendable {
    public struct Settings: Sendable, Hashable {
        public let window: Milliseconds
        /// 1 or more.
        public let failuresToOpen: Int
        public let openFor: Milliseconds

        public init(window: Milliseconds, failuresToOpen: Int, openFor: Milliseconds) {
            precondition(failuresToOpen >= 1, "a breaker opens after one failure at the least")
            self.window = window
            self.failuresToOpen = failuresToOpen
            self.openFor = openFor
        }
    }

    public enum State: Sendable, Hashable {
        /// Calls pass. Goes to `open` when enough of them failed in a row. The times are those of the failures in a row.
        case closed(failures: [MonotonicTime])
        /// Calls are refused until then. Goes to `halfOpen` with the first call after that.
        case open(until: MonotonicTime)
        /// One probe is on its way. Goes to `closed` or back to `open` with its result; a probe that never reports gives way to
        /// another at that time.
        case halfOpen(probeExpires: MonotonicTime)
    }

    public private(set) var state: State = .closed(failures: [])
    private let settings: Settings

    public init(settings: Settings) { self.settings = settings }

    /// Asks for permission to call. A permitted call reports with ``succeeded()`` or ``failed(at:)``.
    public mutating func admit(at now: MonotonicTime) -> Bool {
        switch state {
        case .closed: return true
        case .open(let until):
            guard now >= until else { return false }
        case .halfOpen(let probeExpires):
            guard now >= probeExpires else { return false }
        }
        state = .halfOpen(probeExpires: now + settings.openFor)
        return true
    }

    /// When a refused call may ask again; `nil` if it may now.
    public func nextAdmission(at now: MonotonicTime) -> MonotonicTime? {
        switch state {
        case .closed: nil
        case .open(let until): now >= until ? nil : until
        case .halfOpen(let probeExpires): now >= probeExpires ? nil : probeExpires
        }
    }

    /// The network gave a definite answer, be it a refusal.
    public mutating func succeeded() {
        state = .closed(failures: [])
    }

    /// The network did not answer, or not in a way that means anything.
    public mutating func failed(at now: MonotonicTime) {
        switch state {
        case .closed(var failures):
            failures.removeAll { now.since($0) > settings.window }
            failures.append(now)
            state =
                failures.count >= settings.failuresToOpen
                ? .open(until: now + settings.openFor) : .closed(failures: failures)
        case .open:
            break
        case .halfOpen:
            state = .open(until: now + settings.openFor)
        }
    }
}
