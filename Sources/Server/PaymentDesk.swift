import Assembly
import Coordinator
import Payments
import Runtime
import Telemetry

/// Who answers what the connections bring: a node at work or, while there is no room to open its log, what can be read of it.
protocol PaymentDesk: Sendable {
    var counters: Counters { get }
    /// Whether payments are taken now.
    var isReady: Bool { get }
    /// Whether a well-formed request would be refused now as one too many. Whoever asks need not submit it then.
    ///
    /// - Parameter request: as the client named it.
    func isFull(for request: RequestID?) -> Bool
    /// `completion` is called exactly once, on any thread.
    func submit(_ submission: Submission, completion: @escaping @Sendable (Reply) -> Void)
    /// What is known of a request_id.
    func payment(_ request: RequestID, completion: @escaping @Sendable (Result<PaymentView?, any Error>) -> Void)
    /// How things stand, a line each.
    func readiness(completion: @escaping @Sendable ([String]) -> Void)
    func gauges(completion: @escaping @Sendable ([NamedGauge]) -> Void)
}

/// A number that goes up and down, as the metrics show it.
struct NamedGauge: Sendable {
    let name: String
    let value: Int
    let help: String

    init(_ name: String, _ value: Int, _ help: String) {
        self.name = name
        self.value = value
        self.help = help
    }
}

extension Node: PaymentDesk {
    var isReady: Bool { databases.contains { $0.isAvailable } && logAdmits() && !isReconciling }

    func isFull(for request: RequestID?) -> Bool { coordinator.isFull(for: request) }

    func submit(_ submission: Submission, completion: @escaping @Sendable (Reply) -> Void) {
        coordinator.submit(submission, completion: completion)
    }

    func readiness(completion: @escaping @Sendable ([String]) -> Void) {
        let databases = databases.map { ($0.index.description, $0.isAvailable) }
        let obstacle = logObstacle
        let isReconciling = isReconciling
        let unverified = unverifiedDatabases
        let now = SystemClock.wall()
        let concerns = concerns.map { "unfinished: " + $0.words(at: now) }
        coordinator.gauges { gauges in
            var lines = databases.map { "\($0.0): \($0.1 ? "available" : "unavailable")" }
            lines.append("log: \(obstacle.map { "admits no new payments: " + $0 } ?? "has room")")
            if isReconciling { lines.append("reconciling: the log has lost its tail; no payments are taken") }
            lines.append("clearing: circuit breaker \(gauges.isBreakerClosed ? "closed" : "open")")
            lines.append("unfinished transactions: \(gauges.unfinished)")
            lines.append("waiting for an operator: \(gauges.parked)")
            lines.append("open reversals: \(gauges.openReversals)")
            lines += unverified + concerns
            if gauges.isDraining { lines.append("draining") }
            completion(lines)
        }
    }

    func gauges(completion: @escaping @Sendable ([NamedGauge]) -> Void) {
        let watched = NamedGauge.watched(concerns, now: SystemClock.wall())
        let admits = NamedGauge(
            "log_admits", logAdmits() ? 1 : 0, "1 while the log and its disk have room for new payments")
        coordinator.gauges { completion($0.named + watched + [admits]) }
    }
}

extension NamedGauge {
    /// What the last periodic pass found unfinished, as numbers.
    fileprivate static func watched(_ concerns: [Concern], now: WallTime) -> [NamedGauge] {
        func count(_ kinds: Concern.Kind...) -> Int {
            concerns.filter { kinds.contains($0.kind) }.reduce(0) { $0 + $1.count }
        }
        let away = concerns.count { if case .databaseAway = $0.kind { true } else { false } }
        let clocks = concerns.count { concern in
            switch concern.kind {
            case .clockSet, .clockDiffers: true
            case .parked, .undelivered, .reversalsOpen, .reversalsParked, .reversalsHeld, .orphans, .databaseAway,
                .tailLost, .quarantined:
                false
            }
        }
        let oldest = concerns.compactMap(\.since).min().map { max(0, now.microseconds - $0.microseconds) / 1_000_000 }
        return [
            NamedGauge("undelivered", count(.undelivered), "Decided transactions that are late in being carried out"),
            NamedGauge("reversals_late", count(.reversalsOpen), "Reversals that the network is late to acknowledge"),
            NamedGauge(
                "reversals_waiting", count(.reversalsParked, .reversalsHeld), "Reversals that wait for an operator"),
            NamedGauge("orphans", count(.orphans), "Prepared transactions of this log without a record"),
            NamedGauge("databases_away", away, "Databases that the last recovery pass could not reach"),
            NamedGauge("clocks_wrong", clocks, "Clocks that were set, or differ from ours"),
            NamedGauge("reconciling", count(.tailLost), "1 while a log that has lost its tail is being reconciled"),
            NamedGauge("quarantined", count(.quarantined), "Values of the log that could not be read"),
            NamedGauge(
                "unfinished_oldest_seconds", Int(oldest ?? 0), "Age of the oldest that is late or waits for an operator"
            ),
        ]
    }
}

extension Gauges {
    fileprivate var named: [NamedGauge] {
        [
            NamedGauge("in_flight", undecided, "Payments between begin and decision"),
            NamedGauge("unfinished", unfinished, "Transactions that have not ended"),
            NamedGauge("queued", queued, "Payments waiting for a place in flight"),
            NamedGauge("reversals_open", openReversals, "Reversals neither acknowledged nor parked"),
            NamedGauge("parked", parked, "Transactions that wait for an operator"),
            NamedGauge("clearing_breaker_open", isBreakerClosed ? 0 : 1, "1 while the circuit breaker is not closed"),
            NamedGauge("draining", isDraining ? 1 : 0, "1 while the server is stopping"),
        ]
    }
}
