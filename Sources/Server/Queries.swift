import Assembly
import Coordinator
import HTTPService
import Payments
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
        desk.readiness { lines in
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
        desk.payment(request) { result in
            switch result {
            case .success(let payment?): completion(QueryAnswer(body: Answers.payment(payment), isJSON: true))
            case .success(nil): completion(notFound)
            case .failure:
                completion(QueryAnswer(body: #"{"error":"unavailable"}"#, isJSON: true, isAvailable: false))
            }
        }
    }

    private func metrics(_ form: MetricsForm, _ completion: @escaping @Sendable (QueryAnswer) -> Void) {
        let counts = desk.counters.snapshot
        desk.gauges { gauges in
            switch form {
            case .json:
                let members =
                    counts.map { #""\#($0.counter.name)":\#($0.count)"# }
                    + gauges.map { #""\#($0.name)":\#($0.value)"# }
                completion(QueryAnswer(body: "{\(members.joined(separator: ","))}", isJSON: true))
            case .prometheus:
                var text = ""
                for (counter, count) in counts {
                    let name = "holdfast_\(counter.name)_total"
                    text += "# HELP \(name) \(counter.help)\n# TYPE \(name) counter\n\(name) \(count)\n"
                }
                for gauge in gauges {
                    let name = "holdfast_\(gauge.name)"
                    text += "# HELP \(name) \(gauge.help)\n# TYPE \(name) gauge\n\(name) \(gauge.value)\n"
                }
                completion(QueryAnswer(body: text, isJSON: false))
            }
        }
    }
}
