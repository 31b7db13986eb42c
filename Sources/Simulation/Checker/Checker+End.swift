import Coordinator
import Payments
import Runtime

/// What must hold when everything is at rest.
extension Checker {
    func checkEnd() {
        for facts in facts.values.sorted(by: { $0.transaction < $1.transaction }) { checkEnd(of: facts) }
        checkPrepared()
        checkStrangers()
        checkEffects()
    }

    private func checkEnd(of facts: Facts) {
        guard let node = world.nodes.first(where: { $0.disk.image.log == facts.log }), node.refusal == nil else {
            return
        }
        let transaction = facts.transaction
        let rows = facts.databases.filter { world.database($0).hasRow(of: transaction) }
        let entry = world.network.entry(transaction)
        let isParked = node.disk.image.active[transaction]?.isParked == true
        guard facts.disturbances.isEmpty else { return checkDisturbed(facts, rows, entry, node) }
        if isParked {
            return fail(.parkedForAReason, transaction, "it waits for an operator, and nobody did otherwise")
        }
        guard facts.outcome != nil else { return fail(.liveness, transaction, "it has not ended") }
        switch facts.decision {
        case nil: fail(.atomic, transaction, "it has ended without a decision")
        case .committed?:
            if rows.count != facts.databases.count {
                fail(
                    .atomic, transaction, "COMMIT, and only \(rows.count) of \(facts.databases.count) databases have it"
                )
            }
            if entry?.state != .settled {
                fail(.atomic, transaction, "COMMIT, and the network says \(entry.map { "\($0.state)" } ?? "nothing")")
            }
            if facts.reversalTasks > 0 { fail(.noReversalOfTheCommitted, transaction, "COMMIT, and it has a reversal") }
        case .aborted?:
            if let row = rows.first { fail(.atomic, transaction, "ABORT, and \(row) has it") }
            if facts.wasApproved { fail(.approvedIsCommitted, transaction, "ABORT, and the client was told APPROVED") }
            checkReversal(facts, entry, node)
        }
    }

    /// Somebody did otherwise: that is told, or everybody agrees all the same. What a client was told holds even where the log was lost.
    private func checkDisturbed(
        _ facts: Facts, _ rows: [DatabaseIndex], _ entry: CardNetwork.Entry?, _ node: Node
    ) {
        let transaction = facts.transaction
        if facts.disturbances == .lostLog {
            if facts.wasApproved, let first = facts.firstDatabase, !rows.contains(first) {
                fail(.approvedIsCommitted, transaction, "APPROVED, the log was lost, and the row is not there")
            }
            if facts.wasApproved, let entry, entry.state == .released {
                fail(.approvedIsCommitted, transaction, "APPROVED, the log was lost, and the network has released it")
            }
            if facts.wasDeclined, let row = rows.first {
                fail(.declinedIsNowhere, transaction, "DECLINED, the log was lost, and \(row) has it")
            }
        }
        checkPromise(of: facts, rows, entry, node)
        guard facts.disturbances.isSubset(of: [.byHand, .expired]) else { return }
        let isAgreed: Bool
        switch facts.decision {
        case .committed?: isAgreed = rows.count == facts.databases.count && entry?.state == .settled
        case .aborted?: isAgreed = rows.isEmpty && entry?.state != .settled && entry?.state != .held
        case nil: isAgreed = false
        }
        if !isAgreed, facts.parkings == 0, !facts.isReversalParked {
            fail(.parkedForAReason, transaction, "somebody did otherwise than decided, and nobody was told")
        }
    }

    private func checkReversal(_ facts: Facts, _ entry: CardNetwork.Entry?, _ node: Node) {
        let transaction = facts.transaction
        if entry?.state == .settled { fail(.atomic, transaction, "ABORT, and the network has confirmed it") }
        guard facts.reversalTasks <= 1 else {
            return fail(.oneReversal, transaction, "it has \(facts.reversalTasks) reversal tasks")
        }
        if entry?.wasHeld == true, facts.reversalTasks == 0 {
            fail(.oneReversal, transaction, "the network held it, and there is no reversal task")
        }
        guard facts.reversalTasks == 1, !facts.isReversalParked else { return }
        if entry?.state == .held { fail(.oneReversal, transaction, "the network still holds it") }
        guard facts.reversalsClosed == 1 else {
            return fail(.oneReversal, transaction, "its reversal was closed \(facts.reversalsClosed) times")
        }
    }

    private func checkPrepared() {
        for database in world.databases {
            for id in database.content.prepared.keys.sorted(by: { $0.transaction < $1.transaction }) {
                guard let node = world.nodes.first(where: { $0.disk.image.log == id.log }), node.refusal == nil else {
                    continue
                }
                // What waits for an operator, and what a lost log has no record of, waits.
                if isDisturbed(id.transaction) || facts[id.transaction] == nil { continue }
                fail(.noPreparedLeft, id.transaction, "\(database.index) still lists a branch of it")
            }
        }
    }

    private func checkStrangers() {
        for (database, known) in zip(world.databases, strangers) {
            guard Set(database.content.strangers.keys) != known else { continue }
            fail(.strangersUntouched, nil, "\(database.index) does not list another program's branch any more")
        }
    }

    /// One payment a request_id, and the same money everywhere.
    private func checkEffects() {
        var paid: Int64 = 0
        var entered: Int64 = 0
        var settled: Int64 = 0
        var requests: Set<RequestID> = []
        // What is open at a server that may not start stays open.
        let refused = Set(world.nodes.filter { $0.refusal != nil }.map(\.disk.image.log))
        for facts in facts.values
        where facts.disturbances.isEmpty && (facts.outcome != nil || !refused.contains(facts.log)) {
            for index in facts.databases {
                let content = world.database(index).content
                if let row = content.rows[facts.begin.intent.requestID], row.transaction == facts.transaction {
                    paid += row.intent.amount.minorUnits
                    if !requests.insert(row.intent.requestID).inserted {
                        fail(.oneEffect, facts.transaction, "\(row.intent.requestID) was paid twice")
                    }
                }
                entered += content.entries[facts.transaction]?.minorUnits ?? 0
            }
            if let entry = world.network.entry(facts.transaction), entry.state == .settled { settled += entry.amount }
        }
        if paid != entered || paid != settled {
            fail(.money, nil, "the rows say \(paid), the merchants' entries \(entered), the network \(settled)")
        }
    }
}
