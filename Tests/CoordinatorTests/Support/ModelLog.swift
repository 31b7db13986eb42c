import Coordinator

/// The durable log of one transaction, as small as it can be: what the real one promises and nothing else.
struct ModelLog: Hashable {
    private(set) var active: ActiveTransaction?
    private(set) var reversal: ReversalTask?
    private(set) var hasEnded = false
    /// Whether the request_id is free again.
    private(set) var isClaimReleased = false
    private var lastLSN: UInt64 = 0

    /// Takes one step, as durable at once.
    mutating func take(_ write: LogWrite) -> Result<LogReceipt, LogRefusal> {
        switch write {
        case .begin(let record):
            let begin = durable(record)
            active = ActiveTransaction(begin: begin, decision: .undecided, acknowledged: [:])
            return .success(.begun(begin))
        case .commit(let record):
            return decide { log in
                let decision = log.durable(record)
                return (.commit(decision), .committing(decision))
            }
        case .abort(let record):
            return decide { log in
                let decision = log.durable(record)
                log.reversal = record.reversal
                log.isClaimReleased = record.claim == .released
                return (.abort(decision), .aborting(decision))
            }
        case .acknowledged(let record):
            guard active != nil else { return .failure(.notActive(record.transaction)) }
            active?.acknowledged[record.participant] = record.proof
            return .success(.noted)
        case .end(let record):
            guard let state = active, state.decision != .undecided else {
                return .failure(.notActive(record.transaction))
            }
            active = nil
            hasEnded = true
            return .success(.noted)
        case .park(let record):
            guard active != nil else { return .failure(.notActive(record.transaction)) }
            let parked = durable(record)
            active?.park(parked)
            return .success(.parked(parked))
        case .closeReversal(let record):
            guard reversal != nil else { return .failure(.noReversal(record.transaction)) }
            reversal = nil
            return .success(.noted)
        case .reversalRefused(let record):
            reversal?.refusals = record.refusals
            return .success(.noted)
        case .parkReversal(let record):
            reversal?.parkedReason = record.reason
            return .success(.noted)
        // Nobody intervenes in the world that this log is of.
        case .fenceAttempted, .fenceConfirmed, .databaseSeen, .resolve, .adopt, .reopen, .releaseReversal,
            .releaseQuarantined, .reconcile:
            return .success(.noted)
        }
    }

    /// What an operator or damage does to it: the transaction is not there any more.
    mutating func forget() { active = nil }

    /// Takes the state of a log whose tail was lost, for drivers that are broken on purpose.
    mutating func overwrite(with decision: ActiveTransaction.Decision) { active?.decision = decision }

    private mutating func decide(
        _ make: (inout ModelLog) -> (ActiveTransaction.Decision, LogReceipt)
    ) -> Result<LogReceipt, LogRefusal> {
        guard let state = active else { return .failure(.notActive(Samples.transaction)) }
        guard state.decision == .undecided else { return .failure(.alreadyDecided(state.decision)) }
        let (decision, receipt) = make(&self)
        active?.decision = decision
        return .success(receipt)
    }

    private mutating func durable<Record>(_ record: Record) -> Durable<Record> {
        lastLSN += 1
        return Samples.durable(record, lsn: lastLSN)
    }
}
