import Coordinator
import Testing

/// A reference to a breaker: expectations take values that they cannot change.
private final class Guard {
    private var breaker: CircuitBreaker

    init(_ breaker: CircuitBreaker) { self.breaker = breaker }

    var copy: Guard { Guard(breaker) }
    var state: CircuitBreaker.State { breaker.state }

    func admit(at now: MonotonicTime) -> Bool { breaker.admit(at: now) }
    func nextAdmission(at now: MonotonicTime) -> MonotonicTime? { breaker.nextAdmission(at: now) }
    func succeeded() { breaker.succeeded() }
    func failed(at now: MonotonicTime) { breaker.failed(at: now) }
}

@Suite struct CircuitBreakerTests {
    private static let settings = CircuitBreaker.Settings(
        window: .seconds(30), failuresToOpen: 3, openFor: .seconds(20))

    private static func time(_ seconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * 1_000_000_000) }

    private static func opened(at seconds: UInt64) -> Guard {
        let breaker = Guard(CircuitBreaker(settings: settings))
        for _ in 0..<3 { breaker.failed(at: time(seconds)) }
        return breaker
    }

    @Test func failuresInARowOpenIt() {
        let breaker = Guard(CircuitBreaker(settings: Self.settings))
        for second in 1...2 {
            breaker.failed(at: Self.time(UInt64(second)))
            #expect(breaker.admit(at: Self.time(UInt64(second))))
            #expect(breaker.nextAdmission(at: Self.time(UInt64(second))) == nil)
        }
        breaker.failed(at: Self.time(3))
        #expect(breaker.state == .open(until: Self.time(23)))
        #expect(!breaker.admit(at: Self.time(3)))
        #expect(breaker.nextAdmission(at: Self.time(22)) == Self.time(23))
    }

    /// A network that loses one reply in three under load is worth using.
    @Test func anAnswerInBetweenStartsTheCountAnew() {
        let breaker = Guard(CircuitBreaker(settings: Self.settings))
        for second in 1...20 {
            breaker.failed(at: Self.time(UInt64(second)))
            if second % 2 == 0 { breaker.succeeded() }
        }
        #expect(breaker.state == .closed(failures: []))
    }

    @Test func oldFailuresDoNotCount() {
        let breaker = Guard(CircuitBreaker(settings: Self.settings))
        breaker.failed(at: Self.time(0))
        breaker.failed(at: Self.time(30))
        breaker.failed(at: Self.time(31))
        #expect(breaker.state == .closed(failures: [Self.time(30), Self.time(31)]))
        breaker.failed(at: Self.time(60))
        #expect(breaker.state == .open(until: Self.time(80)))
    }

    @Test func oneProbeIsLetThroughAndDecides() {
        let recovered = Self.opened(at: 0)
        #expect(!recovered.admit(at: MonotonicTime(nanoseconds: 19_999_999_999)))
        #expect(recovered.nextAdmission(at: Self.time(20)) == nil)
        #expect(recovered.admit(at: Self.time(20)))
        #expect(!recovered.admit(at: Self.time(20)), "a second call while the probe is on its way")
        #expect(recovered.nextAdmission(at: Self.time(21)) == Self.time(40))
        let stillDown = recovered.copy
        recovered.succeeded()
        #expect(recovered.admit(at: Self.time(21)))
        stillDown.failed(at: Self.time(21))
        #expect(stillDown.state == .open(until: Self.time(41)))
    }

    /// A probe that was admitted and never sent (its payment was refused elsewhere) must not keep the breaker open for ever.
    @Test func aProbeThatNeverReportsGivesWayToAnother() {
        let breaker = Self.opened(at: 0)
        #expect(breaker.admit(at: Self.time(20)))
        #expect(!breaker.admit(at: Self.time(39)))
        #expect(breaker.admit(at: Self.time(40)))
        #expect(!breaker.admit(at: Self.time(41)))
    }

    /// Calls that were on their way when it opened: their failures do not prolong it, an answer closes it.
    @Test func lateReportsOfEarlierCalls() {
        let breaker = Self.opened(at: 0)
        breaker.failed(at: Self.time(19))
        #expect(breaker.state == .open(until: Self.time(20)))
        breaker.succeeded()
        #expect(breaker.state == .closed(failures: []))
    }
}
