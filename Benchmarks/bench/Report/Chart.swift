import BenchmarkKit

/// Throughput and latency against the number in flight, as they are drawn: what a report says, in the order of a legend.
struct Chart: Equatable {
    /// One value, with what the rounds ranged over.
    struct Point: Equatable {
        let inFlight: Double
        let median: Double
        let least: Double
        let most: Double
    }

    struct Line: Equatable {
        /// Whose it is: lines of the same subject have the same colour in every panel.
        let subject: String
        let percentile: Percentile?
        /// In the order of the number in flight.
        let points: [Point]
    }

    /// The percentiles that are drawn.
    enum Percentile: String, CaseIterable {
        case p50
        case p99
    }

    let title: String
    /// Every subject that has a line, in the order of the report.
    let subjects: [String]
    /// What the axis of loads is called: the parameter's name.
    let loadName: String
    /// Payments, or whatever was counted, a second.
    let throughput: [Line]
    /// What the axis of throughput is called.
    let throughputName: String
    /// Milliseconds.
    let latency: [Line]

    /// Names of the parameter that says how many are in flight.
    static let inFlightNames = ["in_flight", "clients", "threads", "waiting"]
    /// What follows the subject in the label of a throughput and is of no interest in a legend.
    private static let countedWords: Set<String> = ["payments", "transactions"]
    /// A unit of time in milliseconds.
    private static let milliseconds: [String: Double] = ["ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3]

    /// `nil` if nothing in the report depends on the number in flight.
    init?(_ report: Report) {
        var lines = Lines()
        for series in report.series where !series.values.isEmpty { lines.add(series) }
        guard !lines.subjects.isEmpty else { return nil }
        title = report.benchmark
        subjects = lines.subjects
        loadName = lines.loadName.replacing("_", with: " ")
        throughputName = lines.countsPayments ? "payments a second" : "a second"
        throughput = lines.lines(of: nil)
        latency = Percentile.allCases.flatMap { lines.lines(of: $0) }
    }

    /// Gathers the points of lines from the series of a report.
    private struct Lines {
        private struct Key: Hashable {
            let subject: String
            let percentile: Percentile?
        }

        private(set) var subjects: [String] = []
        private(set) var loadName = ""
        /// Whether every throughput is one of payments.
        private(set) var countsPayments = true
        private var points: [Key: [Point]] = [:]

        mutating func add(_ series: Series) {
            guard let name = Chart.inFlightNames.first(where: { series.parameters[$0] != nil }),
                let inFlight = series.parameters[name].flatMap({ Double($0) }), inFlight >= 1
            else { return }
            var words = series.label.split(separator: " ").map(String.init)
            let percentile = words.last.flatMap { Percentile(rawValue: $0) }
            let scale: Double
            if percentile != nil {
                guard let milliseconds = Chart.milliseconds[series.unit] else { return }
                scale = milliseconds
            } else {
                guard series.unit == "1/s" else { return }
                scale = 1
                if words.last != "payments" { countsPayments = false }
            }
            if loadName.isEmpty { loadName = name }
            if words.count > 1, percentile != nil || Chart.countedWords.contains(words[words.count - 1]) {
                words.removeLast()
            }
            let others = series.parameters.filter { $0.key != name }.sorted { $0.key < $1.key }
            let details = others.map { " \($0.key.replacing("_", with: " ")) \($0.value)" }.joined(separator: ",")
            let subject = words.joined(separator: " ") + (details.isEmpty ? "" : "," + details)
            if !subjects.contains(subject) { subjects.append(subject) }
            points[Key(subject: subject, percentile: percentile), default: []].append(
                Point(
                    inFlight: inFlight, median: series.median * scale, least: series.minimum * scale,
                    most: series.maximum * scale))
        }

        func lines(of percentile: Percentile?) -> [Line] {
            subjects.compactMap { subject in
                points[Key(subject: subject, percentile: percentile)].map { points in
                    Line(subject: subject, percentile: percentile, points: points.sorted { $0.inFlight < $1.inFlight })
                }
            }
        }
    }
}
