public import Coordinator
import Runtime
import Synchronization
import Telemetry

/// What the periodic pass found unfinished, for those who ask, and when it was last told.
final class Watch: Sendable {
    private struct State {
        var concerns: [Concern] = []
        var schedule = AlarmSchedule()
    }

    private let state = Mutex(State())

    var concerns: [Concern] { state.withLock { $0.concerns } }

    func update(_ concerns: [Concern]) -> (alarms: [Concern], over: [Concern.Kind]) {
        state.withLock { state in
            state.concerns = concerns
            return state.schedule.update(concerns, at: SystemClock.monotonic())
        }
    }
}

extension Node {
    /// What the last periodic pass found unfinished.
    public var concerns: [Concern] { watch.concerns }

    /// Takes what a pass found, and tells what is to be told: at growing intervals, never silently.
    ///
    /// - Parameter others: what does not follow from the plan.
    func note(_ plan: RecoveryPlan, _ others: [Concern]) {
        let quarantined: Int
        do {
            quarantined = try log.snapshot().quarantined
        } catch {
            return events.emit(.error, .log, .message("the log cannot be read: \(error)"))
        }
        let now = SystemClock.wall()
        let (alarms, over) = watch.update(Concern.all(in: plan, quarantined: quarantined, now: now) + others)
        for concern in alarms {
            events.emit(.error, .recovery, .count("unfinished", concern.count), .message(concern.words(at: now)))
        }
        for kind in over { events.emit(.info, .recovery, .message("over: \(kind)")) }
    }
}

extension Concern {
    /// One line, with the age of the oldest.
    public func words(at now: WallTime) -> String {
        let age = since.map { ", the oldest for \(max(0, now.microseconds - $0.microseconds) / 1_000_000) s" } ?? ""
        switch kind {
        case .databaseAway, .tailLost, .clockSet, .clockDiffers: return "\(kind)" + (detail.map { ": \($0)" } ?? "")
        case .parked, .undelivered, .reversalsOpen, .reversalsParked, .reversalsHeld, .orphans, .quarantined:
            return "\(count) \(kind)" + age
        }
    }
}
