/// The judgement on the commits of a database that went back in time: a pure function of what the log and the database say.
///
/// The server's start, its periodic pass and `recover` use the same one, so that a dry run prints what they do.
public enum CommitAudit {
    /// Whether the log counts on the database having committed the transaction's branch.
    ///
    /// It does not where the branch waits for an operator already, nor where an operator took a missing branch as it is.
    public static func concerns(_ transaction: ActiveTransaction, at database: DatabaseIndex) -> Bool {
        guard case .commit = transaction.decision else { return false }
        let participant = Participant.database(database)
        guard transaction.begin.record.branches.contains(where: { $0.participant == participant }),
            !transaction.parkedParticipants.contains(participant)
        else { return false }
        switch transaction.acknowledged[participant] {
        case .acknowledgement, .witness: return true
        // Nothing was committed there that could be lost.
        case .absence, .accepted, .lost, nil: return false
        }
    }

    /// The transactions whose commit the database has lost, in the order in which they were given.
    ///
    /// - Parameters:
    ///   - transactions: with the proofs that the log has of them; those that do not concern the database are passed over.
    ///   - sighting: the prepared list and, read after it, the witnesses of all of `transactions`.
    public static func losses(
        among transactions: [ActiveTransaction], at database: DatabaseIndex, log: LogID,
        _ sighting: DatabaseObservation.Sighting
    ) -> [LostCommit] {
        let listed = Set(sighting.prepared.map(\.gid))
        return transactions.compactMap { transaction in
            guard concerns(transaction, at: database), !sighting.witnessed.contains(transaction.transaction) else {
                return nil
            }
            let gid = GlobalBranchID(
                log: log, epoch: transaction.begin.record.epoch, transaction: transaction.transaction,
                database: database
            ).description
            return LostCommit(transaction: transaction, database: database, isPreparedAgain: listed.contains(gid))
        }
    }
}

/// A commit that the log knows as carried out and that its database does not have any more.
public struct LostCommit: Sendable, Hashable {
    /// As the log has it.
    public let transaction: ActiveTransaction
    public let database: DatabaseIndex
    /// Whether the branch is prepared again, so that the decision can be carried out again. Else neither the branch nor its row is
    /// there: a heuristic outcome.
    public let isPreparedAgain: Bool

    public init(transaction: ActiveTransaction, database: DatabaseIndex, isPreparedAgain: Bool) {
        self.transaction = transaction
        self.database = database
        self.isPreparedAgain = isPreparedAgain
    }

    /// What was seen, for the operator.
    public var evidence: String {
        isPreparedAgain
            ? "\(database) went back in time: the branch that had been committed is prepared again"
            : "\(database) went back in time and lost the commit: the branch is not listed and its row is not there"
    }

    /// What makes the transaction, if it has ended, unfinished again.
    public var reopening: ReopenedRecord {
        ReopenedRecord(
            transaction: transaction.transaction, database: database, isParked: !isPreparedAgain, evidence: evidence)
    }
}
