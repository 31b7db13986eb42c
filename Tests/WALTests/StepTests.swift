import Coordinator
import Payments
import Testing

@testable import WAL

@Suite("Steps: what each one changes, and when it is refused")
struct StepTests {
    private func request(_ number: UInt64) -> RequestID { Sample.intent(number).requestID }

    /// Goal: a BEGIN claims its request_id and is active; the receipt carries the record, its position and its time.
    @Test func beginClaimsTheRequest() async throws {
        let test = try TestLog()
        let receipt = try await test.take(.begin(Sample.begin(1))).get()
        guard case .begun(let begun) = receipt else {
            Issue.record("a BEGIN is answered with \(receipt)")
            return
        }
        #expect(begun.record == Sample.begin(1))
        // The first record is the server's start.
        #expect(begun.lsn == LSN(rawValue: 2))
        #expect(begun.writtenAt == Sample.startedAt)
        let entry = try test.log.lookUp(request(1))
        #expect(entry == RequestEntry(transaction: Sample.transaction(1), intent: Sample.intent(1), status: .preparing))
        let snapshot = try test.log.snapshot()
        #expect(snapshot.active.map(\.begin) == [begun])
        #expect(snapshot.active.map(\.decision) == [.undecided])
        #expect(snapshot.nextLSN == LSN(rawValue: 3))
        test.log.close()
    }

    /// Goal: one request_id, one transaction: a second BEGIN is shown the first one's entry and writes nothing.
    @Test func secondBeginIsShownTheFirst() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        let second = BeginRecord(
            transaction: Sample.transaction(2), epoch: Epoch(rawValue: 1), intent: Sample.intent(1),
            branches: Sample.branches, deadline: Sample.startedAt)
        let refusal = await test.take(.begin(second)).refusal
        let first = RequestEntry(transaction: Sample.transaction(1), intent: Sample.intent(1), status: .preparing)
        #expect(refusal == .requestClaimed(first))
        #expect(try test.log.snapshot().active.map(\.transaction) == [Sample.transaction(1)])
        #expect(try test.log.snapshot().nextLSN == LSN(rawValue: 3))
        test.log.close()
    }

    /// Goal: a transaction can begin only once, whatever request_id it comes with.
    @Test func transactionBeginsOnce() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        let again = await test.take(.begin(Sample.begin(1, request: "another")))
        #expect(!again.isTaken)
        #expect(try test.log.snapshot().active.map(\.begin.record) == [Sample.begin(1)])
        test.log.close()
    }

    /// Goal: the decision is written once. Whoever comes second is shown the first decision, in either order.
    @Test func decisionIsWriteOnce() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .begin(Sample.begin(2)))
        guard case .committing(let commit) = try await test.take(.commit(Sample.commit(1))).get(),
            case .aborting(let abort) = try await test.take(.abort(Sample.abort(2))).get()
        else {
            Issue.record("the decisions have receipts of their kinds")
            return
        }
        #expect(await test.take(.abort(Sample.abort(1))).refusal == .alreadyDecided(.commit(commit)))
        #expect(await test.take(.commit(Sample.commit(1))).refusal == .alreadyDecided(.commit(commit)))
        #expect(await test.take(.commit(Sample.commit(2))).refusal == .alreadyDecided(.abort(abort)))
        #expect(try test.log.snapshot().reversals.map(\.transaction) == [Sample.transaction(2)])
        test.log.close()
    }

    /// Goal: with both decisions in one batch the first in the order of the calls wins, though neither is durable yet.
    @Test func decisionsRaceWithinABatch() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        let answers = await test.takeTogether([.commit(Sample.commit(1)), .abort(Sample.abort(1))])
        #expect(answers.map(\.isTaken) == [true, false])
        #expect(try test.log.lookUp(request(1))?.status == .committing)
        #expect(try test.log.snapshot().reversals.isEmpty)
        test.log.close()
    }

    /// Goal: a payment's whole life, as the request's entry and the active state show it.
    @Test func committedLife() async throws {
        let test = try TestLog()
        let database = Participant.database(DatabaseIndex(rawValue: 1))
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)))
        #expect(try test.log.lookUp(request(1))?.status == .committing)
        try await test.takeAll(.acknowledged(Sample.acknowledged(1, database)), .acknowledged(Sample.acknowledged(1)))
        #expect(
            try test.log.snapshot().active.first?.acknowledged
                == [database: .acknowledgement, .clearing: .acknowledgement])
        try await test.takeAll(.end(Sample.end(1, .committed)))
        #expect(try test.log.lookUp(request(1))?.status == .approved)
        #expect(try test.log.snapshot().active.isEmpty)
        #expect(await test.take(.end(Sample.end(1, .committed))).refusal == .notActive(Sample.transaction(1)))
        let history = try test.log.history(of: Sample.transaction(1))
        #expect(history.map(\.lsn.rawValue) == [2, 3, 4, 5, 6])
        #expect(history.last?.record == .end(Sample.end(1, .committed)))
        test.log.close()
    }

    /// Goal: what nobody can have done yet is not acknowledged: the history would say it before the decision.
    @Test func nothingIsAcknowledgedBeforeTheDecision() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        let early = await test.take(.acknowledged(Sample.acknowledged(1)))
        #expect(early == .failure(.notActive(Sample.transaction(1))))
        try await test.takeAll(.commit(Sample.commit(1)), .acknowledged(Sample.acknowledged(1)))
        test.log.close()
    }

    /// Goal: the three things that an abort may mean for the request_id.
    @Test func abortSettlesTheClaim() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .begin(Sample.begin(2)), .begin(Sample.begin(3)))
        let other = Sample.transaction(99)
        try await test.takeAll(
            .abort(Sample.abort(1, claim: .declined)), .abort(Sample.abort(2, claim: .released)),
            .abort(Sample.abort(3, claim: .madeBy(other))))
        #expect(try test.log.lookUp(request(1))?.status == .declined(.clearingDeclined))
        #expect(try test.log.lookUp(request(2)) == nil)
        #expect(try test.log.lookUp(request(3))?.status == .madeBy(other))
        // The ends of aborted transactions leave the answers as they are.
        try await test.takeAll(.end(Sample.end(1, .aborted)), .end(Sample.end(3, .aborted)))
        #expect(try test.log.lookUp(request(1))?.status == .declined(.clearingDeclined))
        #expect(try test.log.lookUp(request(3))?.status == .madeBy(other))
        test.log.close()
    }

    /// Goal: a released request_id belongs to who claims it next; what the first transaction does later changes nothing
    /// of that.
    @Test func releasedClaimIsNotTakenBack() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .abort(Sample.abort(1, claim: .released)))
        let next = BeginRecord(
            transaction: Sample.transaction(2), epoch: Epoch(rawValue: 1), intent: Sample.intent(1),
            branches: Sample.branches, deadline: Sample.startedAt)
        try await test.takeAll(.begin(next), .commit(Sample.commit(2)), .park(Sample.park(1)))
        try await test.takeAll(.end(Sample.end(1, .aborted)))
        let entry = try test.log.lookUp(request(1))
        #expect(entry?.transaction == Sample.transaction(2))
        #expect(entry?.status == .committing)
        test.log.close()
    }

    /// Goal: what waits for an operator stands for its request_id again, though its abort had given it up, unless another has claimed it
    /// since; so does what an order makes of it.
    @Test(arguments: [Outcome.committed, .aborted])
    func parkingRetakesAReleasedClaim(outcome: Outcome) async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .abort(Sample.abort(1, claim: .released)))
        #expect(try test.log.lookUp(request(1)) == nil)
        try await test.takeAll(.park(Sample.park(1)))
        #expect(try test.log.lookUp(request(1))?.status == .heuristic)
        try await test.takeAll(
            .resolve(Sample.resolution(1, outcome, isForced: true), needsTwoPersons: false))
        #expect(try test.log.lookUp(request(1))?.status == (outcome == .committed ? .committing : nil))
        try await test.takeAll(.end(Sample.end(1, outcome)))
        #expect(try test.log.lookUp(request(1))?.status == (outcome == .committed ? .approved : nil))
        test.log.close()
    }

    /// Goal: parking keeps the transaction and shows it as heuristic; again with new evidence; and its end says what it
    /// became.
    @Test func parkingAndItsEnd() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)), .park(Sample.park(1)))
        #expect(try test.log.lookUp(request(1))?.status == .heuristic)
        guard case .parked(let again) = try await test.take(.park(Sample.park(1, evidence: "and again"))).get() else {
            Issue.record("a parking has a receipt of its kind")
            return
        }
        #expect(try test.log.snapshot().active.first?.parkings == [again])
        try await test.takeAll(.end(Sample.end(1, .committed)))
        #expect(try test.log.lookUp(request(1))?.status == .approved)

        // A refusal that was heuristic for a while is a refusal again once an operator has settled it.
        try await test.takeAll(.begin(Sample.begin(2)), .abort(Sample.abort(2)), .park(Sample.park(2)))
        #expect(try test.log.lookUp(request(2))?.status == .heuristic)
        try await test.takeAll(.end(Sample.end(2, .aborted)))
        #expect(try test.log.lookUp(request(2))?.status == .declined(.clearingDeclined))

        // A commit that an operator had to end as aborted stays heuristic: the client was told otherwise.
        try await test.takeAll(.begin(Sample.begin(3)), .commit(Sample.commit(3)), .park(Sample.park(3)))
        try await test.takeAll(.end(Sample.end(3, .aborted)))
        #expect(try test.log.lookUp(request(3))?.status == .heuristic)
        test.log.close()
    }

    /// Goal: an undecided transaction cannot be forgotten.
    @Test func undecidedCannotEnd() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        #expect(await test.take(.end(Sample.end(1, .aborted))).refusal == .notActive(Sample.transaction(1)))
        #expect(try test.log.snapshot().active.count == 1)
        test.log.close()
    }

    /// Goal: a reversal is stored with its abort, keeps its count and its parking, outlives the transaction, and goes
    /// only when closed.
    @Test func reversalLife() async throws {
        let test = try TestLog()
        let id = Sample.transaction(1)
        try await test.takeAll(.begin(Sample.begin(1)), .abort(Sample.abort(1)), .end(Sample.end(1, .aborted)))
        try await test.takeAll(
            .reversalRefused(ReversalRefusedRecord(transaction: id, refusals: 3, reason: "unknown terminal")))
        var expected = Sample.reversal(1)
        expected.refusals = 3
        #expect(try test.log.snapshot().reversals == [expected])
        try await test.takeAll(.parkReversal(ReversalParkedRecord(transaction: id, reason: "too many refusals")))
        expected.parkedReason = "too many refusals"
        #expect(try test.log.snapshot().reversals == [expected])
        try await test.takeAll(.closeReversal(ReversalClosedRecord(transaction: id)))
        #expect(try test.log.snapshot().reversals.isEmpty)
        test.log.close()
    }

    /// Goal: steps on what is not there are refused by name and leave nothing, not even a record.
    @Test func stepsOnNothingAreRefused() async throws {
        let test = try TestLog()
        let id = Sample.transaction(1)
        let before = try test.log.snapshot().nextLSN
        let commits = test.log.statistics.commits
        for write: LogWrite in [
            .commit(Sample.commit(1)), .abort(Sample.abort(1)), .acknowledged(Sample.acknowledged(1)),
            .end(Sample.end(1, .committed)), .park(Sample.park(1)),
        ] {
            #expect(await test.take(write).refusal == .notActive(id))
        }
        for write: LogWrite in [
            .closeReversal(ReversalClosedRecord(transaction: id)),
            .parkReversal(ReversalParkedRecord(transaction: id, reason: "none")),
            .reversalRefused(ReversalRefusedRecord(transaction: id, refusals: 1, reason: "none")),
        ] {
            #expect(await test.take(write).refusal == .noReversal(id))
        }
        #expect(try test.log.snapshot().nextLSN == before)
        #expect(test.log.statistics.commits == commits)
        #expect(test.log.statistics.refusals == 8)
        test.log.close()
    }

    /// Goal: for each database the log keeps the confirmed pair and what was attempted since; a confirmation settles
    /// the attempts, which are remembered: each may have been there when a copy of the database was taken.
    @Test func fences() async throws {
        let test = try TestLog()
        let database = DatabaseIndex(rawValue: 3)
        let pairs = (1...3).map {
            FencePair(epoch: Epoch(rawValue: $0), incarnation: Incarnation(rawValue: 100 + $0))
        }
        let identity = DatabaseIdentity(systemIdentifier: 7_000_000_000_000_000_001, databaseOID: 16_384)
        try await test.takeAll(.fenceAttempted(database, pairs[0]), .fenceAttempted(database, pairs[0]))
        #expect(
            try test.log.snapshot().fences
                == [DatabaseFence(database: database, identity: nil, confirmed: nil, attempted: [pairs[0]])])
        try await test.takeAll(.fenceConfirmed(database, identity, pairs[0]))
        try await test.takeAll(.fenceAttempted(database, pairs[1]), .fenceAttempted(database, pairs[2]))
        #expect(
            try test.log.snapshot().fences
                == [
                    DatabaseFence(
                        database: database, identity: identity, confirmed: pairs[0], attempted: Array(pairs[1...]))
                ])
        try await test.takeAll(.fenceConfirmed(database, identity, pairs[2]))
        #expect(
            try test.log.snapshot().fences
                == [
                    DatabaseFence(
                        database: database, identity: identity, confirmed: pairs[2], former: Array(pairs[..<2]))
                ])
        test.log.close()
    }
}
