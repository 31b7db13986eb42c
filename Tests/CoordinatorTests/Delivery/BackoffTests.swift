import Coordinator
import Testing

@Suite struct BackoffTests {
    @Test func doublesFromTheBaseToTheCeiling() {
        let backoff = Backoff(base: Milliseconds(250), ceiling: Milliseconds(60_000))
        let waits = (1...10).map { backoff.delay(afterAttempt: $0).count }
        #expect(waits == [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
    }

    @Test(arguments: [-1, 0, 1]) func whatIsNoAttemptYetWaitsForTheBase(_ attempt: Int) {
        #expect(Backoff(base: Milliseconds(250), ceiling: Milliseconds(1000)).delay(afterAttempt: attempt).count == 250)
    }

    /// Neither a long outage nor an absurd setting makes it overflow.
    @Test(arguments: [1, 31, 64, 1000, Int.max]) func noAttemptOverflows(_ attempt: Int) {
        let widest = Backoff(base: Milliseconds(Int64.max), ceiling: Milliseconds(Int64.max))
        #expect(widest.delay(afterAttempt: attempt, spread: 255).count > Int64.max / 4 * 3)
        let steep = Backoff(base: Milliseconds(1), ceiling: Milliseconds(60_000))
        #expect(steep.delay(afterAttempt: attempt).count <= 60_000)
    }

    /// The spread shortens by less than a quarter and never lengthens: the ceiling is a promise.
    @Test func theSpreadStaysWithinAQuarter() {
        let backoff = Backoff(base: Milliseconds(1000), ceiling: Milliseconds(1000))
        let waits = (0..<UInt64(256)).map { backoff.delay(afterAttempt: 3, spread: $0).count }
        #expect(waits.max() == 1000)
        #expect(waits.min() == 751)
        #expect(waits == waits.sorted(by: >))
        #expect(backoff.delay(afterAttempt: 3, spread: 256) == backoff.delay(afterAttempt: 3, spread: 0))
    }

    /// A wait of nothing would be a busy loop.
    @Test func theShortestWaitIsOneMillisecond() {
        let backoff = Backoff(base: Milliseconds(1), ceiling: Milliseconds(1))
        #expect(backoff.delay(afterAttempt: 1, spread: 255).count == 1)
    }
}
