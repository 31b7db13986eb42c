import Assembly
import Coordinator

/// What of a plan is in doubt: so that what a selection leaves out is not taken for an all-clear.
extension RecoveryPlan {
    /// Every transaction that is unfinished in some way. Branches of others are none of them.
    var doubtful: Set<TransactionID> {
        var all = Set(transactions.map(\.transaction.transaction))
        all.formUnion(reversals.map(\.transaction))
        all.formUnion(heldReversals.map(\.transaction))
        all.formUnion(adoptions.map(\.found.transaction))
        for stray in strays {
            switch stray.verdict {
            case .foreign: continue
            case .orphan: if let branch = GlobalBranchID(stray.prepared.gid) { all.insert(branch.transaction) }
            case .preparedAgain(let ended): all.insert(ended.transaction)
            }
        }
        return all
    }

    /// That nothing of it is in doubt, and how much else is.
    ///
    /// - Parameter whole: the plan that this one was selected from.
    func allClear(ofAll whole: RecoveryPlan) -> String {
        let others = whole.doubtful.subtracting(doubtful).count
        guard others > 0 else { return "nothing is in doubt" }
        return "nothing of what was selected is in doubt; \(others) \(others == 1 ? "other is" : "others are")"
    }

    /// That nothing is known to be in doubt, and who could not be asked.
    var unasked: String {
        let names = unreachable.keys.sorted().map(\.description).joined(separator: ", ")
        return "\(names) could not be asked: what is in doubt there is not known"
    }
}

extension SelectionOptions {
    /// Tells which of the named transactions are not unfinished.
    ///
    /// - Returns: the exit code if there is nothing to select, so that a mistyped name is not taken for an all-clear; `nil` to go on.
    func refusal(in whole: RecoveryPlan) -> Int32? {
        let known = whole.doubtful
        let missing = only.filter { !known.contains($0) }
        for transaction in missing { Output.talk("recover: the log has no unfinished \(transaction)") }
        // An orphan of a database that could not be asked may be what is meant.
        guard !only.isEmpty, missing.count == only.count, whole.unreachable.isEmpty else { return nil }
        return ProgramExit.failure
    }

    /// What a look at a part leaves out.
    func tellOthers(of part: RecoveryPlan, in whole: RecoveryPlan) {
        let others = whole.doubtful.subtracting(part.doubtful).count
        guard !isEmpty, others > 0 else { return }
        Output.talk("recover: \(others) not selected \(others == 1 ? "is" : "are") in doubt as well")
    }
}
