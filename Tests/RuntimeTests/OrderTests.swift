import Coordinator
import Payments
import Runtime
import Testing

/// What operators order, as the coordinator carries it out.
@Suite struct OrderTests {
    private static func resolution(
        _ active: ActiveTransaction?, _ outcome: Outcome, forced: Bool = false
    ) throws -> LogWrite {
        let transaction = try #require(active).transaction
        return .resolve(
            ResolutionRecord(
                transaction: transaction, outcome: outcome, isForced: forced,
                warrant: Warrant(.order, actor: "alice", reason: "looked at it")),
            needsTwoPersons: false)
    }

    /// A payment that was decided to commit and whose database had rolled its branch back.
    private static func rolledBack(_ world: World) async throws -> Ticket {
        world.database.resolutions.answer(.heuristic("neither prepared nor visible"))
        let ticket = world.submit("r1")
        try await world.idle()
        #expect(await world.gauges().parked == 1)
        return ticket
    }

    @Test("Goal: an order that agrees with the decision asks the participant again, and who waits hears the outcome")
    func asksAgain() async throws {
        let world = World()
        let ticket = try await Self.rolledBack(world)
        world.database.resolutions.answer(.done(.witness))
        _ = try await world.order(Self.resolution(world.log.active.first, .committed)).get()
        #expect(try await ticket.reply().answer.text == "APPROVED")
        try await world.idle()
        #expect(world.log.active.isEmpty)
        #expect(world.trace.contains("durable END committed"))
        #expect(await world.gauges().parked == 0)
    }

    @Test("Goal: an order against the decision needs force; then the hold is given back and the client told no")
    func forcesAnAbort() async throws {
        let world = World()
        let ticket = try await Self.rolledBack(world)
        let plain = try await world.order(Self.resolution(world.log.active.first, .aborted))
        #expect(plain == .failure(.log(.notResolvable(.contradictsDecision(.committed)))))
        world.database.resolutions.answer(.done(.absence))
        _ = try await world.order(Self.resolution(world.log.active.first, .aborted, forced: true)).get()
        #expect(try await ticket.reply().answer.text == "DECLINED commit_failed")
        try await world.idle()
        #expect(world.clearing.reversals.orders.count == 1)
        #expect(world.clearing.confirmations.orders.isEmpty)
        #expect(world.log.active.isEmpty && world.log.reversals.isEmpty)
    }

    @Test("Goal: with force what a participant did otherwise is taken as it is, and the rest is carried out")
    func acceptsWhatIs() async throws {
        let world = World()
        _ = try await Self.rolledBack(world)
        let asked = world.database.resolutions.orders.count
        _ = try await world.order(Self.resolution(world.log.active.first, .committed, forced: true)).get()
        try await world.idle()
        #expect(world.database.resolutions.orders.count == asked, "it is not asked again")
        #expect(world.clearing.confirmations.orders.count == 1)
        #expect(world.log.active.isEmpty)
    }

    @Test("Goal: what is still being worked on is not resolved, and what waits for nobody neither")
    func refusesWhatIsBusy() async throws {
        let world = World()
        world.database.resolutions.answer(.open("away"))
        #expect(world.submit("r1").all.isEmpty)
        try await eventually("it is decided") { world.log.active.first.map { $0.decision != .undecided } ?? false }
        let transaction = try #require(world.log.active.first).transaction
        let busy = try await world.order(Self.resolution(world.log.active.first, .aborted, forced: true))
        #expect(busy == .failure(.busy(transaction)))
        world.database.resolutions.answer(.done(.acknowledgement))
        try await world.idle()
    }

    @Test("Goal: the reversal of an abort that somebody committed by hand is not sent before an operator has spoken")
    func holdsTheReversal() async throws {
        let world = World()
        world.database.votes.answer(.unknown("lost"))
        world.database.resolutions.answer(.heuristic("the row is visible"))
        world.clearing.reversals.answer(.failed("busy"))
        #expect(try await world.pay("r1").answer.text == "DECLINED db_error")
        try await eventually("it is parked") { world.trace.contains("durable PARK db1") }
        try await world.settle()
        let sent = world.clearing.reversals.orders.count
        world.clearing.reversals.answer(.acknowledged)
        try await world.settle()
        #expect(world.clearing.reversals.orders.count <= sent + 1)
        #expect(world.log.reversals.count == 1 || sent > 0)
        guard world.log.reversals.count == 1 else { return }
        world.database.resolutions.answer(.done(.witness))
        _ = try await world.order(Self.resolution(world.log.active.first, .committed, forced: true)).get()
        try await world.idle()
        #expect(world.log.reversals.isEmpty && world.log.active.isEmpty)
        #expect(world.clearing.confirmations.orders.count == 1)
    }

    @Test(
        "Goal: asking again who committed an abort sends no reversal before the answer, and sends it when all have rolled back"
    )
    func asksBeforeItReverses() async throws {
        let world = World()
        world.database.votes.answer(.unknown("lost"))
        world.database.resolutions.answer(.heuristic("the row is visible"))
        world.clearing.reversals.answer(.failed("busy"))
        _ = try await world.pay("r1")
        try await eventually("it is parked") { world.trace.contains("durable PARK db1") }
        try await eventually("nothing is on its way") { world.clearing.reversals.orders.count <= 1 }
        try await world.settle()
        world.clearing.reversals.answer(.acknowledged)
        let sent = world.clearing.reversals.orders.count
        _ = try await world.order(Self.resolution(world.log.active.first, .aborted)).get()
        try await world.settle()
        #expect(world.clearing.reversals.orders.count == sent, "the database says again that the row is there")
        #expect(world.log.reversals.count == 1)
        world.database.resolutions.answer(.done(.absence))
        _ = try await world.order(Self.resolution(world.log.active.first, .aborted)).get()
        try await world.idle()
        #expect(world.clearing.reversals.orders.count == sent + 1)
        #expect(world.log.active.isEmpty && world.log.reversals.isEmpty)
    }

    @Test("Goal: an adopted transaction is carried out like any other")
    func adopts() async throws {
        let world = World()
        let intent = try #require(try? Payment("lost-1").submission.intent.get())
        let begin = BeginRecord(
            transaction: TransactionID(high: 7, low: 7), epoch: World.earlierEpoch, intent: intent,
            branches: Placement.branches(of: intent, databases: 1), deadline: WallTime(microseconds: 0))
        let record = AdoptionRecord(
            begin: begin, outcome: .committed, warrant: Warrant(.evidence, actor: "recover", reason: "its row is there")
        )
        world.database.resolutions.answer(.done(.witness))
        _ = try await world.order(.adopt(record)).get()
        try await world.idle()
        #expect(world.clearing.confirmations.orders.count == 1)
        #expect(world.trace.contains("durable END committed"))
        #expect(try await world.order(.reconcile(record.warrant)) == .success(.noted))
    }

    @Test("Goal: an ended transaction whose database lost it is carried out again, or waits for an operator")
    func reopens() async throws {
        let world = World()
        world.log.hold(\.isEnd)
        try await world.pay("r1")
        try await eventually("all have acknowledged") { world.log.active.first?.acknowledged.count == 2 }
        let ended = try #require(world.log.active.first)
        let transaction = ended.transaction
        world.log.release()
        try await world.idle()
        #expect(world.log.active.isEmpty)
        let lost = ReopenedRecord(
            transaction: transaction, database: world.database.index, isParked: true, evidence: "not there")
        _ = try await world.order(.reopen(ended, lost)).get()
        try await world.settle()
        #expect(await world.gauges().parked == 1)
        #expect(try await world.status("r1")?.state == .heuristic)
        #expect(try await world.order(.reopen(ended, lost)) == .failure(.busy(transaction)))
    }

    @Test("Goal: a reversal that is parked by order is not sent; one that is released is sent at once")
    func parksAndReleasesAReversal() async throws {
        let world = World {
            $0.reversals = .init(
                refusalsMax: 3, backoff: Backoff(base: .seconds(60), ceiling: .seconds(60)), inFlightMax: 4)
        }
        world.database.votes.answer(.no(.unavailable("out of slots")))
        world.clearing.reversals.answer(.failed("out"))
        try await world.pay("r1")
        try await eventually("it was tried") { world.clearing.reversals.orders.count == 1 }
        try await world.idle(includingReversals: false)
        let transaction = try #require(world.log.reversals.first).transaction
        let warrant = Warrant(.order, actor: "alice", reason: "looked at it")

        let release = LogWrite.releaseReversal(ReversalReleasedRecord(transaction: transaction, warrant: warrant))
        _ = try await world.order(release).get()
        try await eventually("it is sent now and not in a minute") { world.clearing.reversals.orders.count == 2 }
        try await world.settle()

        let park = LogWrite.parkReversal(ReversalParkedRecord(transaction: transaction, reason: "wait for the issuer"))
        _ = try await world.order(park).get()
        #expect(await world.gauges().openReversals == 0)
        #expect(world.log.reversals.first?.parkedReason == "wait for the issuer")
        world.clearing.reversals.answer(.acknowledged)
        _ = try await world.order(release).get()
        try await world.idle()
        #expect(world.clearing.reversals.orders.count == 3)
        #expect(world.log.reversals.isEmpty)
        #expect(try await world.order(release) == .failure(.log(.noReversal(transaction))))
    }

    @Test("Goal: no step of the protocol itself can be ordered")
    func refusesProtocolSteps() async throws {
        let world = World()
        let write = LogWrite.closeReversal(ReversalClosedRecord(transaction: TransactionID(high: 1, low: 1)))
        #expect(try await world.order(write) == .failure(.notAnOrder))
    }
}

extension World {
    fileprivate func order(_ write: LogWrite) async throws -> Result<LogReceipt, OrderRefusal> {
        await withCheckedContinuation { continuation in
            coordinator.order(write) { continuation.resume(returning: $0) }
        }
    }
}
