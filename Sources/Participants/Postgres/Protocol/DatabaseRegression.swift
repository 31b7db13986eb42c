public import Coordinator

/// A database that may have lost what it had committed, because it was failed over or restored.
public struct DatabaseRegression: Sendable, Hashable, CustomStringConvertible {
    /// What gives it away.
    public enum Cause: Sendable, Hashable {
        /// Another timeline, or a write-ahead log that is shorter than it was.
        case position(before: DatabasePosition, after: DatabasePosition)
        /// It shows a pair of ours from before the confirmed one.
        case formerFence(FencePair)
        /// It does not have a commit that it had acknowledged shortly before.
        case missingCommit(TransactionID)
        /// Another database is taken over in place of the former one.
        case otherDatabase(before: DatabaseIdentity, after: DatabaseIdentity)
        /// It was found before, and the verification of its commits did not come to its end.
        case unfinished
    }

    /// Tells it from earlier ones of the same database in this process.
    public let number: Int
    public let cause: Cause

    public var description: String {
        switch cause {
        case .position(let before, let after) where before.timeline != after.timeline:
            "it is at \(after) and was at \(before): it was failed over or restored"
        case .position(let before, let after): "it is at \(after) and was at \(before) already: it was restored"
        case .formerFence(let pair): "it holds the fence \(pair) of an earlier start of this log: it was restored"
        case .missingCommit(let transaction): "it acknowledged the commit of \(transaction), and its row is not there"
        case .otherDatabase(let before, let after): "it is database \(after) in place of \(before)"
        case .unfinished: "it did so before, and the verification of its commits was not finished"
        }
    }

    /// Compares a database with what the log remembers of it.
    ///
    /// - Parameters:
    ///   - known: how far it was when it was last seen; `nil` if that was never noted.
    ///   - identity: the database that the log knows.
    static func cause(
        of facts: ServerFacts, known: DatabasePosition?, identity: DatabaseIdentity?
    ) -> Cause? {
        if known == .unverified { return .unfinished }
        if let identity, identity != facts.identity {
            return .otherDatabase(before: identity, after: facts.identity)
        }
        guard let known, let now = facts.position, now.mayHaveLostCommits(since: known) else { return nil }
        return .position(before: known, after: now)
    }
}
