import Coordinator
import Payments
import Testing

/// One test for each row of the table of recovery, and what two databases make of it.
@Suite struct RecoveryPlanTests {
    private static let db1 = Samples.database(1)
    private static let db2 = Samples.database(2)

    /// What one database shows of the sample transaction.
    private enum Shown {
        case prepared, witnessed, nothing, nothingYet, away

        func state(_ index: DatabaseIndex, epoch: UInt64) -> DatabaseObservation.State {
            switch self {
            case .away: .unreachable("connection refused")
            case .prepared: Recovery.seen(prepared: [Recovery.branch(at: index, epoch: epoch)])
            case .witnessed: Recovery.seen(witnessed: [Samples.transaction])
            case .nothing: Recovery.seen()
            case .nothingYet: Recovery.seen(olderBackendsAlive: true)
            }
        }
    }

    private static func plan(
        _ active: ActiveTransaction, _ shown: [Shown], liveEpoch: UInt64? = nil, reversals: [ReversalTask] = []
    ) -> RecoveryPlan {
        let epoch = active.begin.record.epoch.rawValue
        var observations: [DatabaseIndex: DatabaseObservation.State] = [:]
        for (offset, what) in shown.enumerated() {
            let index = Samples.database(UInt8(offset + 1))
            observations[index] = what.state(index, epoch: epoch)
        }
        return Recovery.plan(
            active: [active], reversals: reversals, liveEpoch: liveEpoch, observations: observations)
    }

    private static func verdict(
        _ active: ActiveTransaction, _ shown: Shown..., liveEpoch: UInt64? = nil
    ) -> TransactionVerdict.Verdict? {
        plan(active, shown, liveEpoch: liveEpoch).transactions.first?.verdict
    }

    private static let one = Samples.begin()
    private static let two = Samples.begin(databases: 2)

    // MARK: - The rows of the table

    @Test(arguments: [0, 1, 2, 3, 4])
    func anUndecidedOneOfTheRunningServerIsLeftToIt(_ shown: Int) {
        let all: [Shown] = [.prepared, .witnessed, .nothing, .nothingYet, .away]
        let active = Samples.active(Samples.begin(epoch: 4))
        let plan = Self.plan(active, [all[shown]], liveEpoch: 4)
        #expect(plan.transactions.map(\.verdict) == [.inFlight])
        #expect(!plan.hasWork)
        #expect(plan.hasRemainder)
    }

    @Test func anUndecidedOneOfAnEarlierEpochIsAborted() {
        let active = Samples.active(Self.one)
        #expect(Self.verdict(active, .prepared) == .presumeAbort)
        #expect(Self.verdict(active, .nothing) == .presumeAbort)
        #expect(Self.verdict(active, .nothingYet) == .presumeAbort)
        // In an unbroken log there is no witness of an undecided one: a database that is away holds nothing up.
        #expect(Self.verdict(active, .away) == .presumeAbort)
        // Also beside a running server of a later epoch, which has it in its hands.
        #expect(Self.verdict(active, .prepared, liveEpoch: 2) == .presumeAbort)
    }

    @Test func aWitnessOfWhatTheLogDidNotCommitIsParked() {
        #expect(Self.verdict(Samples.active(Self.one), .witnessed) == .parkContradiction)
        #expect(Self.verdict(Samples.active(Self.one, Samples.abort(Self.one)), .witnessed) == .parkContradiction)
        #expect(Self.verdict(Samples.active(Self.one), .witnessed, liveEpoch: 2) == .parkContradiction)
    }

    @Test func aCommitIsCarriedOut() {
        let active = Samples.active(Self.one, Samples.commit(Self.one))
        #expect(Self.verdict(active, .prepared) == .commit)
        #expect(Self.verdict(active, .witnessed) == .commit)
        #expect(Self.verdict(active, .away) == .commit)
        // While a backend lives that may yet prepare it, nothing is proven.
        #expect(Self.verdict(active, .nothingYet) == .commit)
    }

    @Test func aCommitWithNeitherBranchNorRowWasRolledBackByHand() {
        let active = Samples.active(Self.one, Samples.commit(Self.one))
        #expect(Self.verdict(active, .nothing) == .parkRolledBack)
        // Beside a running server the branch may not have been looked at in the same moment: it judges itself.
        #expect(Self.verdict(active, .nothing, liveEpoch: 1) == .commit)
    }

    @Test func anAbortIsCarriedOut() {
        let active = Samples.active(Self.one, Samples.abort(Self.one))
        for shown in [Shown.prepared, .nothing, .nothingYet, .away] {
            #expect(Self.verdict(active, shown) == .rollBack)
        }
    }

    @Test func aParkedOneIsLeftParkedWhateverIsSeen() {
        let parked = ParkedRecord(
            transaction: Samples.transaction, participant: .database(Self.db1), evidence: "seen")
        for decision in [.undecided, Samples.commit(Self.one), Samples.abort(Self.one)] {
            let active = Samples.active(Self.one, decision, parked: parked)
            for shown in [Shown.prepared, .witnessed, .nothing, .nothingYet, .away] {
                let plan = Self.plan(active, [shown])
                #expect(plan.transactions.map(\.verdict) == [.parked])
                #expect(!plan.hasWork)
                #expect(plan.hasRemainder)
            }
        }
    }

    // MARK: - Two databases

    @Test func twoDatabasesAreJudgedTogether() {
        let undecided = Samples.active(Self.two)
        #expect(Self.verdict(undecided, .prepared, .nothing) == .presumeAbort)
        #expect(Self.verdict(undecided, .prepared, .witnessed) == .parkContradiction)
        #expect(Self.verdict(undecided, .away, .witnessed) == .parkContradiction)

        let commit = Samples.active(Self.two, Samples.commit(Self.two))
        #expect(Self.verdict(commit, .witnessed, .prepared) == .commit)
        #expect(Self.verdict(commit, .witnessed, .away) == .commit)
        #expect(Self.verdict(commit, .witnessed, .nothing) == .parkRolledBack)
        #expect(Self.verdict(commit, .nothing, .prepared) == .parkRolledBack)

        let abort = Samples.active(Self.two, Samples.abort(Self.two))
        #expect(Self.verdict(abort, .nothing, .prepared) == .rollBack)
        #expect(Self.verdict(abort, .prepared, .witnessed) == .parkContradiction)
    }

    @Test func findingsNameEachBranchAndWhatItsDatabaseShowed() {
        let acknowledged: [Participant: Proof] = [.database(Self.db2): .witness]
        let active = Samples.active(Self.two, Samples.commit(Self.two), acknowledged: acknowledged)
        let findings = Self.plan(active, [.prepared, .nothing]).transactions.first?.findings
        #expect(findings?.map(\.branch) == Array(Self.two.branches.dropFirst()))
        // What is proven is not judged again: without its row the second database would be a heuristic outcome.
        #expect(findings?.map(\.state) == [.prepared, .acknowledged(.witness)])
        #expect(Self.verdict(active, .prepared, .nothing) == .commit)

        let unseen = Self.plan(active, []).transactions.first?.findings
        #expect(unseen?.map(\.state) == [.unknown("not configured"), .acknowledged(.witness)])
        let away = Self.plan(Samples.active(Self.two), [.nothingYet, .away]).transactions.first?.findings
        #expect(away?.map(\.state) == [.absent(mayStillAppear: true), .unknown("connection refused")])
    }

    /// A database that went back in time before END: the proof in the log is worth nothing any more.
    @Test func aProvenBranchThatIsPreparedAgainIsCarriedOutAgain() throws {
        for decision in [Samples.commit(Self.two), Samples.abort(Self.two)] {
            let active = Samples.active(
                Self.two, decision,
                acknowledged: [.database(Self.db1): .acknowledgement, .database(Self.db2): .acknowledgement])
            let verdict = try #require(Self.plan(active, [.nothing, .prepared]).transactions.first)
            #expect(verdict.findings.map(\.state) == [.acknowledged(.acknowledgement), .prepared])
            #expect(verdict.transaction.acknowledged == [.database(Self.db1): .acknowledgement])
            // Beside a running server the list is older than its proof.
            let beside = try #require(Self.plan(active, [.nothing, .prepared], liveEpoch: 1).transactions.first)
            #expect(beside.transaction.acknowledged == active.acknowledged)
        }
    }

    /// The branch of another epoch or database is not this transaction's branch.
    @Test func onlyTheExactNameIsTheBranch() {
        let active = Samples.active(Self.one, Samples.commit(Self.one))
        for stranger in [
            Recovery.branch(at: Self.db1, epoch: 2), Recovery.branch(at: Self.db2, epoch: 1),
            Recovery.branch(at: Self.db1, epoch: 1, log: LogID(high: 1, low: 1)),
        ] {
            let plan = Recovery.plan(active: [active], observations: [Self.db1: Recovery.seen(prepared: [stranger])])
            #expect(plan.transactions.map(\.verdict) == [.parkRolledBack])
            #expect(plan.strays.count == 1, "it is listed and not passed over")
        }
    }

    // MARK: - Reversals

    @Test func openReversalsAreTakenUpTheOldestFirst() {
        let tasks = [3, 1, 2].map {
            Samples.reversal(Samples.transactionID(UInt64($0)), createdAt: Int64($0))
        }
        let plan = Recovery.plan(reversals: tasks)
        #expect(plan.reversals.map(\.transaction.high) == [1, 2, 3])
        #expect(plan.hasWork)
        #expect(!plan.hasRemainder)
        #expect(Recovery.plan().hasWork == false)
    }

    @Test func aParkedReversalIsNoWorkButLeftOver() {
        var task = Samples.reversal()
        task.parkedReason = "refused six times"
        let plan = Recovery.plan(reversals: [task])
        #expect(!plan.hasWork)
        #expect(plan.hasRemainder)
    }

    /// Never on our own: the money of a payment that a database shows as committed is not given back by recovery.
    @Test func aContradictedAbortHoldsItsReversalBack() {
        let task = Samples.reversal()
        let abort = Samples.abort(Self.one, reversal: task)
        let contradicted = Self.plan(Samples.active(Self.one, abort), [.witnessed], reversals: [task])
        #expect(contradicted.reversals.isEmpty)
        #expect(contradicted.heldReversals == [task])
        let record = ParkedRecord(
            transaction: Samples.transaction, participant: .database(Self.db1), evidence: "seen")
        let parked = Self.plan(Samples.active(Self.one, abort, parked: record), [.away], reversals: [task])
        #expect(parked.reversals.isEmpty)
        #expect(parked.heldReversals == [task])
        #expect(parked.hasRemainder)
        let plain = Self.plan(Samples.active(Self.one, abort), [.prepared], reversals: [task])
        #expect(plain.reversals == [task])
        #expect(plain.heldReversals.isEmpty)
    }

    // MARK: - The whole plan

    @Test func transactionsStandInTheOrderInWhichTheyBegan() {
        let active = [(3, 30), (1, 10), (2, 20)].map { number, lsn in
            Samples.active(Samples.begin(Samples.transactionID(UInt64(number))), lsn: UInt64(lsn))
        }
        let plan = Recovery.plan(active: active)
        #expect(plan.transactions.map(\.transaction.begin.lsn.rawValue) == [10, 20, 30])
    }

    @Test func whatADatabaseThatIsAwayHoldsIsLeftOver() {
        let active = Samples.active(Self.two, Samples.commit(Self.two))
        #expect(Self.plan(active, [.witnessed, .away]).hasRemainder)
        #expect(!Self.plan(active, [.witnessed, .prepared]).hasRemainder)
        #expect(Self.plan(active, [.witnessed, .prepared]).hasWork)
    }

    @Test func aRunningServerActsOnStraysAlone() {
        let active = Samples.active(Self.one, Samples.commit(Self.one))
        let foreign = Recovery.branch(at: Self.db1, epoch: 1, log: LogID(high: 1, low: 1))
        let plan = Recovery.plan(
            active: [active], reversals: [Samples.reversal()],
            observations: [Self.db1: Recovery.seen(prepared: [foreign])])
        #expect(plan.onlyStrays.transactions.isEmpty)
        #expect(plan.onlyStrays.reversals.isEmpty)
        #expect(plan.onlyStrays.strays == plan.strays)
        #expect(plan.strays.count == 1)
    }
}
