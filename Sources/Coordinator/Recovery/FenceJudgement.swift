/// What a database's fence row means for a server that is about to take it over.
public enum FenceJudgement: Sendable, Hashable {
    /// An attempt of this very start got through.
    case ours
    /// The pair there may be replaced by ours; `nil` is no row yet.
    case replace(FencePair?)
    /// A pair of ours from before the confirmed one: the database went back in time, behind our own fencing. It may be replaced, and the
    /// commits since then have to be verified.
    case wentBack(FencePair)
    /// Somebody else's.
    case refused(String)

    /// A fence row as it was read.
    public struct Row: Sendable, Hashable {
        public let pair: FencePair
        public let database: DatabaseIndex

        public init(pair: FencePair, database: DatabaseIndex) {
            self.pair = pair
            self.database = database
        }
    }

    /// - Parameter owner: the pair of this start; `nil` for one who only looks.
    public static func of(_ found: Row?, fence: DatabaseFence, owner: FencePair?, log: LogID) -> FenceJudgement {
        guard let found else {
            guard let confirmed = fence.confirmed, !fence.takesOver else { return .replace(nil) }
            return .refused(
                "the database holds no fence of this log, but held \(confirmed) before: it was restored from a copy older than "
                    + "this log's first start there, the row was deleted, or it is another one. Make sure that it is the database of "
                    + "these payments and that no other server uses a copy of this state directory; then put the row back: "
                    + insertion(of: fence.former.last ?? confirmed, fence.database, log)
                    + ". The next look takes it over and verifies its commits")
        }
        guard found.database == fence.database else {
            return .refused(
                "the database is fenced as \(found.database) of this log, not as \(fence.database): two of the configured "
                    + "databases are the same one, or their order was changed. Give each number its own database, in the "
                    + "order of the first start")
        }
        if found.pair == owner { return .ours }
        if fence.takesOver { return takeOver(found.pair, owner) }
        if found.pair == fence.confirmed || fence.attempted.contains(found.pair) { return .replace(found.pair) }
        if fence.former.contains(found.pair) { return .wentBack(found.pair) }
        let known = fence.confirmed.map { "\($0)" } ?? "none"
        return .refused(
            "the database is fenced by \(found.pair), which this log never wrote (it knows \(known)): a copy of this state "
                + "directory is or was running, the directory or the database was restored from an older copy, or it is "
                + "somebody else's. \(remedy)")
    }

    /// What is older than the restored log, by the count of starts, is ended and waited for; so nothing may be younger.
    private static func takeOver(_ found: FencePair, _ owner: FencePair?) -> FenceJudgement {
        guard let owner, found.epoch >= owner.epoch else { return .replace(found) }
        return .refused(
            "the database was fenced by \(found), and this state directory was restored to go on with epoch \(owner.epoch): the clock "
                + "was wrong when it was restored, or when an earlier one was. Set the clock, move this directory away, and restore "
                + "once more with recover restore --beyond-epoch \(found.epoch)")
    }

    /// A former pair, where there is one, has the commits verified in any case.
    private static func insertion(of pair: FencePair, _ database: DatabaseIndex, _ log: LogID) -> String {
        "INSERT INTO holdfast_fence (log_id, epoch, incarnation, database) VALUES ('\(log)', \(pair.epoch), "
            + "'\(pair.incarnation)', \(database.rawValue))"
    }

    private static let remedy =
        "Make sure that no other server uses a copy of this state directory; then use the newest state directory, "
        + "or take this one over as a restored one with `recover restore`"
}
