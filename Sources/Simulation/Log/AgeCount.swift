package import Coordinator

/// How the writer of a log counts its age: by the monotonic clock of its own process, on from where the last one noted it.
package struct AgeCount: Sendable {
    /// How much of the age a crash may lose.
    static let noteInterval = Milliseconds.seconds(10)

    private var age: LogAge
    private let atStart: Milliseconds
    private var atLastRecord: Milliseconds
    private var onDisk: Milliseconds
    /// Nanoseconds of the monotonic clock.
    private let startedAt: UInt64

    package init(_ age: LogAge, startedAt: UInt64) {
        self.age = age
        atStart = age.age
        atLastRecord = age.age
        onDisk = age.age
        self.startedAt = startedAt
    }

    private func age(at time: UInt64) -> Milliseconds {
        Milliseconds(atStart.count + Int64((max(time, startedAt) - startedAt) / 1_000_000))
    }

    /// A batch is written.
    ///
    /// - Parameters:
    ///   - next: the next LSN before it.
    ///   - trimmedUntil: the latest time of what it dropped.
    /// - Returns: what is on the disk with it; `nil` if the age is not written this time.
    package mutating func written(
        next: LSN, hasAdvanced: Bool, trimmedUntil: WallTime?, at time: UInt64
    ) -> LogAge? {
        age.advance(to: age(at: time))
        if hasAdvanced { age.mark(end: next, writtenBy: atLastRecord) }
        if let trimmedUntil { age.noteTrimmed(until: trimmedUntil) }
        if hasAdvanced { atLastRecord = age.age }
        guard age.age.count - onDisk.count >= Self.noteInterval.count || trimmedUntil != nil else { return nil }
        onDisk = age.age
        return age
    }

    /// The place before which everything was as old as the retention when the trim was asked for.
    package mutating func horizon(
        of retention: Milliseconds, askedAt: UInt64, next: LSN, at time: UInt64
    ) -> LSN? {
        age.advance(to: age(at: time))
        age.mark(end: next, writtenBy: atLastRecord)
        guard let horizon = age.horizon(of: retention, asked: age(at: askedAt)) else { return nil }
        age.forget(before: horizon)
        return horizon
    }
}
