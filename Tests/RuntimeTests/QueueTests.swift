import Coordinator
import Runtime
import Testing

/// Places in flight, and who waits for one.
@Suite struct QueueTests {
    /// Goal: who came first is served first, one place at a time.
    @Test func theQueueKeepsItsOrder() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.clearing.votes.hold()
        let names = ["a", "b", "c", "d"]
        let tickets = names.map { world.submit($0) }
        for (position, ticket) in tickets.enumerated() {
            try await world.settle()
            let begun = world.clearing.votes.orders.map(\.begin.intent.requestID.text)
            #expect(begun == Array(names[...position]))
            let gauges = await world.gauges()
            #expect(gauges.undecided == 1 && gauges.queued == names.count - position - 1)
            world.clearing.votes.release(.yes(authorizationCode: "X"))
            #expect(try await ticket.reply().answer.text == "APPROVED")
        }
        try await world.idle()
        #expect(await world.gauges().undecided == 0)
    }

    /// Goal: a long queue is served completely and in order.
    @Test func aLongQueueIsServedCompletely() async throws {
        let world = World {
            $0.inFlightMax = 3
            $0.queueMax = 500
        }
        world.clearing.votes.hold()
        let tickets = (0..<300).map { world.submit("r\($0)") }
        try await world.settle()
        #expect(await world.gauges().queued == 297)
        world.clearing.votes.answer(.yes(authorizationCode: "X"))
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        try await world.idle()
        for ticket in tickets { #expect(ticket.all.map(\.answer.text) == ["APPROVED"]) }
        #expect(world.clearing.votes.orders.map(\.begin.intent.requestID.text) == (0..<300).map { "r\($0)" })
    }

    /// Goal: who finds no place in the time that a payment has for its decision is told so, and those behind keep their turn.
    @Test func nobodyWaitsInTheQueueForEver() async throws {
        let world = World {
            $0.inFlightMax = 1
            $0.prepareTimeout = Milliseconds(500)
        }
        // A decision that finds no room keeps its place, however long.
        world.log.refuseAsFull { $0.isCommit }
        let first = world.submit("a")
        let late = world.submit("b")
        #expect(try await late.reply() == Reply(.refused(.serverBusy)))
        #expect(await world.gauges().queued == 0)
        #expect(!first.isAnswered)
        let next = world.submit("c")
        try await world.settle()
        world.log.refuseAsFull { _ in false }
        #expect(try await first.reply().answer.text == "APPROVED")
        #expect(try await next.reply().answer.text == "APPROVED")
        #expect(world.clearing.votes.orders.map(\.begin.intent.requestID.text) == ["a", "c"])
    }

    /// Goal: the queue is bounded, and who does not fit is told at once.
    @Test func aFullQueueRefusesAtOnce() async throws {
        let world = World {
            $0.inFlightMax = 1
            $0.queueMax = 2
        }
        world.clearing.votes.hold()
        let taken = ["a", "b", "c"].map { world.submit($0) }
        try await world.settle()
        #expect(try await world.pay("d") == Reply(.refused(.serverBusy)))
        #expect(world.count(.serverBusy) == 1)

        world.clearing.votes.answer(.yes(authorizationCode: "X"))
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        for ticket in taken { #expect(try await ticket.reply().answer.text == "APPROVED") }
        #expect(try await world.pay("d").answer.text == "APPROVED")
    }

    /// Goal: a place is given back with the decision, not with the delivery.
    @Test func aPlaceIsGivenBackWhenDecided() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.database.resolutions.hold()
        let first = world.submit("a")
        let second = world.submit("b")
        try await world.settle()
        #expect(world.trace.count("durable COMMIT") == 2 && !first.isAnswered && !second.isAnswered)
        let gauges = await world.gauges()
        #expect(gauges.undecided == 0 && gauges.unfinished == 2)
    }

    /// Goal: declined payments give their places back too, and those whose BEGIN the log refused.
    @Test func declinedPaymentsGiveTheirPlacesBack() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.clearing.votes.answer(.no(.declined("no")))
        let declined = (0..<5).map { world.submit("d\($0)") }
        for ticket in declined { #expect(try await ticket.reply().answer.text == "DECLINED clearing_declined") }
        world.log.refuseAsFull(\.isBegin)
        let refused = (0..<5).map { world.submit("f\($0)") }
        for ticket in refused { #expect(try await ticket.reply().answer.text == "REFUSED server_busy") }
        try await world.idle()
        #expect(await world.gauges().undecided == 0)
    }

    /// Goal: one request_id that waits twice is begun once.
    @Test func aRepeatInTheQueueJoins() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.clearing.votes.hold()
        let blocker = world.submit("a")
        let twice = [world.submit("b"), world.submit("b")]
        try await world.settle()
        world.clearing.votes.answer(.yes(authorizationCode: "X"))
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await blocker.reply().answer.text == "APPROVED")
        let answers = try await [twice[0].reply().answer, twice[1].reply().answer]
        #expect(answers[0] == answers[1] && answers[0].text == "APPROVED")
        #expect(world.trace.count("append BEGIN forced") == 2)
    }

    /// Goal: what waits is refused at once when draining begins, though no place is free.
    @Test func drainingAnswersTheQueueAtOnce() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.clearing.votes.hold()
        let inFlight = world.submit("a")
        let queued = [world.submit("b"), world.submit("a"), world.submit("c")]
        try await world.settle()
        world.coordinator.beginDraining()
        #expect(try await queued[0].reply() == Reply(.refused(.shuttingDown)))
        #expect(try await queued[2].reply() == Reply(.refused(.shuttingDown)))
        #expect(!inFlight.isAnswered && !queued[1].isAnswered)
        let gauges = await world.gauges()
        #expect(gauges.isDraining && gauges.queued == 0)

        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await inFlight.reply().answer.text == "APPROVED")
        #expect(try await queued[1].reply().answer == inFlight.reply().answer)
        try await world.idle()
    }
}
