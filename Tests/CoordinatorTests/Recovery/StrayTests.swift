import Coordinator
import Testing

/// Prepared branches that no unfinished transaction explains.
@Suite struct StrayTests {
    @Test("Goal: a branch that names one of our databases and lies in another is nobody's of ours")
    func elsewhere() {
        let db1 = Samples.database(1)
        let branch = Recovery.branch(at: db1, epoch: 1)
        let here = Recovery.plan(observations: [db1: Recovery.seen(prepared: [branch])])
        #expect(here.strays.map(\.verdict) == [.orphan])
        let seen = DatabaseObservation.State.seen(
            .init(prepared: [branch], elsewhere: [branch.gid], witnessed: [], olderBackendsAlive: false))
        #expect(Recovery.plan(observations: [db1: seen]).strays.map(\.verdict) == [.foreign])
    }

    private static let db1 = Samples.database(1)
    private static let db2 = Samples.database(2)
    private static let two = Samples.begin(databases: 2)

    private static func ended(_ decision: ActiveTransaction.Decision) -> ActiveTransaction {
        Samples.active(
            two, decision,
            acknowledged: [
                .clearing: .acknowledgement, .database(db1): .acknowledgement, .database(db2): .acknowledgement,
            ])
    }

    @Test(arguments: [
        "0_1_postgres", "visa_", "", GlobalBranchIDTests.otherLog,
    ])
    func ofAnotherLogOrProgramAreForeign(_ gid: String) {
        let plan = Recovery.plan(observations: [Self.db1: Recovery.seen(prepared: [Recovery.prepared(gid)])])
        #expect(plan.strays.map(\.verdict) == [.foreign])
        #expect(!plan.hasWork)
        #expect(!plan.hasRemainder, "what is not ours leaves nothing for us to do")
    }

    @Test func ofOurLogWithoutARecordIsAnOrphan() {
        let branch = Recovery.branch(at: Self.db1, epoch: 1)
        let plan = Recovery.plan(observations: [Self.db1: Recovery.seen(prepared: [branch])])
        #expect(plan.strays.map(\.verdict) == [.orphan])
        #expect(!plan.hasWork, "it is kept until proof or an order resolves it")
        #expect(plan.hasRemainder)
    }

    @Test func ofAnUnfinishedTransactionIsNoStray() {
        let plan = Recovery.plan(
            active: [Samples.active(Self.two)],
            observations: [
                Self.db1: Recovery.seen(prepared: [Recovery.branch(at: Self.db1, epoch: 1)]),
                Self.db2: Recovery.seen(prepared: [Recovery.branch(at: Self.db2, epoch: 1)]),
            ])
        #expect(plan.strays.isEmpty)
    }

    @Test func ofAnEndedTransactionIsCarriedOutAgain() throws {
        for decision in [Samples.commit(Self.two), Samples.abort(Self.two)] {
            let ended = Self.ended(decision)
            let plan = Recovery.plan(
                observations: [
                    Self.db1: Recovery.seen(),
                    Self.db2: Recovery.seen(prepared: [Recovery.branch(at: Self.db2, epoch: 1)]),
                ], history: [Samples.transaction: ended])
            let stray = try #require(plan.strays.first)
            #expect(plan.strays.count == 1)
            #expect(stray.seenFrom == Self.db2)
            guard case .preparedAgain(let again) = stray.verdict else {
                Issue.record("judged as \(stray.verdict)")
                continue
            }
            #expect(again.decision == decision)
            #expect(Set(again.acknowledged.keys) == [.clearing, .database(Self.db1)])
            #expect(plan.hasWork)
            // The machine tells that database alone; client and network have heard all they will hear.
            let (_, effects) = TransactionMachine.resume(
                again, timing: Samples.timing, now: WallTime(microseconds: 0))
            let told = effects.compactMap { effect -> Participant? in
                if case .resolve(let order, _) = effect { order.branch.participant } else { nil }
            }
            #expect(told == [.database(Self.db2)])
        }
    }

    /// Two databases of one cluster list each other's branches. The one that the branch names is the one to be told.
    @Test func aClusterWithBothDatabasesShowsABranchOnce() throws {
        let listed = [Recovery.branch(at: Self.db1, epoch: 1), Recovery.branch(at: Self.db2, epoch: 1)]
        let plan = Recovery.plan(
            observations: [Self.db1: Recovery.seen(prepared: listed), Self.db2: Recovery.seen(prepared: listed)],
            history: [Samples.transaction: Self.ended(Samples.commit(Self.two))])
        #expect(plan.strays.map(\.seenFrom) == [Self.db1, Self.db2])
        for stray in plan.strays {
            guard case .preparedAgain(let again) = stray.verdict else {
                Issue.record("judged as \(stray.verdict)")
                continue
            }
            #expect(Set(again.acknowledged.keys) == [.clearing], "both have gone back, whichever is carried out first")
        }
    }

    /// A branch that the ended transaction never had is not ours to resolve by its decision.
    @Test func aBranchThatTheHistoryDoesNotHaveIsAnOrphan() {
        for stranger in [Recovery.branch(at: Self.db1, epoch: 2), Recovery.branch(at: Samples.database(3), epoch: 1)] {
            let plan = Recovery.plan(
                observations: [Self.db1: Recovery.seen(prepared: [stranger])],
                history: [Samples.transaction: Self.ended(Samples.commit(Self.two))])
            #expect(plan.strays.map(\.verdict) == [.orphan])
        }
    }

    @Test func withoutADecisionInTheHistoryItIsAnOrphan() {
        let branch = Recovery.branch(at: Self.db1, epoch: 1)
        let plan = Recovery.plan(
            observations: [Self.db1: Recovery.seen(prepared: [branch])],
            history: [Samples.transaction: Samples.active(Self.two)])
        #expect(plan.strays.map(\.verdict) == [.orphan])
    }

    @Test func anUnreachableDatabaseShowsNothing() {
        let plan = Recovery.plan(observations: [Self.db1: .unreachable("connection refused")])
        #expect(plan.strays.isEmpty)
    }
}

extension GlobalBranchIDTests {
    static let otherLog = Recovery.branch(at: Samples.database(1), epoch: 1, log: LogID(high: 1, low: 1)).gid
}
