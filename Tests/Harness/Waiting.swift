import Foundation

/// What went wrong in the harness, or what it waited for in vain.
struct HarnessError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A point in time after which waiting makes no sense.
struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    init(in duration: Duration) { end = ContinuousClock.now + duration }

    var remaining: Duration { max(.zero, end - ContinuousClock.now) }
    var hasPassed: Bool { remaining == .zero }

    /// For poll(2): at least 1 ms while there is time left.
    var remainingMilliseconds: Int32 { hasPassed ? 0 : Int32(clamping: max(1, remaining.milliseconds)) }
}

extension Duration {
    var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

enum Wait {
    /// Blocks this thread.
    static func sleep(_ duration: Duration) { Thread.sleep(forTimeInterval: duration.seconds) }

    /// Looks at `condition` again and again until it holds.
    ///
    /// - Throws: ``HarnessError`` with `goal` if it does not hold in time; whatever `condition` throws.
    static func until(
        _ goal: @autoclosure () -> String, within limit: Duration, every pause: Duration = Limits.pollInterval,
        _ condition: () throws -> Bool
    ) throws {
        let deadline = Deadline(in: limit)
        while try !condition() {
            guard !deadline.hasPassed else { throw HarnessError("not within \(limit): \(goal())") }
            sleep(pause)
        }
    }

    /// Whether `condition` came to hold in time.
    static func holds(within limit: Duration, _ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Deadline(in: limit)
        while try !condition() {
            guard !deadline.hasPassed else { return false }
            sleep(Limits.pollInterval)
        }
        return true
    }

    /// How long `work` took.
    static func measure(_ work: () throws -> Void) rethrows -> Duration { try ContinuousClock().measure(work) }
}
