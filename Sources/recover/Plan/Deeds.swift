import Coordinator

/// What an execution has done, counted from the plans that it carried out and from what is left after them.
struct Deeds {
    private var committing: Set<TransactionID> = []
    private var aborting: Set<TransactionID> = []
    /// Waited for an operator before.
    private var parked: Set<TransactionID> = []
    private var reversing: Set<TransactionID> = []
    /// Branches of ended transactions.
    private var again: Set<TransactionID> = []

    /// Takes a plan that is handed to the coordinator.
    mutating func take(_ plan: RecoveryPlan) {
        for verdict in plan.transactions { take(verdict) }
        for adoption in plan.adoptions {
            guard case .adopt(let record) = adoption.verdict else { continue }
            let transaction = adoption.found.transaction
            if record.outcome == .committed { committing.insert(transaction) } else { abort(transaction, isHeld: true) }
        }
        reversing.formUnion(plan.reversals.filter { $0.parkedReason == nil }.map(\.transaction))
        for case .preparedAgain(let ended) in plan.strays.map(\.verdict) { again.insert(ended.transaction) }
    }

    private mutating func take(_ verdict: TransactionVerdict) {
        let transaction = verdict.transaction.transaction
        switch verdict.verdict {
        case .commit, .commitOnEvidence: committing.insert(transaction)
        case .presumeAbort, .abortOnEvidence:
            let branches = verdict.transaction.begin.record.branches
            abort(transaction, isHeld: branches.contains { $0.participant == .clearing })
        case .rollBack: abort(transaction, isHeld: false)
        case .parked: parked.insert(transaction)
        case .inFlight, .parkContradiction, .parkRolledBack, .awaitEvidence: break
        }
    }

    private mutating func abort(_ transaction: TransactionID, isHeld: Bool) {
        aborting.insert(transaction)
        if isHeld { reversing.insert(transaction) }
    }

    /// In one line; `nil` if nothing was done.
    ///
    /// - Parameter last: the whole plan of what is left.
    func words(after last: RecoveryPlan) -> String? {
        let unfinished = Set(
            last.transactions.map(\.transaction.transaction) + last.adoptions.map(\.found.transaction))
        let unsent = Set((last.reversals + last.heldReversals).map(\.transaction)).union(unfinished)
        let isParked = Set(last.transactions.filter { $0.verdict == .parked }.map(\.transaction.transaction))
        let counts = [
            (committing.subtracting(unfinished).count, "committed"),
            (aborting.subtracting(unfinished).count, "aborted"),
            (isParked.subtracting(parked).count, "parked for an operator"),
            (reversing.subtracting(unsent).count, "reversed at the network"),
            (again.subtracting(last.doubtful).count, "carried out again"),
        ].filter { $0.0 > 0 }
        return counts.isEmpty ? nil : counts.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }
}
