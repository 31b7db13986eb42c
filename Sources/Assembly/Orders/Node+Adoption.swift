import Coordinator
import Runtime

/// Taking in what the log has no record of.
extension Node {
    /// Looks at all databases for what they have of the transaction, then writes its adoption.
    func adopt(
        _ transaction: TransactionID, _ outcome: Outcome, _ signature: Signature, _ order: OperatorOrder
    ) async -> OrderResult {
        let snapshot: LogSnapshot
        do {
            snapshot = try log.snapshot()
            if let refusal = OrderResult.refusal(of: order, in: snapshot, now: SystemClock.wall()) { return refusal }
            if !(try log.history(of: transaction)).isEmpty {
                return OrderResult(
                    .known,
                    "the log's history has \(transaction), so it is no orphan; recovery carries its decision out again")
            }
        } catch {
            return OrderResult(.failed, "\(error)")
        }
        let observations = await Observation.gather(databases, witnessesOf: [transaction], loop: anyLoop)
        let orphan = Orphan(transaction, log: snapshot.log, observations)
        if let refusal = orphan.refusal(of: outcome) { return refusal }
        let record = AdoptionRecord(
            begin: orphan.begin(epochIfUnknown: snapshot.owner.epoch, now: SystemClock.wall()), outcome: outcome,
            warrant: signature.warrant)
        return await ask(.adopt(record), order)
    }
}

extension Orphan {
    /// Why it is not taken in with that outcome; `nil` if nothing speaks against it.
    func refusal(of outcome: Outcome) -> OrderResult? {
        if let unknown {
            return OrderResult(
                .notAsked,
                "\(transaction) may have a branch in a database that could not be asked (\(unknown)); "
                    + "order it again when it is back")
        }
        guard !involved.isEmpty else {
            return OrderResult(
                .noOrphan,
                "no database lists a branch of \(transaction) of this log, or shows its row; "
                    + "see recover orphans list")
        }
        guard epochs.count <= 1 else {
            return OrderResult(
                .failed,
                "the branches of \(transaction) name several epochs, so one of them is not ours: "
                    + "look at them in pg_prepared_xacts")
        }
        guard outcome == .committed || !isCommittedSomewhere else {
            return OrderResult(
                .contradictsWitness,
                "a database has committed \(transaction), so its client may have been told APPROVED; adopt it with --commit"
            )
        }
        return nil
    }

    /// Stands for the BEGIN that was lost. Of the payment nothing is known but its id (``AdoptionRecord``).
    ///
    /// - Parameter epochIfUnknown: for one that no database lists as prepared any more: then no branch has to be named.
    func begin(epochIfUnknown: Epoch, now: WallTime) -> BeginRecord {
        // The row that shows is the witness. If none does, any may be: what counts is that one database comes before the network.
        let witness = sightings.first { $0.state == .committed }?.database ?? involved.first
        let branches = involved.map { index in
            Branch(
                participant: .database(index),
                role: involved.count == 1 ? [.payment, .merchantEntry] : index == witness ? .payment : .merchantEntry)
        }
        return BeginRecord(
            transaction: transaction, epoch: epochs.first ?? epochIfUnknown, intent: .nameless(transaction),
            branches: [Branch(participant: .clearing)] + branches, deadline: now)
    }
}
