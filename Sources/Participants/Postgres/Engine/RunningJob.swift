import Coordinator

/// A job on its connection, and what has come back so far.
final class RunningJob {
    /// What the next result belongs to.
    private enum Expectation {
        case result
        case endOfStatement
        case sync
    }

    private let job: Job
    private var results: [StatementResult] = []
    private var expectation = Expectation.result
    private var isCompleted = false
    var timer: EventLoop.Timer?
    /// Somebody asked the server to cancel.
    var isCancelled = false
    var hasStandbyWarning = false
    private(set) var lastError: SQLError?

    init(_ job: Job) {
        self.job = job
        results.reserveCapacity(job.statements.count)
    }

    var deadline: MonotonicTime { job.deadline }

    /// More results than a sound connection gives for what is left: a result, its end and a sync for each statement.
    var resultsMax: Int { 3 * (job.statements.count - results.count) + 8 }

    /// Takes a result; true if the job is at its end.
    func take(_ result: borrowing LibpqResult) -> Bool {
        let status = result.status
        if case .error = status { lastError = result.error }
        switch expectation {
        case .result:
            results.append(Self.reading(result, status, job.statements[results.count]))
            expectation = .endOfStatement
            return false
        case .sync:
            guard case .sync = status else {
                // The segment failed at its end, where its transaction commits.
                if case .error = status, let lastError { results[results.count - 1] = .failed(lastError) }
                return false
            }
            expectation = .result
            return results.count == job.statements.count
        case .endOfStatement:
            // A second result of one statement: an error that follows a success, such as one at the end of the transaction.
            if case .error = status, let lastError { results[results.count - 1] = .failed(lastError) }
            return false
        }
    }

    /// The results of one statement are over.
    func endOfStatement() {
        guard case .endOfStatement = expectation else { return }
        expectation = job.statements[results.count - 1].endsSegment ? .sync : .result
    }

    private static func reading(
        _ result: borrowing LibpqResult, _ status: LibpqResult.Status, _ statement: Statement
    ) -> StatementResult {
        switch status {
        case .commandOK:
            guard let expected = statement.expectedTag, result.hasTag(expected) else {
                return .unexpectedTag(result.tag)
            }
            return .ok([])
        case .rows: return statement.expectedTag == nil ? .ok(result.rows) : .unexpectedTag(result.tag)
        case .error: return .failed(result.error)
        case .skipped: return .skipped
        case .sync, .unexpected: return .unexpectedTag(result.tag)
        }
    }

    /// Reports, once.
    func complete(_ end: JobReport.End) {
        guard !isCompleted else { return }
        isCompleted = true
        job.completion(JobReport(end: end, results: results, hasStandbyWarning: hasStandbyWarning))
    }
}
