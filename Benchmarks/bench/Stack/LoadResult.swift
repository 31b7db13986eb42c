import BenchmarkKit
import Foundation

/// What `loadgen --json` prints, as far as we look at it. Times are microseconds.
struct LoadResult: Decodable, Sendable, Equatable {
    let seconds: Double
    let sent: Int
    let answered: Int
    let answeredPerSecond: Double
    let lost: Int
    let statuses: [String: Int]
    let reasons: [String: Int]
    let connectionFailures: Int
    let latency: [String: Double]
    let latencyByStatus: [String: [String: Double]]
    /// Processor time of the load generator itself; set by who ran it.
    var processorTime = 0.0

    enum CodingKeys: String, CodingKey {
        case seconds, sent, answered
        case answeredPerSecond = "answered_per_second"
        case lost, statuses, reasons
        case connectionFailures = "connection_failures"
        case latency = "latency_microseconds"
        case latencyByStatus = "latency_by_status_microseconds"
    }

    /// - Throws: ``BenchmarkFailure`` with what was there instead.
    init(json text: String) throws {
        do {
            self = try JSONDecoder().decode(LoadResult.self, from: Data(text.utf8))
        } catch {
            throw BenchmarkFailure("loadgen printed no report: \(error); it printed: \(text.suffix(500))")
        }
    }

    func count(_ status: String) -> Int { statuses[status] ?? 0 }

    var approved: Int { count("APPROVED") }
    var approvedPerSecond: Double { seconds > 0 ? Double(approved) / seconds : 0 }

    /// A quantile of all answers or of those with a status; not a number if there were none.
    func quantile(_ name: String, of status: String? = nil) -> Double {
        guard let status else { return answered > 0 ? latency[name] ?? .nan : .nan }
        return latencyByStatus[status]?[name] ?? .nan
    }

    /// - Throws: if a request was not approved, as in a benchmark each should be.
    func requireAllApproved() throws {
        guard approved == sent, sent > 0, connectionFailures == 0 else {
            throw BenchmarkFailure(
                "of \(sent) payments \(approved) were approved, \(lost) lost; refusals: \(reasons), answers: \(statuses), "
                    + "broken connections: \(connectionFailures)")
        }
    }
}
