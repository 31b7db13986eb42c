import Coordinator
import PostgresParticipant
import Testing

@testable import Assembly

@Suite struct ClockReadingTests {
    private static let start = ClockReading(
        wall: WallTime(microseconds: 1_000_000_000_000), monotonic: MonotonicTime(nanoseconds: 5_000_000_000))

    /// Ten seconds later, with the clock set by so many milliseconds in between.
    private static func later(setBy offset: Int64) -> ClockReading {
        ClockReading(
            wall: WallTime(microseconds: start.wall.microseconds + (10_000 + offset) * 1000),
            monotonic: MonotonicTime(nanoseconds: start.monotonic.nanoseconds + 10_000_000_000))
    }

    @Test(
        "Goal: what passes on both clocks is no jump, and a clock that was set is seen in either direction",
        arguments: [0, 60, 3_600_000, -7_200_000])
    func jumps(offset: Int64) {
        #expect(Self.start.jump(to: Self.later(setBy: offset)) == Milliseconds(offset))
    }

    @Test(
        "Goal: a clock that was set while the server runs is told with the amount, and no longer when it is set right")
    func set() {
        func detail(_ offset: Int64) -> String? {
            Self.start.concern(at: Self.later(setBy: offset), lastWrittenAt: nil).map { $0.detail ?? "" }
        }
        #expect(detail(0) == nil && detail(300_000) == nil && detail(-300_000) == nil)
        #expect(detail(90_000_000)?.contains("90000 s forward") == true)
        #expect(detail(-90_000_000)?.contains("90000 s back") == true)
    }

    @Test("Goal: a clock that is behind what earlier starts have written is told, one that is ahead is not")
    func behindTheLog() {
        func kind(_ seconds: Int64) -> Concern.Kind? {
            let written = WallTime(microseconds: Self.later(setBy: 0).wall.microseconds + seconds * 1_000_000)
            return Self.start.concern(at: Self.later(setBy: 0), lastWrittenAt: written)?.kind
        }
        #expect(kind(-90_000) == nil && kind(0) == nil && kind(300) == nil)
        #expect(kind(301) == .clockSet)
    }

    @Test("Goal: a database's clock is told of beyond what the look at it can tell")
    func databases() {
        let db1 = DatabaseIndex(rawValue: 1)
        func concern(_ seconds: Int64, bound: Int64 = 0) -> Concern? {
            ClockReading.concern(
                .init(microseconds: seconds * 1_000_000, boundMicroseconds: bound * 1_000_000), at: db1)
        }
        #expect(concern(300) == nil && concern(-300) == nil && concern(301, bound: 1) == nil)
        #expect(concern(301)?.detail?.contains("301 s ahead") == true)
        #expect(concern(-90_000)?.detail?.contains("90000 s behind") == true)
        #expect(concern(-90_000)?.kind == .clockDiffers(db1))
    }

    @Test("Goal: a row that the log does not know betrays an older copy only if the log cannot have forgotten it")
    func forgotten() {
        let transaction = TransactionID(high: 1_000 << 16 | 0xFFFF, low: 1)
        #expect(!Node.mayHaveBeenTrimmed(transaction, until: nil))
        #expect(!Node.mayHaveBeenTrimmed(transaction, until: WallTime(microseconds: 999_999)))
        #expect(Node.mayHaveBeenTrimmed(transaction, until: WallTime(microseconds: 1_000_000)))
    }
}
