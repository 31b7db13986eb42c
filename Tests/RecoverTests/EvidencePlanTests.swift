import Coordinator
import Foundation
import Testing

@testable import recover

/// Plans of a log that has lost its tail: evidence decides, and a plan file holds what the evidence was.
@Suite struct EvidencePlanTests {
    private static let prepared = Samples.seen([Samples.branch(1)])

    private static func plan(_ status: ClearingStatus?) -> RecoveryPlan {
        Samples.brokenPlan([Samples.undecided(1)], at: prepared, says: status.map { [1: $0] } ?? [:])
    }

    private static func text(_ plan: RecoveryPlan) -> String {
        PlanReport(plan: plan, now: WallTime(microseconds: 60_000_000)).text(for: .none)
    }

    @Test("Goal: the network's word is in the file and in the fingerprint, and another word is refused")
    func networksWord() throws {
        let held = Samples.document(Self.plan(.held))
        #expect(held.transactions.map(\.networkStatus) == ["held"])
        #expect(held.transactions.map(\.verdict) == ["abort_on_evidence"])
        let released = Samples.document(Self.plan(.released))
        #expect(released.transactions.map(\.verdict) == ["abort_on_evidence"])
        #expect(held.transactions.map(\.fingerprint) != released.transactions.map(\.fingerprint))

        let file = try PlanDocument(json: Data(try held.json.utf8))
        #expect(file == held)
        #expect(PlanMatch(file, now: Self.plan(.held)).plan.transactions.count == 1)
        let other = PlanMatch(file, now: Self.plan(.released))
        #expect(other.plan.transactions.isEmpty)
        #expect(
            other.refused.map(\.why) == ["the network's word was held, is released"], "\(other.refused)")
        // Why it does not answer is nothing that a judgement rests on.
        let silent = [ClearingStatus.unreachable("refused"), .unreachable("timeout")].map {
            Samples.document(Self.plan($0)).transactions.map(\.fingerprint)
        }
        #expect(silent[0] == silent[1])
    }

    @Test("Goal: a network that was asked and did not answer is known, and one that was not asked is not silent")
    func silence() {
        #expect(Self.plan(.unreachable("connection refused")).networkSilence == "connection refused")
        #expect(Self.plan(.held).networkSilence == nil && Self.plan(nil).networkSilence == nil)
        let lost = Samples.brokenPlan(lost: [Samples.lost(2, says: .unreachable("timeout"))])
        #expect(lost.networkSilence == "timeout" && lost.awaitsEvidence)
        #expect(!Samples.plan([Samples.undecided(1)], at: Self.prepared).awaitsEvidence)
        // What was left out of the plan was not asked for.
        let other = Self.plan(.unreachable("timeout")).filtered(PlanSelection(only: [Samples.transaction(7)]))
        #expect(other.networkSilence == nil)
    }

    @Test("Goal: lost transactions are told with what was found of them, and only adoptions are carried out")
    func lost() throws {
        let plan = Samples.brokenPlan(lost: [
            Samples.lost(1, says: .released), Samples.lost(2, says: .settled), Samples.lost(3, says: nil),
        ])
        let document = Samples.document(plan)
        let entries = try #require(document.lost)
        #expect(entries.map(\.verdict) == ["adopt_abort", "contradiction", "await_evidence"])
        #expect(entries.map(\.isCarriedOut) == [true, false, false])
        #expect(entries.map(\.networkStatus) == ["released", "settled", nil])
        let text = Self.text(plan)
        #expect(text.contains("says released") && text.contains("not asked") && text.contains("adopt_abort"), "\(text)")

        let file = try PlanDocument(json: Data(try document.json.utf8))
        #expect(file == document)
        #expect(PlanMatch(file, now: plan).plan.adoptions.map(\.found.transaction) == [Samples.transaction(1)])
        let said = Samples.brokenPlan(lost: [Samples.lost(1, says: .tombstone)])
        #expect(
            PlanMatch(file, now: said).refused.map(\.why) == ["the network's word was released, is tombstone"])
        #expect(PlanMatch(file, now: Samples.brokenPlan()).refused.count == 1)
    }

    @Test("Goal: the whole plan makes the log whole, a part of it never does, and the report says which it is")
    func settling() {
        let whole = Self.plan(.held)
        #expect(whole.settlesContinuity && Self.text(whole).hasSuffix("after this plan the log is whole."))
        let part = whole.filtered(PlanSelection(only: [Samples.transaction(1)]))
        #expect(!part.settlesContinuity && !PlanMatch(Samples.document(whole), now: whole).plan.settlesContinuity)
        #expect(Self.text(part).hasSuffix("when a plan with all of it has been carried out."), "\(Self.text(part))")
        #expect(Self.text(Self.plan(.unreachable("timeout"))).hasSuffix("look again later."))
    }

    @Test("Goal: the schema's page has every key of a lost transaction and of evidence, and every verdict's code")
    func page() throws {
        let plan = Samples.brokenPlan(
            [Samples.undecided(1)], at: Self.prepared, says: [1: .held], lost: [Samples.lost(2, says: .held)])
        let object = try JSONSerialization.jsonObject(with: Data(try Samples.document(plan).json.utf8))
        let document = try #require(object as? [String: Any])
        let page = try SchemaPage.keys()
        for list in ["transactions", "lost"] {
            let entry = try #require((document[list] as? [[String: Any]])?.first)
            #expect(Set(entry.keys).subtracting(page).isEmpty, "\(Set(entry.keys).subtracting(page))")
            #expect(entry["network_status"] as? String == "held")
        }
        let text = try SchemaPage.text()
        let codes: [TransactionVerdict.Verdict] = [
            .inFlight, .presumeAbort, .parkContradiction, .commit, .parkRolledBack, .rollBack, .commitOnEvidence,
            .abortOnEvidence, .awaitEvidence, .parked,
        ]
        for code in codes.map(\.code) + AdoptionVerdict.adoptingCodes + ["contradiction"] {
            #expect(text.contains("`\(code)`"), "\(code)")
        }
    }
}
