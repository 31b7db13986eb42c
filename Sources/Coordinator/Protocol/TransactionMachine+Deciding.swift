/// Asking for votes, and making a decision of them.
extension TransactionMachine {
    mutating func askNextStage(_ preparing: TransactionState.Preparing) -> [Effect] {
        var preparing = preparing
        guard let stage = preparing.stagesLeft.popFirst() else {
            state = .deciding(preparing)
            let code = preparing.authorizationCode
            return [.append(.commit(CommitRecord(transaction: transaction, authorizationCode: code)), .forced)]
        }
        preparing.outstanding = Set(stage.map(\.participant))
        state = .preparing(preparing)
        let code = preparing.authorizationCode
        return stage.map { branch in
            .prepare(
                PrepareOrder(
                    allowedBy: preparing.begin, branch: branch, authorizationCode: code, deadline: decideBy))
        }
    }

    /// It will not be made. DECLINED is final, so the payment's database has to say first that no other made it.
    mutating func giveUp(_ preparing: TransactionState.Preparing, now: WallTime) -> [Effect] {
        if preparing.knowsPrior { return decideAbort(preparing, .none, now: now) }
        state = .lookingUp(preparing)
        return [.lookUp(LookUpOrder(allowedBy: preparing.begin))]
    }

    mutating func decideAbort(
        _ preparing: TransactionState.Preparing, _ prior: PriorPayment, now: WallTime
    ) -> [Effect] {
        state = .deciding(preparing)
        let (reason, claim) = Verdict.ofAbort(preparing, prior)
        let network = preparing.votes[.clearing]
        let mayHold = preparing.outstanding.contains(.clearing) || network.map { !$0.isNo } ?? false
        let reversal =
            mayHold ? ReversalTask(transaction: transaction, intent: begin.intent, createdAt: now) : nil
        let record = AbortRecord(transaction: transaction, reason: reason, claim: claim, reversal: reversal)
        return [.append(.abort(record), .forced)]
    }

    /// Databases that were asked and did not definitely refuse.
    func mayBePrepared(_ preparing: TransactionState.Preparing) -> Set<Participant> {
        databaseParticipants.filter { participant in
            preparing.outstanding.contains(participant) || preparing.votes[participant].map { !$0.isNo } ?? false
        }
    }

    var databaseParticipants: Set<Participant> {
        Set(begin.branches.map(\.participant).filter { $0 != .clearing })
    }
}
