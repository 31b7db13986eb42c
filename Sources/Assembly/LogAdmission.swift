import Synchronization
import Telemetry
import WAL

/// Whether the log takes new payments, told in the log lines whenever that changes.
final class LogAdmission: Sendable {
    private let events: EventLog
    private let wasOpen = Mutex(true)

    init(events: EventLog) { self.events = events }

    func isOpen(_ pressure: LogPressure) -> Bool {
        let isOpen = pressure.admitsNewTransactions
        let hasChanged = wasOpen.withLock { wasOpen in
            defer { wasOpen = isOpen }
            return wasOpen != isOpen
        }
        guard hasChanged else { return isOpen }
        if let obstacle = pressure.obstacle {
            events.emit(
                .error, .log,
                .message("new payments are refused (server_busy), what was begun is finished: \(obstacle)"))
        } else {
            events.emit(.info, .log, .message("new payments are taken again: the log has room"))
        }
        return isOpen
    }
}
