import Coordinator
import Payments
import Testing

/// A log that has lost its tail presumes nothing: one test for each thing that evidence can be.
@Suite struct EvidenceTests {
    private static let db1 = Samples.database(1)
    private static let db2 = Samples.database(2)
    private static let loss = LogContinuity.broken(
        LogBreak(cause: .restored, firstLostEpoch: Epoch(rawValue: 1), at: WallTime(microseconds: 0)))

    private static func plan(
        active: [ActiveTransaction] = [], lost: [LostTransaction] = [], status: ClearingStatus? = nil,
        _ observations: [DatabaseIndex: DatabaseObservation.State]
    ) -> RecoveryPlan {
        let statuses = Dictionary(
            active.compactMap { active in status.map { (active.transaction, $0) } }, uniquingKeysWith: { $1 })
        return RecoveryPlan(
            .init(
                snapshot: LogSnapshot(
                    log: Samples.log,
                    owner: FencePair(epoch: Epoch(rawValue: 9), incarnation: Incarnation(rawValue: 0)),
                    nextLSN: LSN(rawValue: 9), active: active, reversals: [], fences: [], quarantined: 0,
                    continuity: loss),
                liveEpoch: nil, observations: observations, history: [:], statuses: statuses, lost: lost))
    }

    private static func undecided(
        _ status: ClearingStatus?, _ states: DatabaseObservation.State...
    ) -> (TransactionVerdict.Verdict?, settles: Bool) {
        let active = Samples.active(Samples.begin(databases: states.count))
        let observations = Dictionary(
            uniqueKeysWithValues: states.enumerated().map { (Samples.database(UInt8($0 + 1)), $1) })
        let plan = plan(active: [active], status: status, observations)
        return (plan.transactions.first?.verdict, plan.settlesContinuity)
    }

    private static let prepared = Recovery.seen(prepared: [Recovery.branch(at: db1, epoch: 1)])
    private static let witnessed = Recovery.seen(witnessed: [Samples.transaction])
    private static let away = DatabaseObservation.State.unreachable("connection refused")

    @Test("Goal: a committed row in any database proves COMMIT, whatever else is missing")
    func aRowDecides() {
        #expect(Self.undecided(nil, Self.witnessed) == (.commitOnEvidence, true))
        #expect(Self.undecided(.unreachable("down"), Self.prepared, Self.witnessed).0 == .commitOnEvidence)
        let half = Self.undecided(.held, Self.away, Self.witnessed)
        #expect(half.0 == .commitOnEvidence && !half.settles, "the other database may hold more")
    }

    @Test("Goal: without a row the network's word allows ABORT, and only with every database seen")
    func theNetworkAllowsAbort() {
        for status in [ClearingStatus.held, .released, .declined, .tombstone, .unknown] {
            #expect(Self.undecided(status, Self.prepared) == (.abortOnEvidence, true))
            #expect(Self.undecided(status, Recovery.seen()) == (.abortOnEvidence, true))
            #expect(Self.undecided(status, Self.prepared, Self.away) == (.awaitEvidence, false))
            #expect(Self.undecided(status, Recovery.seen(olderBackendsAlive: true)) == (.awaitEvidence, false))
            // An old backend may be in the middle of COMMIT PREPARED.
            let busy = Recovery.seen(prepared: [Recovery.branch(at: Self.db1, epoch: 1)], olderBackendsAlive: true)
            #expect(Self.undecided(status, busy) == (.awaitEvidence, false))
        }
    }

    @Test("Goal: a silent network and one that confirmed what no database shows decide nothing")
    func theRestWaits() {
        #expect(Self.undecided(nil, Self.prepared) == (.awaitEvidence, false))
        #expect(Self.undecided(.unreachable("down"), Self.prepared) == (.awaitEvidence, false))
        #expect(Self.undecided(.settled, Self.prepared).0 == .parkContradiction)
    }

    @Test("Goal: what the log has decided needs no evidence")
    func decisionsStand() {
        let begin = Samples.begin()
        let committed = Self.plan(active: [Samples.active(begin, Samples.commit(begin))], [Self.db1: Self.prepared])
        #expect(committed.transactions.map(\.verdict) == [.commit])
        let aborted = Self.plan(active: [Samples.active(begin, Samples.abort(begin))], [Self.db1: Self.prepared])
        #expect(aborted.transactions.map(\.verdict) == [.rollBack])
    }

    // MARK: - Transactions without a record

    private static func adopted(
        prepared: Set<DatabaseIndex> = [], witnessed: Set<DatabaseIndex> = [], row: Bool = false,
        _ status: ClearingStatus?, away: Bool = false
    ) -> AdoptionVerdict.Verdict? {
        let found = LostTransaction(
            transaction: Samples.transaction, epoch: Epoch(rawValue: 1), prepared: prepared, witnessed: witnessed,
            row: row
                ? WitnessRow(transaction: Samples.transaction, epoch: Epoch(rawValue: 1), intent: Samples.intent())
                : nil,
            status: status)
        return plan(lost: [found], [db1: Recovery.seen(), db2: away ? Self.away : Recovery.seen()])
            .adoptions.first?.verdict
    }

    private static func record(_ verdict: AdoptionVerdict.Verdict?) -> AdoptionRecord? {
        if case .adopt(let record)? = verdict { record } else { nil }
    }

    @Test("Goal: a payment's row is adopted as committed, with all of its branches, even while a database is away")
    func adoptsRows() throws {
        for away in [false, true] {
            let record = try #require(
                Self.record(Self.adopted(witnessed: [Self.db1], row: true, .held, away: away)))
            #expect(record.outcome == .committed && record.begin.intent == Samples.intent())
            #expect(record.begin.branches == Placement.branches(of: Samples.intent(), databases: 2))
            #expect(record.warrant.authority == .evidence && !record.isNameless)
        }
    }

    @Test("Goal: a branch without a row is adopted as aborted, nameless, where all evidence is there")
    func adoptsBranches() throws {
        let record = try #require(Self.record(Self.adopted(prepared: [Self.db1, Self.db2], .held)))
        #expect(record.outcome == .aborted && record.isNameless)
        #expect(record.begin.intent.amount.minorUnits == 0)
        #expect(record.begin.branches.count { $0.role.contains(.payment) } == 1)
        #expect(record.begin.branches.count == 3)
        for (status, away) in [(ClearingStatus?.none, false), (.unreachable("down"), false), (.held, true)] {
            guard case .awaitEvidence = Self.adopted(prepared: [Self.db1], status, away: away) else {
                return #expect(Bool(false), "\(String(describing: status)) \(away) is no evidence")
            }
        }
    }

    @Test("Goal: the merchant's entry proves COMMIT for the payment's branch; what contradicts itself is kept")
    func entriesAndContradictions() throws {
        let record = try #require(Self.record(Self.adopted(prepared: [Self.db1], witnessed: [Self.db2], .held)))
        #expect(record.outcome == .committed)
        #expect(record.begin.branches.first { $0.participant == .database(Self.db1) }?.role == .payment)
        guard case .contradiction = Self.adopted(witnessed: [Self.db2], .held) else {
            return #expect(Bool(false), "an entry without a payment")
        }
        guard case .contradiction = Self.adopted(prepared: [Self.db1], .settled) else {
            return #expect(Bool(false), "confirmed without a row")
        }
    }

    @Test("Goal: in a whole log none of this applies: undecided means aborted")
    func wholeLogsPresume() {
        let plan = Recovery.plan(active: [Samples.active(Samples.begin())], observations: [Self.db1: Self.prepared])
        #expect(plan.transactions.map(\.verdict) == [.presumeAbort] && !plan.settlesContinuity)
    }

    @Test("Goal: a part of a plan settles nothing about the whole")
    func partsSettleNothing() {
        let plan = Self.plan([Self.db1: Recovery.seen()])
        #expect(plan.settlesContinuity && plan.hasWork)
        #expect(!plan.filtered(PlanSelection(only: [Samples.transaction])).settlesContinuity)
    }
}
