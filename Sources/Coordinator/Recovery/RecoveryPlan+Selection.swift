/// Which part of a plan is meant.
public struct PlanSelection: Sendable, Hashable {
    /// These transactions alone; `nil` for every one.
    public var only: Set<TransactionID>?
    /// What began at this time or earlier; `nil` for whatever age.
    public var begunUntil: WallTime?

    /// The whole plan, unless something is given.
    public init(only: Set<TransactionID>? = nil, begunUntil: WallTime? = nil) {
        self.only = only
        self.begunUntil = begunUntil
    }

    /// Whether nothing is left out.
    public var isEverything: Bool { only == nil && begunUntil == nil }

    fileprivate func takes(_ transaction: TransactionID?, since begin: WallTime) -> Bool {
        if let only {
            guard let transaction, only.contains(transaction) else { return false }
        }
        return begunUntil.map { begin <= $0 } ?? true
    }
}

/// Parts of a plan. Carrying a part out touches nothing of the rest: a plan is all that the coordinator is given.
extension RecoveryPlan {
    /// The part that a running server acts on: its own transactions and reversals are in its hands already.
    public var onlyStrays: RecoveryPlan {
        keeping(
            transactions: { _ in false }, reversals: { _ in false }, strays: { _ in true }, adoptions: { _ in false })
    }

    /// The part that a selection means. A transaction is as old as its BEGIN, a prepared branch that no record explains as old as its
    /// PREPARE; a reversal goes with its transaction while that is unfinished, and is as old as its abort after that.
    ///
    /// Databases that could not be asked stay named: what they hold is unknown whatever is selected.
    public func filtered(_ selection: PlanSelection) -> RecoveryPlan {
        guard !selection.isEverything else { return self }
        let unfinished = Dictionary(
            transactions.map { ($0.transaction.transaction, $0.transaction.begin.writtenAt) },
            uniquingKeysWith: { first, _ in first })
        return keeping(
            transactions: { selection.takes($0.transaction.transaction, since: $0.transaction.begin.writtenAt) },
            reversals: { task in
                selection.takes(task.transaction, since: unfinished[task.transaction] ?? task.createdAt)
            },
            strays: { stray in
                switch stray.verdict {
                case .preparedAgain(let ended):
                    selection.takes(ended.transaction, since: ended.begin.writtenAt)
                case .foreign, .orphan:
                    selection.takes(
                        GlobalBranchID(stray.prepared.gid)?.transaction, since: stray.prepared.preparedAt)
                }
            },
            // Nobody knows when it began; it is older than the loss.
            adoptions: { selection.only?.contains($0.found.transaction) ?? true })
    }

    /// The part that the conditions take; reversals that are held back are judged as reversals.
    public func keeping(
        transactions isTaken: (TransactionVerdict) -> Bool, reversals isTakenReversal: (ReversalTask) -> Bool,
        strays isTakenStray: (StrayVerdict) -> Bool, adoptions isTakenAdoption: (AdoptionVerdict) -> Bool
    ) -> RecoveryPlan {
        RecoveryPlan(
            log: log, transactions: transactions.filter(isTaken), strays: strays.filter(isTakenStray),
            reversals: reversals.filter(isTakenReversal), heldReversals: heldReversals.filter(isTakenReversal),
            adoptions: adoptions.filter(isTakenAdoption), unreachable: unreachable, continuity: continuity)
    }
}
