import Coordinator
import Dispatch
import Payments
import Runtime
import Telemetry
import Testing

/// What keeps a payment from beginning, and what comes before all of it.
@Suite struct AdmissionTests {
    /// Everything that refuses a new payment.
    enum Obstacle: CaseIterable, Sendable {
        case draining, queueFull, logFull, databaseAway, breakerOpen, velocityUsedUp, undelivered

        var reason: DeclineReason {
            switch self {
            case .draining: .shuttingDown
            case .queueFull, .logFull, .undelivered: .serverBusy
            case .databaseAway: .databaseError
            case .breakerOpen: .clearingUnavailable
            case .velocityUsedUp: .riskVelocity
            }
        }

        func configure(_ settings: inout CoordinatorSettings) {
            switch self {
            case .draining, .logFull, .databaseAway: break
            case .queueFull:
                settings.inFlightMax = 1
                settings.queueMax = 0
            case .breakerOpen: settings.breaker = .init(window: .seconds(5), failuresToOpen: 1, openFor: .seconds(60))
            case .velocityUsedUp: settings.velocity = (1, .seconds(60))
            case .undelivered: settings.undeliveredMax = 1
            }
        }

        /// Puts itself in the way of every payment after the first one.
        func impose(on world: World) async throws {
            switch self {
            case .draining: world.coordinator.beginDraining()
            case .queueFull:
                world.clearing.votes.hold()
                _ = world.submit(Payment("blocker").with { $0.card = 9 })
            case .logFull: world.logHasRoom.turn(false)
            case .databaseAway: world.database.setAvailable(false)
            case .breakerOpen:
                world.clearing.votes.answer(.no(.unavailable("connection refused")))
                try await world.pay(Payment("blocker").with { $0.card = 9 })
            case .velocityUsedUp: break
            case .undelivered:
                world.clearing.confirmations.hold()
                try await world.pay(Payment("blocker").with { $0.card = 9 })
            }
            try await world.settle()
        }
    }

    /// Goal: a payment that was made is never answered with a refusal, whatever keeps new ones out; and a new one is refused with
    /// the right reason, without claiming anything or asking anybody.
    @Test(arguments: Obstacle.allCases)
    func theLookUpComesBeforeEveryLimit(obstacle: Obstacle) async throws {
        let world = World { obstacle.configure(&$0) }
        let first = try await world.pay("r1")
        try await world.idle()
        #expect(first.answer.text == "APPROVED")
        try await obstacle.impose(on: world)
        let records = world.log.recordCount
        let asked = world.clearing.votes.orders.count

        #expect(try await world.pay("r1") == Reply(first.answer, isRepeat: true))
        #expect(try await world.pay("r2") == Reply(.refused(obstacle.reason)))
        #expect(world.log.recordCount == records && world.clearing.votes.orders.count == asked)
        #expect(try await world.status("r2") == nil, "a refusal claims no request_id")
        #expect(world.count(.serverBusy) == (obstacle.reason == .serverBusy ? 1 : 0))
        #expect(world.count(.riskDeclined) == (obstacle.reason == .riskVelocity ? 1 : 0))
        #expect(world.count(.breakerShortCircuit) == (obstacle.reason == .clearingUnavailable ? 1 : 0))
    }

    /// Goal: that there is no room can be told by any thread, and never of a request_id of which something is known.
    @Test func fullness() async throws {
        let world = World {
            $0.inFlightMax = 1
            $0.queueMax = 1
        }
        func isFull(_ name: String?) -> Bool { world.coordinator.isFull(for: name.flatMap { RequestID($0) }) }
        try await world.pay("made")
        try await world.idle()
        world.clearing.votes.hold()
        let first = world.submit("in-flight")
        try await world.settle()
        #expect(!isFull("new") && !isFull(nil), "the queue has a place")
        let second = world.submit("queued")
        try await world.settle()
        #expect(isFull("new") && isFull(nil))
        #expect(!isFull("made") && !isFull("in-flight"))
        #expect(try await world.pay("new") == Reply(.refused(.serverBusy)), "it is what would be answered")
        world.clearing.votes.answer(.yes(authorizationCode: "X"))
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await first.reply().answer.text == "APPROVED")
        #expect(try await second.reply().answer.text == "APPROVED")
        #expect(!isFull("new"))
    }

    /// Goal: who comes behind as many as there are places need not wait for the loop to hear that they are taken.
    @Test func fullnessBehindThoseOnTheirWay() async throws {
        let world = World {
            $0.inFlightMax = 2
            $0.queueMax = 1
        }
        world.clearing.votes.hold()
        let occupied = DispatchSemaphore(value: 0)
        world.loop.execute { occupied.wait() }
        let submitted = [world.submit("first"), world.submit("second")]
        #expect(!world.coordinator.isFull(for: RequestID("new")))
        let last = world.submit("last")
        #expect(world.coordinator.isFull(for: RequestID("new")), "the loop has not seen one of them")
        #expect(!world.coordinator.isFull(for: RequestID("last")), "a repeat may be answered as the first is")
        occupied.signal()
        try await world.settle()
        #expect(world.coordinator.isFull(for: RequestID("new")))
        world.clearing.votes.answer(.yes(authorizationCode: "X"))
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        for waiting in submitted + [last] { #expect(try await waiting.reply().answer.text == "APPROVED") }
        #expect(!world.coordinator.isFull(for: RequestID("new")))
    }

    /// Goal: who asks again what waits for a place is not told that it is refused, while it may yet be approved.
    @Test func aRepeatOfWhatWaitsForAPlace() async throws {
        let world = World {
            $0.inFlightMax = 1
            $0.queueMax = 1
        }
        world.clearing.votes.hold()
        let inFlight = world.submit("in-flight")
        let waiting = world.submit("waiting")
        try await world.settle()
        #expect(world.coordinator.isFull(for: RequestID("new")) && !world.coordinator.isFull(for: RequestID("waiting")))
        let repeated = world.submit("waiting")
        #expect(try await world.pay("new") == Reply(.refused(.serverBusy)))
        world.clearing.votes.answer(.yes(authorizationCode: "X"))
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await inFlight.reply().answer.text == "APPROVED")
        let first = try await waiting.reply()
        #expect(first.answer.text == "APPROVED")
        #expect(try await repeated.reply().answer == first.answer)
        try await world.idle()
        #expect(world.clearing.votes.orders.count == 2)
        #expect(!world.coordinator.isFull(for: RequestID("new")))
    }

    /// Goal: what was refused before it was begun may be sent again when the obstacle is gone.
    @Test func aRefusedPaymentMayBeSentAgain() async throws {
        let world = World()
        world.database.setAvailable(false)
        #expect(try await world.pay("r1").answer.text == "REFUSED db_error")
        world.database.setAvailable(true)
        let reply = try await world.pay("r1")
        #expect(reply.answer.text == "APPROVED" && !reply.isRepeat)
    }

    /// Goal: only the databases that a payment needs have to be there.
    @Test func anotherPaymentsDatabaseMayBeAway() async throws {
        let world = World(databases: 2)
        let across = Payment.acrossTwoDatabases
        let inFirst = try #require(
            (0..<100).lazy.map { number in Payment("p\(number)").with { $0.merchant = across.request } }.first {
                Placement.branches(of: $0.intent, databases: 2).map(\.participant) == [
                    .clearing, .database(DatabaseIndex(rawValue: 1)),
                ]
            })
        world.databases[1].setAvailable(false)
        #expect(try await world.pay(inFirst).answer.text == "APPROVED")
        #expect(try await world.pay(across).answer.text == "REFUSED db_error")
    }

    /// Goal: operations on an earlier payment are refused, not half done.
    @Test(arguments: [OperationKind.capture, .refund, .reversal])
    func operationsOnAnEarlierPaymentAreRefused(kind: OperationKind) async throws {
        let world = World()
        #expect(try await world.pay(Payment("r1").with { $0.kind = kind }) == Reply(.refused(.invalidState)))
        #expect(world.trace.all == ["answer REFUSED invalid_state"])
    }

    /// Goal: the window counts a payment when it begins: once, however often it is sent, and not if it was refused.
    @Test func velocityCountsWhatBegins() async throws {
        let world = World { $0.velocity = (2, .seconds(60)) }
        try await world.pay("r1")
        try await world.pay("r1")
        try await world.idle()
        try await world.pay("r1")
        world.database.setAvailable(false)
        #expect(try await world.pay("r2").answer.text == "REFUSED db_error")
        world.database.setAvailable(true)

        #expect(try await world.pay("r3").answer.text == "APPROVED")
        #expect(try await world.pay("r4").answer.text == "REFUSED risk_velocity")
        #expect(try await world.pay(Payment("r5").with { $0.card = 2 }).answer.text == "APPROVED")
        #expect(world.count(.riskDeclined) == 1)
    }

    /// Goal: a log that is full at BEGIN refuses the payment, frees its name and its place, and counts it as busy.
    @Test func aLogThatIsFullAtBeginRefuses() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.log.refuseAsFull(\.isBegin)
        #expect(try await world.pay("r1") == Reply(.refused(.serverBusy)))
        try await world.settle()
        let gauges = await world.gauges()
        #expect(gauges.undecided == 0 && gauges.unfinished == 0)
        #expect(world.count(.serverBusy) == 1 && world.count(.declined) == 1)
        #expect(world.clearing.votes.orders.isEmpty)

        world.log.refuseAsFull { _ in false }
        let reply = try await world.pay("r1")
        #expect(reply.answer.text == "APPROVED" && !reply.isRepeat)
    }
}
