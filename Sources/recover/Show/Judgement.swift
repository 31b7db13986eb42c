import Assembly
import Coordinator

/// What recovery would do about one transaction, and why.
struct Judgement {
    /// For programs; never changed.
    let code: String
    let evidence: String
    let action: String
    let style: Style?
}

extension ShowReport {
    /// `nil` if nobody was asked, or nothing is known of the transaction.
    var judgement: Judgement? {
        guard let sight else { return nil }
        return unfinished(in: sight.plan) ?? withoutRecord(in: sight.plan) ?? reversal(in: sight.plan) ?? ended(sight)
    }

    private func unfinished(in plan: RecoveryPlan) -> Judgement? {
        guard let verdict = plan.transactions.first(where: { $0.transaction.transaction == transaction }) else {
            return nil
        }
        return Judgement(
            code: verdict.verdict.code, evidence: verdict.evidence, action: verdict.action,
            style: verdict.verdict.style)
    }

    /// Branches that no unfinished transaction explains, and what was found of a lost tail.
    private func withoutRecord(in plan: RecoveryPlan) -> Judgement? {
        if let adoption = plan.adoptions.first(where: { $0.found.transaction == transaction }) {
            return Judgement(
                code: adoption.code, evidence: adoption.evidence, action: adoption.action, style: adoption.style)
        }
        let strays = plan.strays.filter {
            $0.verdict != .foreign && GlobalBranchID($0.prepared.gid)?.transaction == transaction
        }
        guard let stray = strays.first else { return nil }
        return Judgement(
            code: stray.verdict.code,
            evidence: "prepared in " + strays.map(\.seenFrom.description).joined(separator: " and "),
            action: stray.verdict.words, style: stray.isWork ? .yellow : .red)
    }

    private func reversal(in plan: RecoveryPlan) -> Judgement? {
        if let task = plan.reversals.first(where: { $0.transaction == transaction }) {
            return Judgement(
                code: task.parkedReason == nil
                    ? NetworkState.reversalOpen.rawValue : NetworkState.reversalParked.rawValue,
                evidence: "aborted, and the network has not acknowledged the reversal; \(task.refusals) refusals",
                action: task.words, style: task.parkedReason == nil ? .yellow : .red)
        }
        guard plan.heldReversals.contains(where: { $0.transaction == transaction }) else { return nil }
        return Judgement(
            code: NetworkState.reversalHeld.rawValue, evidence: RecoveryPlan.heldWords,
            action: "an operator has to look",
            style: .red)
    }

    /// What is over has to be there as it ended.
    private func ended(_ sight: TransactionSight) -> Judgement? {
        guard let replay, let last = replay.records.last, let outcome = replay.trace.outcome else { return nil }
        let contrary: DatabaseSight = outcome == .committed ? .absent : .committed
        let branches = replay.trace.begin?.record.branches.map(\.participant) ?? []
        let otherwise = sight.databases.filter { index, state in
            state == contrary && branches.contains(.database(index))
        }
        if !otherwise.isEmpty, let order = replay.acceptance(of: otherwise.keys) {
            let names = otherwise.keys.sorted().map(\.description).joined(separator: " and ")
            return Judgement(
                code: "ended_accepted",
                evidence: "it ended \(outcome), yet \(names): \(contrary.words); taken as it is by the forced order of "
                    + "\(order.record.warrant.actor), record \(order.lsn): \(order.record.warrant.reason)",
                action: "nothing is left to do", style: .green)
        }
        guard otherwise.isEmpty else {
            let names = otherwise.keys.sorted().map(\.description).joined(separator: " and ")
            return Judgement(
                code: "ended_otherwise", evidence: "it ended \(outcome), yet \(names): \(contrary.words)",
                action: "nothing by itself: an operator has to look", style: .red)
        }
        return Judgement(
            code: "ended", evidence: "it ended \(outcome), record \(last.lsn) is its last one",
            action: "nothing is left to do", style: .green)
    }
}

extension HistoryReplay {
    /// The order by which an operator took all of these databases as they are; `nil` if nobody did.
    fileprivate func acceptance(of databases: some Sequence<DatabaseIndex>) -> Placed<ResolutionRecord>? {
        guard databases.allSatisfy({ trace.acknowledged[.database($0)] == .accepted }) else { return nil }
        return records.reversed().compactMap { place -> Placed<ResolutionRecord>? in
            guard case .resolved(let order) = place.record, order.isForced else { return nil }
            return Placed(order, lsn: place.lsn, writtenAt: place.writtenAt)
        }.first
    }
}
