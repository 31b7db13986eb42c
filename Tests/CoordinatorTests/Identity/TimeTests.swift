import Coordinator
import Testing

@Suite struct TimeTests {
    @Test func waitsAreAddedInMilliseconds() {
        let start = MonotonicTime(nanoseconds: 5)
        #expect((start + Milliseconds(3)).nanoseconds == 3_000_005)
        #expect((start + .seconds(2)).nanoseconds == 2_000_000_005)
        #expect(start + .zero == start)
    }

    /// A negative wait is no wait: nothing becomes due in the past.
    @Test func aNegativeWaitIsNone() {
        let start = MonotonicTime(nanoseconds: 5)
        #expect(start + Milliseconds(-10) == start)
    }

    @Test func theTimeSinceIsNeverNegative() {
        let early = MonotonicTime(nanoseconds: 1_000_000)
        let late = MonotonicTime(nanoseconds: 3_999_999)
        #expect(late.since(early) == Milliseconds(2), "whole milliseconds that have passed")
        #expect(early.since(late) == .zero)
        #expect(early.since(early) == .zero)
        #expect(early < late)
    }

    /// Times of a damaged log may be anything.
    @Test func theSpanOfTwoWallTimesDoesNotOverflow() {
        let (first, last) = (WallTime(microseconds: .min), WallTime(microseconds: .max))
        #expect(last.microseconds(since: first) == .max)
        #expect(first.microseconds(since: last) == .min)
        #expect(WallTime(microseconds: 5).microseconds(since: WallTime(microseconds: 7)) == -2)
        #expect(LSN(rawValue: 1).next == LSN(rawValue: 2))
        #expect(LSN(rawValue: .max).next == LSN(rawValue: .max))
    }

    @Test func spansCompareAndReadAsMilliseconds() {
        #expect(Milliseconds.seconds(2) == Milliseconds(2000))
        #expect(Milliseconds(1) < .seconds(1))
        #expect(Milliseconds(1500).description == "1500 ms")
        #expect(WallTime(microseconds: -1) < WallTime(microseconds: 0))
    }
}
