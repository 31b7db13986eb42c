/// A reading of the wall clock, for people and for what must outlive the process. No decision compares two of them from
/// different machines.
public struct WallTime: Sendable, Hashable, Comparable {
    /// Microseconds since 1970-01-01T00:00:00Z.
    public let microseconds: Int64
    public init(microseconds: Int64) { self.microseconds = microseconds }
    public static func < (left: Self, right: Self) -> Bool { left.microseconds < right.microseconds }

    /// How long after `other` this is, microseconds; below 0 if it is before it. At most as much as there are numbers for: the times may
    /// come from a damaged log.
    public func microseconds(since other: Self) -> Int64 {
        let (difference, isTooLarge) = microseconds.subtractingReportingOverflow(other.microseconds)
        guard isTooLarge else { return difference }
        return self > other ? .max : .min
    }
}

/// A reading of the monotonic clock; means nothing outside the process.
public struct MonotonicTime: Sendable, Hashable, Comparable {
    public let nanoseconds: UInt64
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    public static func + (left: Self, right: Milliseconds) -> Self {
        Self(nanoseconds: left.nanoseconds &+ UInt64(max(0, right.count)) &* 1_000_000)
    }

    /// How long after `other` this is; 0 if it is not after it.
    public func since(_ other: Self) -> Milliseconds {
        self > other ? Milliseconds(Int64((nanoseconds - other.nanoseconds) / 1_000_000)) : .zero
    }
}

/// A span of time.
public struct Milliseconds: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let count: Int64
    public init(_ count: Int64) { self.count = count }
    public static let zero = Milliseconds(0)
    public static func seconds(_ seconds: Int64) -> Self { Self(seconds * 1000) }
    public static func < (left: Self, right: Self) -> Bool { left.count < right.count }
    public var description: String { "\(count) ms" }
}
