/// Exponential backoff: doubles from a base to a ceiling.
public struct Backoff: Sendable, Hashable {
    public let base: Milliseconds
    public let ceiling: Milliseconds

    public init(base: Milliseconds, ceiling: Milliseconds) {
        precondition(base.count > 0 && ceiling >= base, "a backoff needs 0 < base <= ceiling")
        self.base = base
        self.ceiling = ceiling
    }

    /// The wait before attempt `attempt + 1`.
    ///
    /// - Parameters:
    ///   - attempt: attempts made so far, 1 or more.
    ///   - spread: any number that differs between those who wait (a transaction's low bits): it shortens the wait by up to a
    ///     quarter, so that what failed together does not return together. The core has no randomness of its own.
    public func delay(afterAttempt attempt: Int, spread: UInt64 = 0) -> Milliseconds {
        let doublings = min(max(attempt, 1) - 1, 30)
        let (product, overflow) = base.count.multipliedReportingOverflow(by: Int64(1) << Int64(doublings))
        let full = overflow ? ceiling.count : min(product, ceiling.count)
        let share = Int64(spread % 256)
        // In two parts, so that no ceiling overflows.
        let shortened = full - (full / 1024 * share + full % 1024 * share / 1024)
        return Milliseconds(max(1, shortened))
    }
}
