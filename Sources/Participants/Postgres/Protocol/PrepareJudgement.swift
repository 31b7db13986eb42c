import Coordinator

/// What the replies to a prepare pipeline prove.
enum PrepareJudgement: Equatable {
    case prepared
    /// Definitely not prepared, now or later.
    case refused(Vote.Refusal)
    /// Definitely not prepared: a committed row has the request_id or the txn_id. That row says what to vote.
    case readRow
    /// Definitely not prepared: the cluster had no prepared slot. May be tried again.
    case noSlot(String)
    /// Anything may be.
    case unknown(String)

    /// The statements of the pipeline, in their order: BEGIN, one or two INSERTs, PREPARE TRANSACTION.
    enum Step: Equatable {
        case begin
        case payment
        case merchantEntry
        case prepare
    }

    /// - Parameter steps: what was sent.
    static func of(_ report: JobReport, steps: [Step]) -> PrepareJudgement {
        switch report.end {
        case .notSent(let reason): return .refused(.unavailable(reason))
        case .broken, .complete: break
        }
        for (step, result) in zip(steps, report.results) {
            switch result {
            case .ok: continue
            case .failed(let error): return judge(error, at: step)
            case .unexpectedTag(let tag): return judge(tag: tag, at: step)
            case .skipped: return .unknown("\(step) was skipped without an error before it")
            }
        }
        switch report.end {
        case .broken(let reason), .notSent(let reason):
            // PREPARE's own success may have come before the break; without the sync behind it we do not count on it.
            return .unknown(reason)
        case .complete:
            guard report.results.count == steps.count else { return .unknown("a reply is missing") }
            return report.hasStandbyWarning
                ? .unknown("the wait for the synchronous standby was given up") : .prepared
        }
    }

    private static func judge(_ error: SQLError, at step: Step) -> PrepareJudgement {
        // FATAL and PANIC end the session: the reply may not be that of the statement it stands at.
        guard error.leavesSessionAlive else { return .unknown(error.description) }
        return step == .prepare ? judgeAtPrepare(error) : judgeBeforePrepare(error, at: step)
    }

    /// The server skips the rest of a segment after an ERROR: PREPARE never runs.
    private static func judgeBeforePrepare(_ error: SQLError, at step: Step) -> PrepareJudgement {
        switch SQLState(error.code) {
        case .uniqueViolation: .readRow
        // A wait at the merchant's entry is for this very txn_id, which nobody else writes; for the table, then.
        case .lockWait: step == .payment ? .refused(.contended) : .refused(.unavailable(error.description))
        case .connectionLost: .unknown(error.description)
        case .busy, .undefinedObject, .duplicateObject, .resources, .rolledBack, .integrity, .notPossible, .other:
            .refused(.unavailable(error.description))
        }
    }

    /// At PREPARE itself only what the server checks before it writes the state file is a definite no.
    private static func judgeAtPrepare(_ error: SQLError) -> PrepareJudgement {
        switch SQLState(error.code) {
        case .resources: error.code == "53200" ? .noSlot(error.description) : .unknown(error.description)
        case .rolledBack, .integrity, .uniqueViolation, .notPossible: .refused(.unavailable(error.description))
        // "prepared transactions are disabled".
        case .busy: .refused(.unavailable(error.description))
        case .lockWait, .undefinedObject, .duplicateObject, .connectionLost, .other: .unknown(error.description)
        }
    }

    private static func judge(tag: String, at step: Step) -> PrepareJudgement {
        switch step {
        // PREPARE in a failed block answers success with this tag, and prepares nothing.
        case .prepare where tag == "ROLLBACK":
            .refused(.unavailable("the transaction was rolled back instead of prepared"))
        case .begin, .payment, .merchantEntry, .prepare:
            // A rule or trigger swallowed the row, and PREPARE ran all the same: without a witness.
            .unknown("\(step) was answered \(tag.debugDescription); look for rules and triggers on our tables")
        }
    }
}
