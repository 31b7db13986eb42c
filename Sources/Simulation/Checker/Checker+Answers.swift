import Coordinator
import Payments
import Runtime

/// What clients are told.
extension Checker {
    /// - Parameters:
    ///   - known: what the server's log knew of the request_id when the request arrived.
    func answered(_ reply: Reply, to submission: Submission, by node: Node, known: RequestEntry?) {
        answers[Self.name(reply.answer), default: 0] += 1
        world.coverage.hit(.answer, Self.name(reply.answer))
        switch reply.answer {
        case .approved(let transaction):
            approved(transaction, submission, node)
            noteFinal(isApproved: true, transaction, submission, node)
        case .madeBy(let other):
            madeBy(other, submission)
            noteFinal(isApproved: true, other, submission, node)
        case .declined(_, let transaction):
            declined(transaction)
            noteFinal(isApproved: false, transaction, submission, node)
        case .pending: break
        case .refused(let reason): refused(reason, submission, node, known)
        }
    }

    static func name(_ answer: Answer) -> String {
        switch answer {
        case .approved: "APPROVED"
        case .declined(let reason, _): "DECLINED \(reason.wireName)"
        case .refused(let reason): "refused \(reason.wireName)"
        case .pending: "PENDING"
        case .madeBy: "APPROVED by another"
        }
    }

    private func approved(_ transaction: TransactionID, _ submission: Submission, _ node: Node) {
        guard let facts = facts[transaction] else {
            return fail(.approvedIsCommitted, transaction, "APPROVED of what no log knows")
        }
        if case .success(let intent) = submission.intent, !intent.isRepeat(of: facts.begin.intent) {
            fail(.approvedIsCommitted, transaction, "APPROVED of a payment with other content")
        }
        facts.wasApproved = true
        guard facts.disturbances.isEmpty else { return }
        guard facts.decision == .committed else {
            return fail(.approvedIsCommitted, transaction, "APPROVED, and COMMIT is not durable")
        }
        guard let first = facts.firstDatabase, world.database(first).hasRow(of: transaction) else {
            return fail(.approvedIsCommitted, transaction, "APPROVED, and the payment's row is not committed")
        }
    }

    private func madeBy(_ other: TransactionID, _ submission: Submission) {
        guard let facts = facts[other], !facts.disturbances.isEmpty || facts.decision == .committed else {
            return fail(.approvedIsCommitted, other, "APPROVED by another that is not committed")
        }
        if case .success(let intent) = submission.intent, !intent.isRepeat(of: facts.begin.intent) {
            fail(.approvedIsCommitted, other, "APPROVED by another with other content")
        }
        // A row that somebody committed by hand is an operator's to judge; who met it meanwhile was told what it said.
        if facts.disturbances.isEmpty { facts.wasApproved = true }
    }

    private func declined(_ transaction: TransactionID) {
        guard let facts = facts[transaction] else {
            return fail(.declinedIsNowhere, transaction, "DECLINED of what no log knows")
        }
        facts.wasDeclined = true
        guard facts.disturbances.isEmpty else { return }
        if facts.hasMetAnother {
            return fail(.declinedIsNowhere, transaction, "DECLINED, and a database had its request_id from another")
        }
        if let maker = facts.madeBefore, let first = facts.firstDatabase, world.database(first).hasRow(of: maker) {
            return fail(.declinedIsNowhere, transaction, "DECLINED, and \(maker) had made it before it began")
        }
        guard facts.decision == .aborted else {
            return fail(.declinedIsNowhere, transaction, "DECLINED, and ABORT is not durable")
        }
        if let database = facts.databases.first(where: { world.database($0).hasRow(of: transaction) }) {
            fail(.declinedIsNowhere, transaction, "DECLINED, and \(database) has committed it")
        }
    }

    /// A refusal claims that nothing was done: of what is known it would be a lie.
    private func refused(_ reason: DeclineReason, _ submission: Submission, _ node: Node, _ known: RequestEntry?) {
        guard submission.isNamedByClient, let known, case .success(let intent) = submission.intent,
            intent.isRepeat(of: known.intent), let now = node.disk.image.requests[submission.requestID],
            now.transaction == known.transaction
        else { return }
        fail(.refusalOfTheKnown, known.transaction, "a repeat is refused (\(reason.wireName)), and the log knows it")
    }

    private func noteFinal(
        isApproved: Bool, _ transaction: TransactionID, _ submission: Submission, _ node: Node
    ) {
        guard submission.isNamedByClient, case .success(let intent) = submission.intent else { return }
        let key = AnswerKey(log: node.disk.image.log, request: intent.requestID, content: intent.requestHash)
        let answer = FinalAnswer(isApproved: isApproved, transaction: transaction)
        defer { finalAnswers[key] = answer }
        guard let before = finalAnswers[key], before.isApproved != isApproved else { return }
        let retention = UInt64(world.scenario.settings.retention.count) * 1_000_000
        let endedAt = facts[before.transaction]?.endedAt
        guard endedAt.map({ world.now < $0 + retention }) ?? true, !isDisturbed(before.transaction),
            !isDisturbed(transaction)
        else { return }
        fail(
            .sameAnswer, transaction,
            "\(isApproved ? "APPROVED" : "DECLINED") after \(before.transaction) had the other answer within the retention"
        )
    }
}
