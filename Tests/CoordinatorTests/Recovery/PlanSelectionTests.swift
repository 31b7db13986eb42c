import Coordinator
import Testing

/// A part of a plan is what was selected and nothing else.
@Suite struct PlanSelectionTests {
    private static let db1 = Samples.database(1)

    /// Three unfinished transactions, begun at 10, 20 and 30 seconds, the second aborted with an open reversal; a reversal of one that
    /// has ended; a branch prepared again, an orphan and a foreign one.
    private static let plan: RecoveryPlan = {
        let begins = [1, 2, 3].map { Samples.begin(Samples.transactionID($0)) }
        let reversal = Samples.reversal(Samples.transactionID(2), createdAt: 90_000_000)
        let active = [
            timed(begins[0], .undecided, seconds: 10),
            timed(begins[1], Samples.abort(begins[1], reversal: reversal), seconds: 20),
            timed(begins[2], Samples.commit(begins[2]), seconds: 30),
        ]
        let ended = timed(
            Samples.begin(Samples.transactionID(5)), Samples.commit(Samples.begin(Samples.transactionID(5))), seconds: 5
        )
        return Recovery.plan(
            active: active,
            reversals: [reversal, Samples.reversal(Samples.transactionID(4), createdAt: 40_000_000)],
            observations: [
                db1: Recovery.seen(prepared: [
                    Recovery.branch(at: db1, epoch: 1, of: Samples.transactionID(5)),
                    Recovery.branch(at: db1, epoch: 1, of: Samples.transactionID(6)),
                    Recovery.prepared("somebody-elses"),
                ]),
                Samples.database(2): .unreachable("connection refused"),
            ], history: [ended.transaction: ended])
    }()

    private static func timed(
        _ begin: BeginRecord, _ decision: ActiveTransaction.Decision, seconds: Int64
    ) -> ActiveTransaction {
        ActiveTransaction(
            begin: Durable(
                attestedByLog: begin, lsn: LSN(rawValue: UInt64(seconds)),
                writtenAt: WallTime(microseconds: seconds * 1_000_000)),
            decision: decision, acknowledged: [:])
    }

    private static func numbers(_ plan: RecoveryPlan) -> [UInt64] {
        plan.transactions.map(\.transaction.transaction.high)
    }
    private static func reversals(_ plan: RecoveryPlan) -> [UInt64] { plan.reversals.map(\.transaction.high) }
    private static func strays(_ plan: RecoveryPlan) -> [UInt64?] {
        plan.strays.map { GlobalBranchID($0.prepared.gid)?.transaction.high }
    }

    @Test("Goal: a selection of nothing in particular is the whole plan")
    func everything() {
        #expect(Self.plan.filtered(PlanSelection()) == Self.plan)
        #expect(Self.plan.filtered(PlanSelection(begunUntil: WallTime(microseconds: .max))) == Self.plan)
    }

    @Test("Goal: named transactions are taken with their reversals and branches, others and strangers are not")
    func only() {
        let second = Self.plan.filtered(PlanSelection(only: [Samples.transactionID(2)]))
        #expect(Self.numbers(second) == [2] && Self.reversals(second) == [2] && second.strays.isEmpty)
        let ended = Self.plan.filtered(PlanSelection(only: [Samples.transactionID(4), Samples.transactionID(5)]))
        #expect(Self.numbers(ended).isEmpty && Self.reversals(ended) == [4] && Self.strays(ended) == [5])
        let orphan = Self.plan.filtered(PlanSelection(only: [Samples.transactionID(6)]))
        #expect(Self.strays(orphan) == [6] && !orphan.hasWork && orphan.hasRemainder)
        let unknown = Self.plan.filtered(PlanSelection(only: [Samples.transactionID(99)]))
        #expect(!unknown.hasWork && !unknown.hasRemainder && unknown.strays.isEmpty)
        let none = Self.plan.filtered(PlanSelection(only: []))
        #expect(none.transactions.isEmpty && none.reversals.isEmpty && none.strays.isEmpty)
    }

    @Test("Goal: an age is counted from BEGIN, a reversal goes with its unfinished transaction and else by its abort")
    func age() {
        func until(_ seconds: Int64) -> RecoveryPlan {
            Self.plan.filtered(PlanSelection(begunUntil: WallTime(microseconds: seconds * 1_000_000)))
        }
        #expect(Self.numbers(until(9)).isEmpty)
        #expect(Self.numbers(until(10)) == [1], "the limit itself is old enough")
        #expect(Self.numbers(until(20)) == [1, 2] && Self.reversals(until(20)) == [2])
        #expect(Self.reversals(until(40)) == [4, 2])
        // The branch that is prepared again is as old as its transaction; what has no record is as old as its PREPARE (0 here).
        #expect(Self.strays(until(4)) == [nil, 6])
        #expect(Self.strays(until(5)).count == 3)
    }

    @Test("Goal: both conditions must hold, and databases that could not be asked stay named")
    func bothAndUnreachable() {
        let selection = PlanSelection(
            only: [Samples.transactionID(1), Samples.transactionID(3)], begunUntil: WallTime(microseconds: 10_000_000))
        let part = Self.plan.filtered(selection)
        #expect(Self.numbers(part) == [1])
        #expect(part.unreachable == [Samples.database(2): "connection refused"])
        #expect(part.log == Samples.log)
    }
}
