import Coordinator
import PostgresParticipant
import Runtime
import WAL

/// The two clocks of this machine read together, to notice later that somebody set one.
struct ClockReading: Sendable {
    /// By how much clocks may differ before it is told. No two machines agree to the second without a time server; with one they do to
    /// much less.
    static let differenceMax = Milliseconds.seconds(300)

    let wall: WallTime
    let monotonic: MonotonicTime

    static func now() -> Self { Self(wall: SystemClock.wall(), monotonic: SystemClock.monotonic()) }

    /// How far the wall clock was set since, beyond the time that passed; negative if it was set back.
    func jump(to later: Self) -> Milliseconds {
        let passed = later.monotonic.since(monotonic).count
        return Milliseconds((later.wall.microseconds - wall.microseconds) / 1000 - passed)
    }

    /// What is to be told of this machine's clock; `nil` if it seems to be right.
    ///
    /// - Parameter lastWrittenAt: the time of the newest record that earlier starts have left in the log.
    func concern(at now: Self, lastWrittenAt: WallTime?) -> Concern? {
        let jump = jump(to: now).count
        if jump.magnitude > Self.differenceMax.count.magnitude {
            let word = jump < 0 ? "back" : "forward"
            return Concern(
                .clockSet,
                detail:
                    "by \(jump.magnitude / 1000) s \(word) since the start; times and ages that are told may be wrong by that"
            )
        }
        let behind = ((lastWrittenAt ?? now.wall).microseconds - now.wall.microseconds) / 1000
        guard behind > Self.differenceMax.count else { return nil }
        return Concern(
            .clockSet,
            detail: "it is \(behind / 1000) s before the newest record of the last start: it is wrong now, or was then")
    }

    /// What is to be told of a database's clock; `nil` if it agrees with ours as far as the look at it can tell.
    static func concern(_ offset: PostgresDiagnosis.ClockOffset, at database: DatabaseIndex) -> Concern? {
        let beyond = Int64(clamping: offset.microseconds.magnitude) - offset.boundMicroseconds
        guard beyond > differenceMax.count * 1000 else { return nil }
        let word = offset.microseconds < 0 ? "behind" : "ahead of"
        return Concern(
            .clockDiffers(database),
            detail: "it is \(offset.microseconds.magnitude / 1_000_000) s \(word) ours; set both by a time server (NTP)"
        )
    }
}

/// Clocks that cannot be believed are told. Nothing is decided by it, because nothing is decided by them.
extension Node {
    /// What is to be told of the clocks now.
    func clockConcerns() async -> [Concern] {
        let own = clockAtStart.concern(at: .now(), lastWrittenAt: log.lastWrittenAt)
        var found = own.map { [$0] } ?? []
        await withTaskGroup(of: Concern?.self) { group in
            for database in databases where database.isAvailable {
                group.addTask { [self] in
                    let offset = await withTimeout(Observation.timeMax, on: anyLoop, otherwise: nil) { done in
                        database.clockOffset { done($0) }
                    }
                    return offset.flatMap { ClockReading.concern($0, at: database.index) }
                }
            }
            for await case let concern? in group { found.append(concern) }
        }
        return found
    }
}
