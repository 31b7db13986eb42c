/// What is to be done about everything unfinished, and why: a pure function of what the log and the participants say.
///
/// The server's start, its periodic pass and `recover` use the same one, so that a dry run prints what recovery then does.
public struct RecoveryPlan: Sendable, Hashable {
    /// Transactions of the log, in the order in which they began.
    public let transactions: [TransactionVerdict]
    /// Prepared branches that no unfinished transaction of the log explains.
    public let strays: [StrayVerdict]
    /// Reversals that are not acknowledged, less ``heldReversals``.
    public let reversals: [ReversalTask]
    /// Reversals of payments that a database committed all the same: not sent before an operator has judged the payment.
    public let heldReversals: [ReversalTask]

    /// Everything that the plan is made from.
    public struct Input: Sendable {
        public let snapshot: LogSnapshot
        /// The epoch of the server that runs on this log now; `nil` if none does.
        public let liveEpoch: Epoch?
        /// Of every configured database.
        public let observations: [DatabaseIndex: DatabaseObservation.State]
        /// Ended transactions whose branches are listed as prepared, where the history still has them.
        public let history: [TransactionID: ActiveTransaction]

        public init(
            snapshot: LogSnapshot, liveEpoch: Epoch?,
            observations: [DatabaseIndex: DatabaseObservation.State], history: [TransactionID: ActiveTransaction]
        ) {
            self.snapshot = snapshot
            self.liveEpoch = liveEpoch
            self.observations = observations
            self.history = history
        }
    }

    public init(_ input: Input) {
        let listed = input.observations.mapValues { state -> Set<String> in
            switch state {
            case .unreachable: []
            case .seen(let sighting): Set(sighting.prepared.map(\.gid))
            }
        }
        transactions = input.snapshot.active
            .sorted { $0.begin.lsn < $1.begin.lsn }
            .map { TransactionVerdict($0, listed: listed, input) }
        strays = StrayVerdict.all(input)
        let held = Set(transactions.filter(\.holdsReversal).map(\.transaction.transaction))
        let open = input.snapshot.reversals.sorted { $0.createdAt < $1.createdAt }
        reversals = open.filter { !held.contains($0.transaction) }
        heldReversals = open.filter { held.contains($0.transaction) }
    }

    private init(strays: [StrayVerdict]) {
        transactions = []
        self.strays = strays
        reversals = []
        heldReversals = []
    }

    /// The part that a running server acts on: its own transactions and reversals are in its hands already.
    public var onlyStrays: RecoveryPlan { RecoveryPlan(strays: strays) }

    /// Whether carrying the plan out would change anything.
    public var hasWork: Bool {
        transactions.contains { $0.verdict.isWork } || reversals.contains { $0.parkedReason == nil }
            || strays.contains { if case .preparedAgain = $0.verdict { true } else { false } }
    }

    /// Whether something would be left after it: parked, unreachable, in flight or orphaned.
    public var hasRemainder: Bool {
        transactions.contains { $0.verdict.remains || $0.isPartlyUnknown }
            || reversals.contains { $0.parkedReason != nil } || !heldReversals.isEmpty
            || strays.contains { $0.verdict == .orphan }
    }
}

/// The judgement on one unfinished transaction.
public struct TransactionVerdict: Sendable, Hashable {
    /// As the log has it, less the proofs that a database has gone back behind: what is to be resumed.
    public let transaction: ActiveTransaction
    public let verdict: Verdict
    /// What each database showed.
    public let findings: [Finding]

    public enum Verdict: Sendable, Hashable {
        /// Undecided in the epoch of the server that runs: left to it.
        case inFlight
        /// Undecided and its server is gone: ABORT is written, with a reversal if the network was a participant, then every
        /// branch is rolled back.
        case presumeAbort
        /// The log says that it was not committed, and a database shows that it was: never reversed on our own.
        case parkContradiction
        /// COMMIT is carried out: databases, then the network until it acknowledges.
        case commit
        /// COMMIT, and a database shows neither the branch nor its row: somebody rolled it back.
        case parkRolledBack
        /// ABORT is carried out.
        case rollBack
        /// Waits for an operator already.
        case parked

        /// Whether recovery would do something.
        public var isWork: Bool {
            switch self {
            case .presumeAbort, .parkContradiction, .commit, .parkRolledBack, .rollBack: true
            case .inFlight, .parked: false
            }
        }

        /// Whether it stays in doubt after recovery has done its part.
        public var remains: Bool {
            switch self {
            case .inFlight, .parkContradiction, .parkRolledBack, .parked: true
            case .presumeAbort, .commit, .rollBack: false
            }
        }
    }

    /// What one database showed of the transaction's branch.
    public struct Finding: Sendable, Hashable {
        public let branch: Branch
        public let state: State

        public enum State: Sendable, Hashable {
            case prepared
            /// Not prepared, and the branch's row is visible: committed.
            case witnessed
            /// Neither prepared nor visible; `mayStillAppear` while a backend of an older epoch lives.
            case absent(mayStillAppear: Bool)
            /// The log has the proof that it carried the decision out.
            case acknowledged(Proof)
            /// The database could not be asked.
            case unknown(String)
        }
    }

    /// - Parameter listed: the names that each database lists as prepared.
    init(_ logged: ActiveTransaction, listed: [DatabaseIndex: Set<String>], _ input: RecoveryPlan.Input) {
        var active = logged
        findings = logged.begin.record.branches.compactMap { branch in
            guard case .database(let index) = branch.participant else { return nil }
            let gid = GlobalBranchID(of: logged, at: index, log: input.snapshot.log).description
            let isPrepared = listed[index]?.contains(gid) ?? false
            return Finding(branch: branch, state: Self.find(branch, index, logged, isPrepared: isPrepared, input))
        }
        for finding in findings where finding.state == .prepared {
            active.acknowledged[finding.branch.participant] = nil
        }
        transaction = active
        verdict = Self.judge(active, findings, liveEpoch: input.liveEpoch)
    }

    /// Whether the payment was aborted in the log and committed in a database: undoing it at the network on our own could
    /// leave a payment without money.
    fileprivate var holdsReversal: Bool {
        switch (verdict, transaction.decision) {
        case (.parkContradiction, _), (.parked, .abort), (.parked, .undecided): true
        case (.parked, .commit), (.inFlight, _), (.presumeAbort, _), (.commit, _), (.parkRolledBack, _), (.rollBack, _):
            false
        }
    }

    /// Whether a database that has a part in it could not be asked.
    fileprivate var isPartlyUnknown: Bool {
        findings.contains { if case .unknown = $0.state { true } else { false } }
    }

    private static func find(
        _ branch: Branch, _ index: DatabaseIndex, _ active: ActiveTransaction, isPrepared: Bool,
        _ input: RecoveryPlan.Input
    ) -> Finding.State {
        let proof = active.acknowledged[branch.participant]
        switch input.observations[index] {
        case nil: return proof.map(Finding.State.acknowledged) ?? .unknown("not configured")
        case .unreachable(let why): return proof.map(Finding.State.acknowledged) ?? .unknown(why)
        case .seen(let sighting):
            // The list is older than the snapshot where a server runs: its proof is then the newer of the two. Where none runs, a
            // branch that is listed in spite of a proof means that the database went back in time.
            if isPrepared, proof == nil || input.liveEpoch == nil { return .prepared }
            if let proof { return .acknowledged(proof) }
            if sighting.witnessed.contains(active.transaction) { return .witnessed }
            return .absent(mayStillAppear: sighting.olderBackendsAlive)
        }
    }

    private static func judge(
        _ active: ActiveTransaction, _ findings: [Finding], liveEpoch: Epoch?
    ) -> Verdict {
        if active.isParked { return .parked }
        let isWitnessed = findings.contains { $0.state == .witnessed }
        let isGone = findings.contains { $0.state == .absent(mayStillAppear: false) }
        switch active.decision {
        case .undecided:
            if active.begin.record.epoch == liveEpoch { return .inFlight }
            return isWitnessed ? .parkContradiction : .presumeAbort
        case .abort:
            return isWitnessed ? .parkContradiction : .rollBack
        case .commit:
            return isGone && liveEpoch == nil ? .parkRolledBack : .commit
        }
    }
}

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
                if let id, explained.contains(id) { continue }
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

extension GlobalBranchID {
    /// The name of a transaction's branch.
    fileprivate init(of active: ActiveTransaction, at database: DatabaseIndex, log: LogID) {
        self.init(
            log: log, epoch: active.begin.record.epoch, transaction: active.transaction, database: database)
    }
}
