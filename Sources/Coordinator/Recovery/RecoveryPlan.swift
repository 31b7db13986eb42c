/// What is to be done about everything unfinished, and why: a pure function of what the log and the participants say.
///
/// The server's start, its periodic pass and `recover` use the same one, so that a dry run prints what recovery then does.
public struct RecoveryPlan: Sendable, Hashable {
    /// Transactions of the log, in the order in which they began.
    public let transactions: [TransactionVerdict]
    /// Prepared branches that no unfinished transaction of the log explains.
    public let strays: [StrayVerdict]
    /// Reversals that are not acknowledged.
    public let reversals: [ReversalTask]

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
        transactions = input.snapshot.active
            .sorted { $0.begin.lsn < $1.begin.lsn }
            .map { TransactionVerdict($0, input) }
        strays = StrayVerdict.all(input)
        reversals = input.snapshot.reversals.sorted { $0.createdAt < $1.createdAt }
    }

    private init(transactions: [TransactionVerdict], strays: [StrayVerdict], reversals: [ReversalTask]) {
        self.transactions = transactions
        self.strays = strays
        self.reversals = reversals
    }

    /// The part that a running server acts on: its own transactions and reversals are in its hands already.
    public var onlyStrays: RecoveryPlan { RecoveryPlan(transactions: [], strays: strays, reversals: []) }

    /// Whether carrying the plan out would change anything.
    public var hasWork: Bool {
        transactions.contains { $0.verdict.isWork } || reversals.contains { $0.parkedReason == nil }
            || strays.contains { if case .preparedAgain = $0.verdict { true } else { false } }
    }

    /// Whether something would be left after it: parked, unreachable, in flight or orphaned.
    public var hasRemainder: Bool {
        transactions.contains { $0.verdict.remains } || reversals.contains { $0.parkedReason != nil }
            || strays.contains { $0.verdict == .orphan }
    }
}

/// The judgement on one unfinished transaction.
public struct TransactionVerdict: Sendable, Hashable {
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

    init(_ active: ActiveTransaction, _ input: RecoveryPlan.Input) {
        transaction = active
        findings = active.begin.record.branches.compactMap { branch in
            guard case .database(let index) = branch.participant else { return nil }
            return Finding(branch: branch, state: Self.find(branch, index, active, input))
        }
        verdict = Self.judge(active, findings, liveEpoch: input.liveEpoch)
    }

    private static func find(
        _ branch: Branch, _ index: DatabaseIndex, _ active: ActiveTransaction, _ input: RecoveryPlan.Input
    ) -> Finding.State {
        if let proof = active.acknowledged[branch.participant] { return .acknowledged(proof) }
        switch input.observations[index] {
        case nil: return .unknown("not configured")
        case .unreachable(let why): return .unknown(why)
        case .seen(let sighting):
            let gid = GlobalBranchID(
                log: input.snapshot.log, epoch: active.begin.record.epoch, transaction: active.transaction,
                database: index
            ).description
            if sighting.prepared.contains(where: { $0.gid == gid }) { return .prepared }
            if sighting.witnessed.contains(active.transaction) { return .witnessed }
            return .absent(mayStillAppear: sighting.olderBackendsAlive)
        }
    }

    private static func judge(
        _ active: ActiveTransaction, _ findings: [Finding], liveEpoch: Epoch?
    ) -> Verdict {
        if active.parked != nil { return .parked }
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
    /// The databases, by number, whose cluster lists it.
    public let seenFrom: DatabaseIndex
    public let verdict: Verdict

    public enum Verdict: Sendable, Hashable {
        /// Of another log or another program: listed, never touched.
        case foreign
        /// Of our log, with no record: kept and reported; proof or an order resolves it.
        case orphan
        /// Of a transaction that ended: the database went back in time. The decision is carried out again.
        case preparedAgain(ActiveTransaction)
    }

    static func all(_ input: RecoveryPlan.Input) -> [StrayVerdict] {
        let explained = Set(input.snapshot.active.map(\.transaction))
        var seen = Set<PreparedTransaction>()
        var strays: [StrayVerdict] = []
        for (index, state) in input.observations.sorted(by: { $0.key < $1.key }) {
            guard case .seen(let sighting) = state else { continue }
            for prepared in sighting.prepared {
                // The list is of the whole cluster: two databases of one cluster show the same branches.
                let id = GlobalBranchID(prepared.gid)
                if let id, id.log == input.snapshot.log, explained.contains(id.transaction) { continue }
                guard seen.insert(prepared).inserted else { continue }
                strays.append(
                    StrayVerdict(prepared: prepared, seenFrom: index, verdict: judge(id, input)))
            }
        }
        return strays.sorted { $0.prepared.gid < $1.prepared.gid }
    }

    private static func judge(_ id: GlobalBranchID?, _ input: RecoveryPlan.Input) -> Verdict {
        guard let id, id.log == input.snapshot.log else { return .foreign }
        return input.history[id.transaction].map(Verdict.preparedAgain) ?? .orphan
    }
}
