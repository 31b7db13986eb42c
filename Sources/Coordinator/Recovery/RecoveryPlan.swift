/// What is to be done about everything unfinished, and why: a pure function of what the log and the participants say.
///
/// The server's start, its periodic pass and `recover` use the same one, so that a dry run prints what recovery then does.
public struct RecoveryPlan: Sendable, Hashable {
    /// The log that it is made for.
    public let log: LogID
    /// Transactions of the log, in the order in which they began.
    public let transactions: [TransactionVerdict]
    /// Prepared branches that no unfinished transaction of the log explains.
    public let strays: [StrayVerdict]
    /// Reversals that are not acknowledged, less ``heldReversals``.
    public let reversals: [ReversalTask]
    /// Reversals of payments that a database committed all the same: not sent before an operator has judged the payment.
    public let heldReversals: [ReversalTask]
    /// Transactions of a broken log's lost tail.
    public let adoptions: [AdoptionVerdict]
    /// Databases that could not be asked, and why: what they hold is not in the plan.
    public let unreachable: [DatabaseIndex: String]
    /// Whether presumption holds, or the plan is made of evidence alone.
    public let continuity: LogContinuity
    /// Whether nothing that the lost tail of a broken log may have held is open: when this plan is carried out, the log is whole
    /// again.
    public let settlesContinuity: Bool

    /// Everything that the plan is made from.
    public struct Input: Sendable {
        public let snapshot: LogSnapshot
        /// The epoch of the server that runs on this log now; `nil` if none does.
        public let liveEpoch: Epoch?
        /// Of every configured database.
        public let observations: [DatabaseIndex: DatabaseObservation.State]
        /// Ended transactions whose branches are listed as prepared, where the history still has them.
        public let history: [TransactionID: ActiveTransaction]
        /// Of a broken log: what the network says of undecided transactions.
        public let statuses: [TransactionID: ClearingStatus]
        /// Of a broken log: what was found of transactions that it has no record of.
        public let lost: [LostTransaction]
        /// The program that reads the evidence.
        public let actor: String

        public init(
            snapshot: LogSnapshot, liveEpoch: Epoch?,
            observations: [DatabaseIndex: DatabaseObservation.State], history: [TransactionID: ActiveTransaction],
            statuses: [TransactionID: ClearingStatus] = [:], lost: [LostTransaction] = [], actor: String = "recovery"
        ) {
            self.snapshot = snapshot
            self.liveEpoch = liveEpoch
            self.observations = observations
            self.history = history
            self.statuses = statuses
            self.lost = lost
            self.actor = actor
        }

        /// What keeps databases from being evidence.
        var unseen: [DatabaseIndex: String] {
            observations.compactMapValues { state in
                switch state {
                case .unreachable(let why): "could not be asked (\(why))"
                case .seen(let sighting):
                    sighting.olderBackendsAlive ? "may still change: a backend of an older epoch is alive" : nil
                }
            }
        }
    }

    public init(_ input: Input) {
        let listed = input.observations.mapValues { state -> Set<String> in
            switch state {
            case .unreachable: []
            case .seen(let sighting): Set(sighting.prepared.map(\.gid)).subtracting(sighting.elsewhere)
            }
        }
        log = input.snapshot.log
        unreachable = input.observations.compactMapValues { state in
            if case .unreachable(let why) = state { why } else { nil }
        }
        transactions = input.snapshot.active
            .sorted { $0.begin.lsn < $1.begin.lsn }
            .map { TransactionVerdict($0, listed: listed, input) }
        adoptions = input.lost
            .map {
                AdoptionVerdict(
                    $0, databases: input.observations.count, unseen: input.unseen, actor: input.actor)
            }
            .sorted { $0.found.transaction < $1.found.transaction }
        strays = StrayVerdict.all(input)
        let held = Set(transactions.filter(\.holdsReversal).map(\.transaction.transaction))
        let open = input.snapshot.reversals.sorted { $0.createdAt < $1.createdAt }
        reversals = open.filter { !held.contains($0.transaction) }
        heldReversals = open.filter { held.contains($0.transaction) }
        continuity = input.snapshot.continuity
        settlesContinuity =
            continuity.isBroken && input.unseen.isEmpty && !transactions.contains { $0.verdict == .awaitEvidence }
            && !adoptions.contains(where: \.isOpen)
    }

    /// A part of a plan; a part settles nothing about the whole.
    init(
        log: LogID, transactions: [TransactionVerdict], strays: [StrayVerdict], reversals: [ReversalTask],
        heldReversals: [ReversalTask], adoptions: [AdoptionVerdict], unreachable: [DatabaseIndex: String],
        continuity: LogContinuity
    ) {
        self.log = log
        self.transactions = transactions
        self.strays = strays
        self.reversals = reversals
        self.heldReversals = heldReversals
        self.adoptions = adoptions
        self.unreachable = unreachable
        self.continuity = continuity
        settlesContinuity = false
    }

    /// Whether carrying the plan out would change anything.
    public var hasWork: Bool {
        transactions.contains { $0.verdict.isWork } || reversals.contains { $0.parkedReason == nil }
            || strays.contains { if case .preparedAgain = $0.verdict { true } else { false } }
            || adoptions.contains(where: \.isWork) || settlesContinuity
    }

    /// Whether something would be left after it: parked, unreachable, in flight or orphaned.
    public var hasRemainder: Bool {
        transactions.contains { $0.verdict.remains || $0.isPartlyUnknown }
            || reversals.contains { $0.parkedReason != nil } || !heldReversals.isEmpty
            || strays.contains { $0.verdict == .orphan } || (continuity.isBroken && !settlesContinuity)
            || adoptions.contains { $0.isOpen || $0.isContradiction }
    }
}

extension GlobalBranchID {
    /// The name of a transaction's branch.
    init(of active: ActiveTransaction, at database: DatabaseIndex, log: LogID) {
        self.init(
            log: log, epoch: active.begin.record.epoch, transaction: active.transaction, database: database)
    }
}
