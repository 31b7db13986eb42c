import Coordinator
import Runtime
import Telemetry
import Testing

/// A log that has no room, or another answer than expected, in the middle of a payment.
@Suite struct LogPressureTests {
    /// Goal: a decision that finds no room is tried until it is written; the client hears nothing until then.
    @Test(arguments: [true, false])
    func aDecisionIsTriedUntilItIsWritten(commits: Bool) async throws {
        let world = World { $0.inFlightMax = 1 }
        if !commits { world.clearing.votes.answer(.unknown("silence")) }
        world.log.refuseAsFull { $0.isCommit || $0.isAbort }
        let ticket = world.submit("r1")
        let refused = commits ? "refused COMMIT" : "refused ABORT with reversal"
        try await eventually("the decision was tried three times") { world.trace.count(refused) >= 3 }
        #expect(!ticket.isAnswered && world.clearing.reversals.orders.isEmpty)
        #expect(world.database.resolutions.orders.isEmpty)
        #expect(await world.gauges().undecided == 1)

        world.log.refuseAsFull { _ in false }
        #expect(try await ticket.reply().answer.text == (commits ? "APPROVED" : "DECLINED clearing_unavailable"))
        try await world.idle()
        #expect(await world.gauges().undecided == 0)
    }

    /// Goal: an END that finds no room is not left out.
    @Test func anEndIsTriedUntilItIsWritten() async throws {
        let world = World()
        world.log.refuseAsFull(\.isEnd)
        #expect(try await world.pay("r1").answer.text == "APPROVED")
        try await eventually("END was tried twice") { world.trace.count("refused END committed") >= 2 }
        #expect(await world.gauges().unfinished == 1)
        world.log.refuseAsFull { _ in false }
        try await world.idle()
        #expect(world.log.active.isEmpty)
    }

    /// Goal: the end of a reversal that finds no room is written when there is room, not at the next start.
    @Test func theEndOfAReversalIsTriedUntilItIsWritten() async throws {
        let world = World()
        world.clearing.votes.answer(.unknown("silence"))
        world.log.refuseAsFull { if case .closeReversal = $0 { true } else { false } }
        #expect(try await world.pay("r1").answer.text == "DECLINED clearing_unavailable")
        try await eventually("the closing was tried twice") { world.trace.count("refused CLOSE REVERSAL") >= 2 }
        #expect(world.log.reversals.count == 1)
        world.log.refuseAsFull { _ in false }
        try await eventually("the reversal is closed in the log") { world.log.reversals.isEmpty }
        // What the network has acknowledged is not sent again for it.
        #expect(world.clearing.reversals.orders.count == 1)
    }

    /// Goal: a decision that somebody else wrote first is the one carried out, and its place goes to the next.
    @Test func aDecisionThatIsTakenIsTheOneCarriedOut() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.log.hold(\.isCommit)
        let ticket = world.submit("r1")
        let next = world.submit("r2")
        try await world.settle()
        let begin = try #require(world.log.active.first?.begin.record)
        let task = ReversalTask(
            transaction: begin.transaction, intent: begin.intent, createdAt: WallTime(microseconds: 0))
        let abort = AbortRecord(
            transaction: begin.transaction, reason: .commitFailed, claim: .declined, reversal: task)
        _ = try world.log.write(.abort(abort)).get()
        world.log.release()

        #expect(try await ticket.reply().answer.text == "DECLINED commit_failed")
        #expect(try await next.reply().answer.text == "APPROVED")
        try await world.idle()
        #expect(world.database.resolutions.orders.map(\.decision) == [.aborted, .committed])
        #expect(world.clearing.reversals.orders.map(\.transaction) == [begin.transaction])
        #expect(await world.gauges().undecided == 0)
    }

    /// Goal: a transaction whose record was set aside as damaged cannot be decided: PENDING, shown to operators, and out of the way.
    @Test func aLostRecordWaitsForAnOperator() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.log.hold(\.isCommit)
        let ticket = world.submit("r1")
        let next = world.submit("r2")
        try await world.settle()
        world.log.lose(try #require(world.log.active.first?.transaction))
        world.log.release()

        #expect(try await ticket.reply().answer.text == "PENDING")
        #expect(try await next.reply().answer.text == "APPROVED")
        try await world.idle()
        let gauges = await world.gauges()
        #expect(gauges.undecided == 0 && gauges.parked == 1 && gauges.unfinished == 1)
        #expect(try await world.status("r1")?.state == .heuristic)
        #expect(world.database.resolutions.orders.count == 1, "nobody is told a decision that is not in the log")
    }
}
