import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing

@testable import ClearingSimulator

/// Goal: what is to run after a while runs after it, at most a millisecond late, and once.
@Suite struct SharedTimersTests {
    /// What ran, in its order, and when.
    private final class Runs: Sendable {
        private let seen = Mutex<[String]>([])
        var all: [String] { seen.withLock { $0 } }

        func note(_ name: String) -> @Sendable () -> Void {
            { self.seen.withLock { $0.append(name) } }
        }
    }

    private static let microsecond: Int64 = 1000

    @Test func neverEarlyAndAtMostAMillisecondLate() {
        for delay in [Int64(1), 999_999, 1_000_000, 1_000_001, 50_300_000] {
            let loop = EmbeddedEventLoop()
            loop.advanceTime(by: .nanoseconds(123_456_789))
            let (timers, runs) = (SharedTimers(loop: loop), Runs())
            timers.schedule(after: delay, runs.note("it"))
            #expect(runs.all.isEmpty, "nothing runs before the caller has returned")
            loop.advanceTime(by: .nanoseconds(delay - 1))
            #expect(runs.all.isEmpty, "early: \(delay) ns")
            loop.advanceTime(by: .nanoseconds(1_000_000))
            #expect(runs.all == ["it"], "late: \(delay) ns")
            loop.advanceTime(by: .seconds(1))
            #expect(runs.all == ["it"], "again: \(delay) ns")
        }
    }

    @Test func whatIsDueInTheSameMillisecondRunsTogetherAndInOrder() {
        let loop = EmbeddedEventLoop()
        let (timers, runs) = (SharedTimers(loop: loop), Runs())
        timers.schedule(after: 10_700 * Self.microsecond, runs.note("first"))
        timers.schedule(after: 10_200 * Self.microsecond, runs.note("second"))
        timers.schedule(after: 11_100 * Self.microsecond, runs.note("later"))
        loop.advanceTime(by: .microseconds(10_999))
        #expect(runs.all.isEmpty)
        loop.advanceTime(by: .microseconds(1))
        #expect(runs.all == ["first", "second"])
        loop.advanceTime(by: .microseconds(1000))
        #expect(runs.all == ["first", "second", "later"])
    }

    /// What runs may ask for more: the second half of a latency begins where the first one ends.
    @Test func oneAfterTheOther() {
        let loop = EmbeddedEventLoop()
        let (timers, runs) = (SharedTimers(loop: loop), Runs())
        timers.schedule(after: 2_000_000) { timers.schedule(after: 3_000_000, runs.note("both")) }
        loop.advanceTime(by: .microseconds(4999))
        #expect(runs.all.isEmpty)
        loop.advanceTime(by: .microseconds(1))
        #expect(runs.all == ["both"])
    }

    @Test func fromAnotherThread() async {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let timers = SharedTimers(loop: loop)
        let isOnLoop = await withCheckedContinuation { continuation in
            timers.schedule(after: 1) { continuation.resume(returning: loop.inEventLoop) }
        }
        #expect(isOnLoop)
    }
}
