import Coordinator
import Runtime
import Telemetry
import Testing

/// The same request_id at another coordinator that shares a database.
@Suite struct ContentionTests {
    /// Goal: a key that another coordinator's open transaction holds is answered PENDING, our hold is undone, and a repeat begins anew.
    @Test func aContendedKeyIsPendingAndMayBeginAnew() async throws {
        let world = World()
        world.database.votes.answer(inTurn: [.no(.contended), .yes(authorizationCode: "")])
        let first = try await world.pay("r1")
        #expect(first.answer.text == "PENDING" && first.answer.transaction != nil)
        #expect(try await world.status("r1") == nil, "the claim is released")

        let second = try await world.pay("r1")
        #expect(second.answer.text == "APPROVED" && !second.isRepeat)
        #expect(second.answer.transaction != first.answer.transaction)
        try await world.idle()
        #expect(world.clearing.reversals.orders.map(\.transaction) == [try #require(first.answer.transaction)])
        #expect(try await world.pay("r1") == Reply(second.answer, isRepeat: true))
        #expect(world.count(.pending) == 1 && world.count(.approved) == 1)
    }

    /// Goal: the abort of the released attempt, still on its way, does not disturb the new one that has its name.
    @Test func theReleasedAttemptDoesNotDisturbTheNewOne() async throws {
        let world = World()
        world.database.votes.answer(.no(.contended))
        world.log.hold(\.isEnd)
        #expect(try await world.pay("r1").answer.text == "PENDING")

        world.clearing.votes.hold()
        world.database.votes.answer(.yes(authorizationCode: ""))
        let second = world.submit("r1")
        try await world.settle()
        world.log.release()
        try await world.settle()
        let joined = world.submit("r1")
        try await world.settle()
        #expect(!joined.isAnswered, "the end of the first must not take the second's name away")
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await joined.reply() == second.reply())
        #expect(try await second.reply().answer.text == "APPROVED")
    }

    /// Goal: a payment that another transaction made is answered with that one, now, from the flight and from the log.
    @Test func aPaymentMadeByAnotherIsAnsweredWithThatOne() async throws {
        let world = World()
        let other = TransactionID(high: 3, low: 3)
        world.database.votes.answer(.no(.madeBy(other)))
        world.log.hold(\.isEnd)
        #expect(try await world.pay("r1") == Reply(.madeBy(other)))
        #expect(try await world.pay("r1") == Reply(.madeBy(other), isRepeat: true))
        world.log.release()
        try await world.idle()
        #expect(try await world.pay("r1") == Reply(.madeBy(other), isRepeat: true))
        #expect(try await world.status("r1")?.state == .approved)
        #expect(world.clearing.reversals.orders.count == 1)
        #expect(world.count(.approved) == 0 && world.count(.idempotentRepeat) == 3)
    }

    /// Goal: a key that a committed payment with other content has is a conflict that claims nothing.
    @Test func aConflictInTheDatabaseClaimsNothing() async throws {
        let world = World()
        world.database.votes.answer(.no(.conflict))
        #expect(try await world.pay("r1") == Reply(.refused(.idempotencyConflict)))
        try await world.idle()
        #expect(try await world.status("r1") == nil)
        #expect(world.count(.idempotencyConflict) == 1 && world.count(.declined) == 1)
        #expect(world.clearing.reversals.orders.count == 1 && world.log.reversals.isEmpty)
    }

    /// Goal: the other coordinator's outcome outweighs a failure that was heard before it.
    @Test func theOthersOutcomeOutweighsAFailure() async throws {
        let world = World(databases: 2)
        let other = TransactionID(high: 3, low: 3)
        world.databases[0].votes.hold()
        world.databases[1].votes.answer(.no(.unavailable("no connection")))
        let ticket = world.submit(.acrossTwoDatabases)
        try await world.settle()
        #expect(!ticket.isAnswered, "all votes of a stage are heard")
        world.databases[0].votes.release(.no(.madeBy(other)))
        #expect(try await ticket.reply() == Reply(.madeBy(other)))
    }
}
