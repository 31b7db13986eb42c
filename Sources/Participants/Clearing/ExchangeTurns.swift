internal import NIOCore

/// Whose turn it is: so many exchanges with the network run at a time, the others wait here, in the order in which they came.
///
/// The client would let them wait as well, but it gives a connection that became free to the next request at once, in the middle of
/// reading answers, and keeps a timer for each that waits. Here what became free in one turn of the loop is given away together at
/// its end, and one timer looks for all who have waited too long. A connection that is still being closed when its exchange has ended
/// may yet make the next one wait in the client.
///
/// `@unchecked Sendable`: used on the loop only, where it calls what it was given as well.
final class ExchangeTurns: @unchecked Sendable {
    /// How waiting ended.
    enum End: Equatable {
        /// The turn has come; whoever gets it says ``end()`` after it.
        case turn
        /// Nothing became free in time.
        case tooLate
        /// Nobody gets a turn any more.
        case dismissed
    }

    private struct Waiter {
        let due: NIODeadline
        let ended: (End) -> Void
    }

    private let loop: any EventLoop
    private let limit: Int
    private var running = 0
    private var waiters = CircularBuffer<Waiter>()
    /// No waiter's time ends before this.
    private var earliestDue = NIODeadline.distantFuture
    private var givingIsDue = false
    private var hasTimer = false

    /// - Parameter limit: exchanges at a time, from 1.
    init(loop: any EventLoop, limit: Int) {
        self.loop = loop
        self.limit = limit
    }

    /// Takes a turn if there is one and nobody waits for it; ``end()`` is to be called after it.
    func begin() -> Bool {
        guard running < limit, waiters.isEmpty else { return false }
        running += 1
        return true
    }

    /// Waits for a turn, for whom ``begin()`` had none.
    ///
    /// - Parameters:
    ///   - due: when it is too late for one; noticed up to ``ClearingLimits/turnCheckInterval`` later.
    ///   - ended: called once.
    func wait(until due: NIODeadline, ended: @escaping (End) -> Void) {
        waiters.append(Waiter(due: due, ended: ended))
        earliestDue = min(earliestDue, due)
        if !hasTimer { setTimer() }
    }

    /// An exchange has ended.
    func end() {
        running -= 1
        guard !waiters.isEmpty, !givingIsDue else { return }
        givingIsDue = true
        loop.assumeIsolated().execute { [self] in give() }
    }

    /// Ends the waiting of everybody.
    func dismissAll() {
        let dismissed = waiters
        waiters.removeAll()
        for waiter in dismissed { waiter.ended(.dismissed) }
    }

    private func give() {
        givingIsDue = false
        let now = loop.now
        while running < limit, let waiter = waiters.popFirst() {
            if waiter.due <= now {
                waiter.ended(.tooLate)
            } else {
                running += 1
                waiter.ended(.turn)
            }
        }
    }

    private func setTimer() {
        hasTimer = true
        loop.assumeIsolated().scheduleTask(in: .milliseconds(ClearingLimits.turnCheckInterval.count)) { [self] in
            hasTimer = false
            let late = takeLate(loop.now)
            if !waiters.isEmpty { setTimer() }
            for waiter in late { waiter.ended(.tooLate) }
        }
    }

    private func takeLate(_ now: NIODeadline) -> CircularBuffer<Waiter> {
        guard earliestDue <= now else { return [] }
        let late = waiters.filter { $0.due <= now }
        waiters.removeAll { $0.due <= now }
        earliestDue = waiters.lazy.map(\.due).min() ?? .distantFuture
        return late
    }
}
