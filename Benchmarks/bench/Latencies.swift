import Glibc
import Histogram

/// How long single things took, with percentiles that are right to a thousandth.
struct Latencies {
    private static let microsecondsMax: UInt64 = 60_000_000

    private var histogram = Histogram<UInt64>(
        highestTrackableValue: Latencies.microsecondsMax, numberOfSignificantValueDigits: .three)

    mutating func record(nanoseconds: UInt64) { histogram.record(min(nanoseconds / 1000, Self.microsecondsMax)) }

    /// Microseconds.
    func percentile(_ percent: Double) -> Double { Double(histogram.valueAtPercentile(percent)) }
}

enum Monotonic {
    /// CLOCK_MONOTONIC, nanoseconds.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
