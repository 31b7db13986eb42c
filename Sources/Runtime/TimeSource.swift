public import Coordinator

/// Where the time comes from: the machine's clocks, or those of a simulated world.
public struct TimeSource: Sendable {
    /// The time of day, which somebody can set. Told and recorded, never waited for.
    public let wall: @Sendable () -> WallTime
    /// The time that passes, never set. What waits counts in it.
    public let monotonic: @Sendable () -> MonotonicTime

    public init(wall: @escaping @Sendable () -> WallTime, monotonic: @escaping @Sendable () -> MonotonicTime) {
        self.wall = wall
        self.monotonic = monotonic
    }

    public static let system = Self(wall: SystemClock.wall, monotonic: SystemClock.monotonic)
}
