import Coordinator
import Payments

/// What is promised beyond the outcome of undisturbed transactions.
extension Checker {
    /// No order takes APPROVED back, and what a database lost is made good or shown.
    func checkPromise(of facts: Facts, _ rows: [DatabaseIndex], _ entry: CardNetwork.Entry?, _ node: Node) {
        let transaction = facts.transaction
        let how = facts.disturbances
        guard !how.contains(.lostLog) else { return }
        // The row went with its database and the proof with a crash before it was durable: then only the client knows. Where the log has the
        // proof, or the database did not go back, nothing excuses it.
        let isUnknown = how.contains(.rewound) && facts.wasAbortedUnknowing
        if facts.wasApproved, facts.decision == .aborted, !isUnknown {
            fail(.approvedIsCommitted, transaction, "an order took APPROVED back")
        }
        // Behind the retention nothing is known any more that could be missed.
        guard how == .rewound, facts.decision == .committed, !world.scenario.has(.trimming),
            node.disk.image.active[transaction]?.isParked != true
        else { return }
        if rows.count != facts.databases.count || entry?.state != .settled {
            fail(.atomic, transaction, "COMMIT, a database went back behind it, and nobody is shown it")
        }
    }

    /// An order as it becomes durable: what did the log know before it?
    func noteOrder(_ order: ResolutionRecord, _ log: LogID) {
        guard order.outcome == .aborted, let facts = facts[order.transaction], let own = facts.firstDatabase,
            let trace = histories[log]?.unfinished[order.transaction]
        else { return }
        let proofs = [.database(own), Participant.clearing].map { trace.acknowledged[$0] }
        facts.wasAbortedUnknowing = proofs.allSatisfy { $0 == nil }
    }

    /// A plan presumes nothing that a row, or the loss of the log's tail, speaks against.
    func checkPresumption(_ plan: RecoveryPlan) {
        for verdict in plan.transactions where verdict.verdict == .presumeAbort {
            let transaction = verdict.transaction.transaction
            if plan.continuity.isBroken {
                fail(.planByEvidence, transaction, "presumed aborted in a log that has lost its tail")
            }
            if verdict.findings.contains(where: { $0.state == .witnessed }) {
                fail(.planByEvidence, transaction, "presumed aborted, and a database shows its row")
            }
        }
    }

    /// A database did not prepare; told before the deadline, so that the abort is judged with it.
    func refused(_ transaction: TransactionID, _ refusal: Vote.Refusal) {
        switch refusal {
        case .contended, .madeBy, .conflict: facts[transaction]?.hasMetAnother = true
        case .declined, .unavailable: break
        }
    }

    /// After the last record of a step the request_id's entry has to agree with the history.
    func checkClaim(after entry: LogImage.Entry, _ check: HistoryCheck, _ image: LogImage) {
        guard let transaction = entry.record.transaction, image.nextLSN.rawValue == entry.lsn.rawValue + 1,
            let trace = check.unfinished[transaction], let begin = facts[transaction]?.begin,
            let fault = RequestCheck.fault(of: trace, entry: image.requests[begin.intent.requestID])
        else { return }
        fail(.claimsAgree, transaction, "LSN \(entry.lsn), \(begin.intent.requestID): \(fault)")
    }
}
