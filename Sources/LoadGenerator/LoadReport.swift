import Foundation
import Histogram

/// A finished load, in words and for programs.
struct LoadReport {
    let plan: LoadPlan
    let tally: Tally
    /// From the first request to the last answer, seconds.
    let seconds: Double
    let check: LoadCheck.Report?
    private let latencies: Histogram<UInt64>

    init(plan: LoadPlan, tally: Tally, seconds: Double, check: LoadCheck.Report?) {
        self.plan = plan
        self.tally = tally
        self.seconds = seconds
        self.check = check
        latencies = tally.latencies
    }

    /// The quantiles that are shown, in percent.
    static let percentiles: [(name: String, percent: Double)] = [
        ("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("p99.9", 99.9), ("p99.99", 99.99),
    ]

    var perSecond: Double { seconds > 0 ? Double(tally.answered) / seconds : 0 }

    func latency(_ percent: Double) -> UInt64 { latencies.valueAtPercentile(percent) }

    /// The statuses that were answered with; one alone needs no line of its own.
    private var statusesToTellApart: [ServerAnswer.Status] {
        let given = ServerAnswer.Status.allCases.filter { tally.count($0) > 0 }
        return given.count > 1 ? given : []
    }

    /// The one line that the first load generator of this protocol printed, field by field; scripts cut it apart.
    var summaryLine: String {
        "sent_ok=\(tally.answered), sent_err=\(tally.lost), wall=\(fixed(seconds, 3))s, RPS=\(fixed(perSecond, 2)), "
            + "p50=\(latency(50))us, p95=\(latency(95))us, p99=\(latency(99))us"
    }

    /// Aligned lines for people.
    var table: String {
        var rows: [(String, String)] = [
            ("requests sent", "\(tally.sent)"),
            ("answered", "\(tally.answered) in \(fixed(seconds, 3)) s, \(fixed(perSecond, 1)) a second"),
        ]
        for status in ServerAnswer.Status.allCases where tally.count(status) > 0 {
            rows.append(("  " + status.name, "\(tally.count(status))"))
        }
        for (reason, count) in tally.reasons.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            rows.append(("    " + reason, "\(count)"))
        }
        if tally.repeats > 0 { rows.append(("  of them repeats", "\(tally.repeats)")) }
        rows.append(("without an answer", "\(tally.lost)"))
        if tally.connectionFailures > 0 { rows.append(("broken connections", "\(tally.connectionFailures)")) }
        if tally.changedAnswers > 0 { rows.append(("CHANGED ANSWERS", "\(tally.changedAnswers)")) }
        rows.append(
            ("latency", quantiles(of: latencies)))
        rows.append(("", "max \(fixed(Double(latencies.max) / 1000, 3)) ms"))
        for status in statusesToTellApart {
            rows.append(("  " + status.name, quantiles(of: tally.latencies(of: status))))
        }
        if let check {
            rows.append(
                (
                    "checked",
                    "\(check.asked): \(check.approved) approved, \(check.declined) declined, \(check.notFound) unknown, "
                        + "\(check.unsettled) unsettled"
                ))
            rows.append(("contradictions", "\(check.complaintCount)"))
            rows += check.complaints.map { ("", $0) }
        }
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { $0.0 + String(repeating: " ", count: width - $0.0.count + 2) + $0.1 }.joined(separator: "\n")
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(Document(self)), as: UTF8.self)
    }

    /// Whether something happened that a correct server never does.
    var isContradicted: Bool { tally.changedAnswers > 0 || tally.count(.other) > 0 || (check?.complaintCount ?? 0) > 0 }

    private func quantiles(of latencies: Histogram<UInt64>) -> String {
        Self.percentiles.map { name, percent in
            "\(name) \(fixed(Double(latencies.valueAtPercentile(percent)) / 1000, 3)) ms"
        }.joined(separator: "  ")
    }

    private func fixed(_ value: Double, _ decimals: Int) -> String { String(format: "%.\(decimals)f", value) }

    /// The keys and units are for others to rely on.
    private struct Document: Encodable {
        let connections: Int
        let depth: Int?
        let ratePerSecond: Double?
        let seconds: Double
        let sent: Int
        let answered: Int
        let answeredPerSecond: Double
        let lost: Int
        let statuses: [String: Int]
        let reasons: [String: Int]
        let repeats: Int
        let changedAnswers: Int
        let connectionFailures: Int
        let latencyMicroseconds: [String: UInt64]
        /// By status, of those that were answered with.
        let latencyByStatusMicroseconds: [String: [String: UInt64]]
        let latencyMeanMicroseconds: Double
        let check: Check?

        struct Check: Encodable {
            let asked: Int
            let approved: Int
            let declined: Int
            let notFound: Int
            let unsettled: Int
            let contradictions: Int
        }

        init(_ report: LoadReport) {
            let (plan, tally) = (report.plan, report.tally)
            connections = plan.connections
            switch plan.arrival {
            case .closed: (depth, ratePerSecond) = (plan.depth, nil)
            case .open(let perSecond): (depth, ratePerSecond) = (nil, perSecond)
            }
            seconds = report.seconds
            sent = tally.sent
            answered = tally.answered
            answeredPerSecond = report.perSecond
            lost = tally.lost
            statuses = Dictionary(
                uniqueKeysWithValues: ServerAnswer.Status.allCases.map { ($0.name, tally.count($0)) })
            reasons = tally.reasons
            repeats = tally.repeats
            changedAnswers = tally.changedAnswers
            connectionFailures = tally.connectionFailures
            latencyMicroseconds = Self.quantiles(of: report.latencies)
            latencyByStatusMicroseconds = Dictionary(
                uniqueKeysWithValues: ServerAnswer.Status.allCases.filter { tally.count($0) > 0 }.map {
                    ($0.name, Self.quantiles(of: tally.latencies(of: $0)))
                })
            latencyMeanMicroseconds = tally.answered > 0 ? report.latencies.mean : 0
            check = report.check.map {
                Check(
                    asked: $0.asked, approved: $0.approved, declined: $0.declined, notFound: $0.notFound,
                    unsettled: $0.unsettled, contradictions: $0.complaintCount)
            }
        }

        private static func quantiles(of latencies: Histogram<UInt64>) -> [String: UInt64] {
            var quantiles = Dictionary(
                uniqueKeysWithValues: LoadReport.percentiles.map {
                    ($0.name, latencies.valueAtPercentile($0.percent))
                })
            quantiles["max"] = latencies.max
            return quantiles
        }
    }
}
