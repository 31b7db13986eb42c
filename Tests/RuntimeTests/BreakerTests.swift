import Coordinator
import Runtime
import Testing

/// The circuit breaker keeps new payments away from a network that does not answer, and delays the rest.
@Suite struct BreakerTests {
    private static let openFor = Milliseconds(600)

    /// Opens after two failures in a row.
    private static func world(openFor: Milliseconds = openFor) -> World {
        World { $0.breaker = .init(window: .seconds(5), failuresToOpen: 2, openFor: openFor) }
    }

    private static func open(_ world: World) async throws {
        world.clearing.votes.answer(.no(.unavailable("connection refused")))
        for name in ["f1", "f2"] {
            #expect(try await world.pay(Payment(name)).answer.text == "DECLINED clearing_unavailable")
        }
        #expect(await !world.gauges().isBreakerClosed)
    }

    /// Goal: after enough failures in a row a payment is refused before it claims anything, and the network is left alone.
    @Test func anOpenBreakerRefusesBeforeAnythingIsClaimed() async throws {
        let world = Self.world(openFor: .seconds(60))
        try await Self.open(world)
        try await world.idle()
        let records = world.log.recordCount
        #expect(try await world.pay("r1") == Reply(.refused(.clearingUnavailable)))
        #expect(world.log.recordCount == records && world.clearing.votes.orders.count == 2)
        #expect(try await world.status("r1") == nil)
        #expect(world.count(.breakerShortCircuit) == 1)
    }

    /// Goal: a definite answer between two failures, be it a refusal, keeps the breaker closed.
    @Test func aDefiniteAnswerStartsTheCountAnew() async throws {
        let world = Self.world()
        world.clearing.votes.answer(inTurn: [
            .no(.unavailable("refused")), .no(.declined("no")), .no(.unavailable("refused")),
        ])
        for name in ["r1", "r2", "r3"] { try await world.pay(name) }
        #expect(await world.gauges().isBreakerClosed)
        try await world.pay("r4")
        #expect(await !world.gauges().isBreakerClosed)
    }

    /// Goal: when its time is over one payment is let through; its success closes the breaker, and no second goes along.
    @Test func oneProbeClosesTheBreaker() async throws {
        let world = Self.world()
        try await Self.open(world)
        try await Task.sleep(for: .milliseconds(Self.openFor.count + 20))
        world.clearing.votes.hold()
        let probe = world.submit("r1")
        try await world.settle()
        #expect(world.clearing.votes.waiting == 1)
        #expect(try await world.pay("r2") == Reply(.refused(.clearingUnavailable)))

        world.clearing.votes.answer(.yes(authorizationCode: "X"))
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await probe.reply().answer.text == "APPROVED")
        #expect(await world.gauges().isBreakerClosed)
        #expect(try await world.pay("r2").answer.text == "APPROVED")
    }

    /// Goal: a probe that fails opens the breaker again for its whole time.
    @Test func aFailedProbeOpensItAgain() async throws {
        let world = Self.world()
        try await Self.open(world)
        try await Task.sleep(for: .milliseconds(Self.openFor.count + 20))
        #expect(try await world.pay("r1").answer.text == "DECLINED clearing_unavailable")
        #expect(try await world.pay("r2") == Reply(.refused(.clearingUnavailable)))
    }

    /// Goal: a commit that is decided is only delayed: the client has its APPROVED, and the network hears of it later.
    @Test func aConfirmationIsDelayedAndNotLost() async throws {
        let world = Self.world()
        world.database.resolutions.hold()
        let decided = world.submit("r1")
        try await world.settle()
        try await Self.open(world)

        world.database.resolutions.release(.done(.acknowledgement))
        #expect(try await decided.reply().answer.text == "APPROVED")
        try await world.settle()
        #expect(world.clearing.confirmations.orders.isEmpty)

        try await world.idle()
        #expect(world.clearing.confirmations.orders.count == 1)
        #expect(world.trace.contains("durable END committed"))
        #expect(await world.gauges().isBreakerClosed, "the confirmation was the probe")
    }

    /// Goal: reversals wait for the breaker without using up anything, and all of them are sent when it lets them.
    @Test func reversalsAreDelayedAndNotLost() async throws {
        let world = Self.world()
        world.database.votes.hold()
        let undecided = ["r1", "r2"].map { world.submit($0) }
        try await world.settle()
        try await Self.open(world)

        world.database.votes.release(.no(.unavailable("no connection")))
        for ticket in undecided { #expect(try await ticket.reply().answer.text == "DECLINED db_error") }
        try await world.settle()
        #expect(world.clearing.reversals.orders.isEmpty)
        #expect(await world.gauges().openReversals == 2)

        try await world.idle()
        #expect(world.clearing.reversals.orders.map(\.isRepeat) == [false, false])
        #expect(world.log.reversals.isEmpty && world.count(.reversalSucceeded) == 2)
        #expect(world.count(.reversalFailed) == 0)
    }

    /// Goal: reversals that find no answer count for the breaker too, and a due one is its probe.
    @Test func failedReversalsOpenTheBreaker() async throws {
        let world = Self.world()
        world.database.votes.answer(.no(.unavailable("no connection")))
        world.clearing.reversals.answer(inTurn: [.failed("timeout"), .failed("timeout"), .acknowledged])
        try await world.pay("r1")
        try await eventually("the breaker is open") { await !world.gauges().isBreakerClosed }
        #expect(world.clearing.reversals.orders.count == 2)
        try await world.idle()
        #expect(world.clearing.reversals.orders.count == 3)
        #expect(await world.gauges().isBreakerClosed)
    }
}
