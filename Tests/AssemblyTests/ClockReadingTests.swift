import Coordinator
import Testing

@testable import Assembly

@Suite struct ClockReadingTests {
    private let start = ClockReading(
        wall: WallTime(microseconds: 1_000_000_000), monotonic: MonotonicTime(nanoseconds: 5_000_000_000))

    @Test(
        "Goal: what passes on both clocks is no jump, and a clock that was set is seen in either direction",
        arguments: [0, 60, 3_600_000, -7_200_000])
    func jumps(offset: Int64) {
        let wall = WallTime(microseconds: start.wall.microseconds + (10_000 + offset) * 1000)
        let monotonic = MonotonicTime(nanoseconds: start.monotonic.nanoseconds + 10_000_000_000)
        #expect(start.jump(wall: wall, monotonic: monotonic) == Milliseconds(offset))
    }
}
