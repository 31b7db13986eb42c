import Coordinator

/// A server process of ours, told apart from a later one with the same number.
struct Backend: Hashable, CustomStringConvertible {
    let pid: Int32
    /// `pg_stat_activity.backend_start` as ISO text in UTC, all microseconds.
    let start: String

    var description: String { "backend \(pid) started \(start)" }
}

/// A pipeline of statements for one connection.
struct Job {
    let statements: [Statement]
    /// When it is cancelled; ``PostgresLimits/cancelGrace`` later its connection is given up.
    let deadline: MonotonicTime
    /// Called once, with what came.
    let completion: (JobReport) -> Void
}

/// What became of a job.
struct JobReport {
    enum End: Equatable {
        /// Every statement has its result, and the connection is fit for the next job.
        case complete
        /// The connection broke or was given up while the job was on it: what has no result may have happened.
        case broken(String)
        /// Nothing was sent.
        case notSent(String)
    }

    let end: End
    /// In the order of the statements; fewer than these if the connection broke.
    let results: [StatementResult]
    /// The server gave up a wait for a synchronous standby: success is not what it says.
    var hasStandbyWarning = false

    static func notSent(_ reason: String) -> JobReport { JobReport(end: .notSent(reason), results: []) }

    /// Why it is of no use as a whole, unless every statement succeeded.
    var failure: String? {
        switch end {
        case .broken(let reason), .notSent(let reason): return reason
        case .complete:
            for result in results {
                switch result {
                case .ok: continue
                case .failed(let error): return error.description
                case .unexpectedTag(let tag):
                    return "the server answered \(tag.debugDescription), which was not asked for"
                case .skipped: return "skipped"
                }
            }
            return nil
        }
    }

    /// Whether each of the first `count` statements succeeded.
    func succeeded(first count: Int) -> Bool {
        results.count >= count && results.prefix(count).allSatisfy { $0.rows != nil }
    }

    /// Without the first `count` statements, which only made the rest possible and are of its segment: the first failure among
    /// them stands at the place of the rest's first statement, which it made the server skip.
    func dropping(first count: Int) -> JobReport {
        let failed = results.prefix(count).filter { $0.rows == nil }.prefix(1)
        return JobReport(
            end: end, results: Array(failed + results.dropFirst(count + failed.count)),
            hasStandbyWarning: hasStandbyWarning)
    }

    /// The first statement's error that is not a consequence of an earlier one.
    var firstError: SQLError? { results.lazy.compactMap(\.error).first }
}
