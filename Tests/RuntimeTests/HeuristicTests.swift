import Coordinator
import Runtime
import Telemetry
import Testing

/// Participants that did otherwise than decided.
@Suite struct HeuristicTests {
    /// Goal: a branch that somebody rolled back is parked, forced into the log, shown and counted; the client is never told DECLINED, the
    /// network is not confirmed, and a drain does not wait for it.
    @Test func aRolledBackCommitIsParked() async throws {
        let world = World {
            $0.prepareTimeout = Milliseconds(700)
            $0.commitTimeout = Milliseconds(100)
        }
        world.database.resolutions.answer(.heuristic("neither prepared nor visible"))
        let ticket = world.submit("r1")
        try await world.idle()
        #expect(world.trace.contains("append PARK db1 forced"))
        #expect(try await world.status("r1")?.state == .heuristic)
        #expect(await world.gauges().parked == 1)
        #expect(world.count(.heuristic) == 1)
        #expect(try await ticket.reply().answer.text == "PENDING")
        #expect(world.clearing.confirmations.orders.isEmpty && !world.trace.contains("append END committed lazy"))
        #expect(world.log.active.first?.parkings.first?.record.evidence == "neither prepared nor visible")
    }

    /// Goal: a hold that the network let go after the commit leaves the payment APPROVED to its client and HEURISTIC to who looks.
    @Test func aHoldThatWasLetGoIsHeuristic() async throws {
        let world = World()
        world.clearing.confirmations.answer(.heuristic("the hold had expired"))
        #expect(try await world.pay("r1").answer.text == "APPROVED")
        try await world.idle()
        #expect(world.trace.contains("durable PARK clearing"))
        #expect(try await world.status("r1")?.state == .heuristic)
        #expect(try await world.pay("r1").answer.text == "APPROVED")
        #expect(world.count(.heuristic) == 1)
        #expect(world.log.active.count == 1, "it is kept")
    }

    /// Goal: an aborted branch that somebody committed is parked.
    @Test func aCommittedAbortIsParked() async throws {
        let world = World()
        world.database.votes.answer(.unknown("lost"))
        world.database.resolutions.answer(.heuristic("the row is visible"))
        #expect(try await world.pay("r1").answer.text == "DECLINED db_error")
        try await world.idle()
        #expect(world.trace.contains("durable PARK db1") && !world.trace.contains("append END aborted lazy"))
        #expect(try await world.status("r1")?.state == .heuristic)
    }

    /// Goal: a parking that finds no room is tried again.
    @Test func aParkingIsTriedUntilItIsWritten() async throws {
        let world = World()
        world.clearing.confirmations.answer(.heuristic("expired"))
        world.log.refuseAsFull(\.isPark)
        try await world.pay("r1")
        try await eventually("the parking was tried twice") { world.trace.count("refused PARK clearing") >= 2 }
        #expect(world.count(.heuristic) == 0)
        world.log.refuseAsFull { _ in false }
        try await eventually("it is parked") { world.trace.contains("durable PARK clearing") }
        #expect(world.count(.heuristic) == 1)
    }
}
