/// The judgement on a prepared branch that no unfinished transaction of the log explains.
public struct StrayVerdict: Sendable, Hashable {
    public let prepared: PreparedTransaction
    /// The database that the branch names if it lists it, else the first whose cluster does.
    public let seenFrom: DatabaseIndex
    public let verdict: Verdict

    public enum Verdict: Sendable, Hashable {
        /// Of another log or another program: listed, never touched.
        case foreign
        /// Of our log, with no record: kept and reported; proof or an order resolves it.
        case orphan
        /// Of a transaction that ended: the database went back in time. The decision is carried out again; the transaction is as
        /// the history has it, less the proofs of those databases that list its branches.
        case preparedAgain(ActiveTransaction)
    }

    static func all(_ input: RecoveryPlan.Input) -> [StrayVerdict] {
        // What a broken log lost is judged with all that was found of it.
        let lost = Set(input.lost.map(\.transaction))
        // By the branch's whole name: one of a known transaction that is none of its branches is not explained by it.
        let explained = Set(
            input.snapshot.active.flatMap { active in
                active.begin.record.branches.compactMap { branch -> GlobalBranchID? in
                    guard case .database(let index) = branch.participant else { return nil }
                    return GlobalBranchID(of: active, at: index, log: input.snapshot.log)
                }
            })
        var seenFrom: [PreparedTransaction: DatabaseIndex] = [:]
        for (index, state) in input.observations.sorted(by: { $0.key < $1.key }) {
            guard case .seen(let sighting) = state else { continue }
            for prepared in sighting.prepared {
                // The list is of the whole cluster: two databases of one cluster show the same branches.
                let id = GlobalBranchID(prepared.gid)
                if let id, explained.contains(id) || (id.log == input.snapshot.log && lost.contains(id.transaction)) {
                    continue
                }
                if seenFrom[prepared] == nil || id?.database == index { seenFrom[prepared] = index }
            }
        }
        let branches = seenFrom.keys.compactMap { GlobalBranchID($0.gid) }
        return seenFrom.map { prepared, index in
            StrayVerdict(prepared: prepared, seenFrom: index, verdict: judge(prepared, among: branches, input))
        }.sorted { ($0.prepared.gid, $0.seenFrom) < ($1.prepared.gid, $1.seenFrom) }
    }

    private static func judge(
        _ prepared: PreparedTransaction, among branches: [GlobalBranchID], _ input: RecoveryPlan.Input
    ) -> Verdict {
        guard let id = GlobalBranchID(prepared.gid), id.log == input.snapshot.log else { return .foreign }
        // It names a database of ours and lies in another one: nobody of ours has made it.
        if case .seen(let sighting)? = input.observations[id.database], sighting.elsewhere.contains(prepared.gid) {
            return .foreign
        }
        guard var ended = input.history[id.transaction], ended.decision != .undecided,
            id == GlobalBranchID(of: ended, at: id.database, log: id.log),
            ended.begin.record.branches.contains(where: { $0.participant == .database(id.database) })
        else { return .orphan }
        for branch in branches where branch.transaction == id.transaction {
            ended.acknowledged[.database(branch.database)] = nil
        }
        return .preparedAgain(ended)
    }
}
