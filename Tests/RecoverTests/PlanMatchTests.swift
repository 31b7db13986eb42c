import Coordinator
import Foundation
import Testing

@testable import recover

/// A plan in a file is carried out as far as the world is still as it was, entry by entry.
@Suite struct PlanMatchTests {
    private func kept(_ match: PlanMatch) -> [UInt64] { match.plan.transactions.map(\.transaction.transaction.high) }

    @Test("Goal: in a world that did not change the whole plan is carried out")
    func unchanged() throws {
        let plan = Samples.plan(
            [Samples.undecided(1), Samples.committing(2)], reversals: [Samples.reversal(3)],
            at: Samples.seen([Samples.branch(1), Samples.branch(2)]))
        // As it comes back from the file.
        let file = try PlanDocument(json: Data(try Samples.document(plan).json.utf8))
        #expect(file == Samples.document(plan))
        let match = PlanMatch(file, now: plan)
        #expect(match.plan == plan)
        #expect(match.refused.isEmpty && !match.leavesOthers)
    }

    @Test("Goal: what changed is refused with what it was and is, the rest is carried out")
    func oneChanged() throws {
        let active = [Samples.undecided(1), Samples.undecided(2)]
        let file = Samples.document(Samples.plan(active, at: Samples.seen([Samples.branch(1), Samples.branch(2)])))
        let now = Samples.plan(
            active, at: Samples.seen([Samples.branch(2)], witnessed: [Samples.transaction(1)]))
        let match = PlanMatch(file, now: now)
        #expect(kept(match) == [2])
        let refusal = try #require(match.refused.first)
        #expect(match.refused.count == 1 && refusal.entry == Samples.transaction(1).description)
        #expect(refusal.why.contains("db1 was prepared, is committed"), "\(refusal)")
        #expect(refusal.why.contains("the verdict was presume_abort, is park_contradiction"), "\(refusal)")
        #expect(match.leavesOthers)
    }

    @Test("Goal: what was decided or ended since, or judged in another log, is refused")
    func decidedEndedOtherLog() {
        let at = Samples.seen([Samples.branch(1)])
        let file = Samples.document(Samples.plan([Samples.undecided(1)], at: at))
        let decided = PlanMatch(file, now: Samples.plan([Samples.committing(1)], at: at))
        #expect(kept(decided).isEmpty)
        #expect(decided.refused.first?.why.contains("the decision was undecided, is commit") == true)
        let ended = PlanMatch(file, now: Samples.plan([]))
        #expect(kept(ended).isEmpty && ended.refused.count == 1 && !ended.leavesOthers)
        let other = PlanMatch(file, now: Samples.plan([Samples.undecided(1)], at: at, log: LogID(high: 1, low: 1)))
        #expect(kept(other).isEmpty && other.refused.count == 1)
    }

    @Test("Goal: a database that could not be asked then and can be now is a change, and the other way round")
    func reachability() {
        let away = DatabaseObservation.State.unreachable("connection refused")
        let active = [Samples.undecided(1)]
        let there = Samples.seen([Samples.branch(1)])
        #expect(
            kept(PlanMatch(Samples.document(Samples.plan(active, at: away)), now: Samples.plan(active, at: there)))
                == [])
        #expect(
            kept(PlanMatch(Samples.document(Samples.plan(active, at: there)), now: Samples.plan(active, at: away)))
                == [])
        // For what reason it cannot be asked is nothing that the judgement rests on.
        let otherwise = DatabaseObservation.State.unreachable("timeout")
        #expect(
            kept(PlanMatch(Samples.document(Samples.plan(active, at: away)), now: Samples.plan(active, at: otherwise)))
                == [1])
    }

    @Test("Goal: that the dead server's backends are gone by now is no change; that a branch has appeared is one")
    func lateBranch() {
        let active = [Samples.undecided(1)]
        let file = Samples.document(Samples.plan(active, at: Samples.seen(backends: true)))
        #expect(kept(PlanMatch(file, now: Samples.plan(active, at: Samples.seen()))) == [1])
        #expect(kept(PlanMatch(file, now: Samples.plan(active, at: Samples.seen([Samples.branch(1)])))) == [])
        // With a decision to commit it is: then a branch that is gone for good changes the verdict.
        let commit = [Samples.committing(1)]
        let committing = Samples.document(Samples.plan(commit, at: Samples.seen(backends: true)))
        #expect(kept(PlanMatch(committing, now: Samples.plan(commit, at: Samples.seen()))) == [])
    }

    @Test("Goal: what is not in the file is left alone, and that is known")
    func others() {
        let at = Samples.seen([Samples.branch(1), Samples.branch(2)])
        let both = Samples.plan([Samples.undecided(1), Samples.undecided(2)], reversals: [Samples.reversal(3)], at: at)
        let selected = both.filtered(PlanSelection(only: [Samples.transaction(1)]))
        let match = PlanMatch(Samples.document(selected), now: both)
        #expect(kept(match) == [1] && match.plan.reversals.isEmpty)
        #expect(match.refused.isEmpty && match.leavesOthers)
    }

    @Test("Goal: a reversal that was refused again or acknowledged since is refused")
    func reversals() {
        let file = Samples.document(Samples.plan([], reversals: [Samples.reversal(1), Samples.reversal(2)]))
        let match = PlanMatch(file, now: Samples.plan([], reversals: [Samples.reversal(2, refusals: 1)]))
        #expect(match.plan.reversals.isEmpty)
        #expect(match.refused.map(\.entry).sorted() == [UInt64(1), 2].map { "reversal of \(Samples.transaction($0))" })
    }

    @Test("Goal: a branch that is prepared again is carried out only while it is listed")
    func preparedAgain() {
        var ended = Samples.committing(1)
        ended.acknowledged = [.clearing: .acknowledgement, .database(Samples.db1): .acknowledgement]
        let history = [ended.transaction: ended]
        let plan = Samples.plan([], at: Samples.seen([Samples.branch(1)]), history: history)
        let file = Samples.document(plan)
        #expect(PlanMatch(file, now: plan).plan.strays.count == 1)
        let gone = PlanMatch(file, now: Samples.plan([], history: history))
        #expect(gone.plan.strays.isEmpty && gone.refused.count == 1)
    }

    @Test("Goal: the fingerprint is the same for the same, and changes with each thing that was judged from")
    func fingerprints() {
        func print(_ active: ActiveTransaction, _ state: DatabaseObservation.State, log: LogID = Samples.log) -> String?
        {
            Samples.document(Samples.plan([active], at: state, log: log)).transactions.first?.fingerprint
        }
        let prepared = Samples.seen([Samples.branch(1)])
        let base = print(Samples.undecided(1), prepared)
        #expect(base == print(Samples.undecided(1), prepared) && base?.count == 16)
        let others = [
            print(Samples.undecided(2), prepared), print(Samples.committing(1), prepared),
            print(Samples.undecided(1), Samples.seen()),
            print(Samples.undecided(1), Samples.seen(witnessed: [Samples.transaction(1)])),
            print(Samples.undecided(1), prepared, log: LogID(high: 1, low: 1)),
        ]
        #expect(Set(others + [base]).count == others.count + 1)
    }
}
