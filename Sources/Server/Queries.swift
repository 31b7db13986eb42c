import Assembly
import Coordinator
import HTTPService
import Payments
import Runtime
import Telemetry

/// The questions that a client may ask, on the payment port as a bare line or over HTTP.
enum Query {
    case health
    case readiness(isVerbose: Bool)
    case version
    case payment(requestID: String?)
    case metrics

    /// `nil` for a path that does not exist.
    init?(path: String, query: [QueryParameter]) {
        switch path {
        case "/healthz", "/livez": self = .health
        case "/readyz": self = .readiness(isVerbose: query.contains { $0.name == "verbose" })
        case "/version": self = .version
        case "/tx": self = .payment(requestID: query.first { $0.name == "request_id" }?.value)
        case "/metrics": self = .metrics
        default: return nil
        }
    }
}

/// An answer to a ``Query``.
struct QueryAnswer: Sendable {
    let body: String
    let isJSON: Bool
    /// Whether the server can do what the question was about.
    var isAvailable = true
    var isFound = true
    var isWellFormed = true
}

/// How metrics are shown: as the original's one JSON object, or as Prometheus wants them.
enum MetricsForm { case json, prometheus }

extension PaymentFront {
    func answer(_ query: Query, metrics form: MetricsForm, completion: @escaping @Sendable (QueryAnswer) -> Void) {
        switch query {
        case .health: completion(QueryAnswer(body: "OK", isJSON: false))
        case .version:
            completion(
                QueryAnswer(
                    body: #"{"version":"\#(Release.version)","schema":\#(Release.schema)}"#, isJSON: true))
        case .readiness(let isVerbose): readiness(isVerbose, completion)
        case .payment(let requestID): payment(requestID, completion)
        case .metrics: metrics(form, completion)
        }
    }

    private func readiness(_ isVerbose: Bool, _ completion: @escaping @Sendable (QueryAnswer) -> Void) {
        let isReady = isReady
        let word = isReady ? "OK" : "NOT_READY"
        guard isVerbose else { return completion(QueryAnswer(body: word, isJSON: false, isAvailable: isReady)) }
        let databases = node.databases.map { ($0.index.description, $0.isAvailable) }
        let logAdmits = node.logAdmits()
        let isReconciling = node.isReconciling
        let unverified = node.unverifiedDatabases
        let now = SystemClock.wall()
        let concerns = node.concerns.map { "unfinished: " + $0.words(at: now) }
        node.coordinator.gauges { gauges in
            var lines = databases.map { "\($0.0): \($0.1 ? "available" : "unavailable")" }
            lines.append("log: \(logAdmits ? "has room" : "admits no new payments")")
            if isReconciling { lines.append("reconciling: the log has lost its tail; no payments are taken") }
            lines.append("clearing: circuit breaker \(gauges.isBreakerClosed ? "closed" : "open")")
            lines.append("unfinished transactions: \(gauges.unfinished)")
            lines.append("waiting for an operator: \(gauges.parked)")
            lines.append("open reversals: \(gauges.openReversals)")
            lines += unverified + concerns
            if gauges.isDraining { lines.append("draining") }
            let body = ([word] + lines).joined(separator: "\n")
            completion(QueryAnswer(body: body, isJSON: false, isAvailable: isReady))
        }
    }

    private func payment(_ requestID: String?, _ completion: @escaping @Sendable (QueryAnswer) -> Void) {
        guard let text = requestID, !text.isEmpty else {
            return completion(
                QueryAnswer(body: #"{"error":"missing_request_id"}"#, isJSON: true, isWellFormed: false))
        }
        let notFound = QueryAnswer(body: #"{"status":"NOT_FOUND"}"#, isJSON: true, isFound: false)
        guard let request = RequestID(text) else { return completion(notFound) }
        node.payment(request) { result in
            switch result {
            case .success(let payment?): completion(QueryAnswer(body: Answers.payment(payment), isJSON: true))
            case .success(nil): completion(notFound)
            case .failure:
                completion(QueryAnswer(body: #"{"error":"unavailable"}"#, isJSON: true, isAvailable: false))
            }
        }
    }

    private func metrics(_ form: MetricsForm, _ completion: @escaping @Sendable (QueryAnswer) -> Void) {
        let counts = node.counters.snapshot
        let watched = ConcernGauges(node.concerns, now: SystemClock.wall()).named
        node.coordinator.gauges { gauges in
            switch form {
            case .json:
                let members =
                    counts.map { #""\#($0.counter.name)":\#($0.count)"# }
                    + (gauges.named + watched).map {
                        #""\#($0.name)":\#($0.value)"#
                    }
                completion(QueryAnswer(body: "{\(members.joined(separator: ","))}", isJSON: true))
            case .prometheus:
                var text = ""
                for (counter, count) in counts {
                    let name = "holdfast_\(counter.name)_total"
                    text += "# HELP \(name) \(counter.help)\n# TYPE \(name) counter\n\(name) \(count)\n"
                }
                for gauge in gauges.named + watched {
                    let name = "holdfast_\(gauge.name)"
                    text += "# HELP \(name) \(gauge.help)\n# TYPE \(name) gauge\n\(name) \(gauge.value)\n"
                }
                completion(QueryAnswer(body: text, isJSON: false))
            }
        }
    }
}

/// What the last periodic pass found unfinished, as numbers.
private struct ConcernGauges {
    let named: [(name: String, value: Int, help: String)]

    init(_ concerns: [Concern], now: WallTime) {
        func count(_ kinds: Concern.Kind...) -> Int {
            concerns.filter { kinds.contains($0.kind) }.reduce(0) { $0 + $1.count }
        }
        let away = concerns.count { if case .databaseAway = $0.kind { true } else { false } }
        let oldest = concerns.compactMap(\.since).min().map { max(0, now.microseconds - $0.microseconds) / 1_000_000 }
        named = [
            ("undelivered", count(.undelivered), "Decided transactions that are late in being carried out"),
            ("reversals_late", count(.reversalsOpen), "Reversals that the network is late to acknowledge"),
            (
                "reversals_waiting", count(.reversalsParked, .reversalsHeld),
                "Reversals that wait for an operator"
            ),
            ("orphans", count(.orphans), "Prepared transactions of this log without a record"),
            ("databases_away", away, "Databases that the last recovery pass could not reach"),
            ("reconciling", count(.tailLost), "1 while a log that has lost its tail is being reconciled"),
            ("quarantined", count(.quarantined), "Values of the log that could not be read"),
            ("unfinished_oldest_seconds", Int(oldest ?? 0), "Age of the oldest that is late or waits for an operator"),
        ]
    }
}

extension Gauges {
    fileprivate var named: [(name: String, value: Int, help: String)] {
        [
            ("in_flight", undecided, "Payments between begin and decision"),
            ("unfinished", unfinished, "Transactions that have not ended"),
            ("queued", queued, "Payments waiting for a place in flight"),
            ("reversals_open", openReversals, "Reversals neither acknowledged nor parked"),
            ("parked", parked, "Transactions that wait for an operator"),
            ("clearing_breaker_open", isBreakerClosed ? 0 : 1, "1 while the circuit breaker is not closed"),
            ("draining", isDraining ? 1 : 0, "1 while the server is stopping"),
        ]
    }
}
