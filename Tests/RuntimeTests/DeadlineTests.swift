import Coordinator
import Runtime
import Telemetry
import Testing

/// Time to decide, and time to answer.
@Suite struct DeadlineTests {
    private static let prepareTimeout = Milliseconds(500)

    /// - Parameter commitTimeout: short where somebody is to wait in vain.
    private static func world(commitTimeout: Milliseconds = .seconds(5)) -> World {
        World {
            $0.prepareTimeout = prepareTimeout
            $0.commitTimeout = commitTimeout
        }
    }

    /// Goal: a network that says nothing in time is a hold that may exist: DECLINED, and reversed.
    @Test func aSilentNetworkIsDeclinedAndReversed() async throws {
        let world = Self.world()
        world.clearing.votes.hold()
        #expect(try await world.pay("r1").answer.text == "DECLINED clearing_unavailable")
        try await world.idle()
        #expect(world.trace.count("reverse") == 1 && world.log.reversals.isEmpty)

        world.clearing.votes.release(.yes(authorizationCode: "late"))
        try await world.settle()
        #expect(!world.trace.contains("prepare db1") && !world.trace.contains("append COMMIT forced"))
    }

    /// Goal: a database's vote that comes after the deadline is rolled back, and the transaction does not end before.
    @Test func aLateYesIsRolledBack() async throws {
        let world = Self.world()
        world.database.votes.hold()
        #expect(try await world.pay("r1").answer.text == "DECLINED db_error")
        try await world.settle()
        #expect(!world.trace.contains("append END aborted lazy") && world.database.resolutions.orders.isEmpty)

        world.database.votes.release(.yes(authorizationCode: ""))
        try await world.idle()
        #expect(world.database.resolutions.orders.map(\.decision) == [.aborted])
        #expect(world.trace.all.last == "durable END aborted")
    }

    /// Goal: a late no leaves nothing to roll back; a late unknown does.
    @Test(arguments: [(Vote.no(.contended), 0), (.unknown("lost"), 1)])
    func otherLateVotes(vote: Vote, rollbacks: Int) async throws {
        let world = Self.world()
        world.database.votes.hold()
        #expect(try await world.pay("r1").answer.text == "DECLINED db_error")
        world.database.votes.release(vote)
        try await world.idle()
        #expect(world.database.resolutions.orders.count == rollbacks)
        #expect(world.trace.contains("durable END aborted"))
    }

    /// Goal: a BEGIN that takes longer than the whole time asks nobody any more.
    @Test func aBeginThatComesTooLateAsksNobody() async throws {
        let world = Self.world()
        world.log.hold(\.isBegin)
        let ticket = world.submit("r1")
        try await Task.sleep(for: .milliseconds(Self.prepareTimeout.count + 20))
        world.log.release()
        #expect(try await ticket.reply().answer.text == "DECLINED txn_init_failed")
        try await world.idle()
        #expect(world.clearing.votes.orders.isEmpty && world.database.votes.orders.isEmpty)
    }

    /// Goal: the deadline that orders carry is the one by which the payment is decided.
    @Test func ordersCarryTheDeadline() async throws {
        let world = Self.world()
        let before = SystemClock.monotonic()
        try await world.pay("r1")
        let deadline = try #require(world.clearing.votes.orders.first?.deadline)
        #expect(deadline >= before + Self.prepareTimeout && deadline <= SystemClock.monotonic() + Self.prepareTimeout)
    }

    /// Goal: a commit that is not proven within the waiter's time is PENDING, never DECLINED; a later repeat hears APPROVED.
    @Test func aCommitThatIsNotProvenInTimeIsPending() async throws {
        let world = Self.world(commitTimeout: Milliseconds(100))
        world.database.resolutions.hold()
        let first = try await world.pay("r1")
        #expect(first.answer.text == "PENDING")
        #expect(try await world.status("r1")?.state == .pending)

        world.database.resolutions.release(.done(.acknowledgement))
        try await world.idle()
        let again = try await world.pay("r1")
        #expect(again.answer.text == "APPROVED" && again.isRepeat)
        #expect(again.answer.transaction == first.answer.transaction)
        #expect(world.count(.pending) == 1 && world.count(.approved) == 0 && world.count(.idempotentRepeat) == 1)
    }

    /// Goal: who joins late has a whole wait of its own.
    @Test func aJoinedRepeatWaitsItsOwnTime() async throws {
        let world = Self.world(commitTimeout: Milliseconds(100))
        world.database.resolutions.hold()
        let first = world.submit("r1")
        try await Task.sleep(for: .milliseconds(Self.prepareTimeout.count))
        let joined = world.submit("r1")
        #expect(try await first.reply().answer.text == "PENDING")
        #expect(!joined.isAnswered)
        world.database.resolutions.release(.done(.acknowledgement))
        #expect(try await joined.reply().answer.text == "APPROVED")
        #expect(first.all.count == 1, "who was told PENDING is not told again")
    }
}
