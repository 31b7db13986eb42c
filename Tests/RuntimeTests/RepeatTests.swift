import Coordinator
import Payments
import Runtime
import Testing

/// A request_id stands for one payment, however often it is sent.
@Suite struct RepeatTests {
    /// Goal: who asks while the first is in flight waits and hears the same, and nothing is done twice.
    @Test func repeatsInFlightJoinTheFirst() async throws {
        let world = World()
        world.clearing.votes.hold()
        let tickets = (0..<3).map { _ in world.submit("r1") }
        try await world.settle()
        #expect(tickets.allSatisfy { !$0.isAnswered })

        world.clearing.votes.release(.yes(authorizationCode: "X"))
        var replies: [Reply] = []
        for ticket in tickets { replies.append(try await ticket.reply()) }
        #expect(Set(replies.map(\.answer)).count == 1 && replies.allSatisfy { !$0.isRepeat })
        #expect(replies[0].answer.text == "APPROVED")
        try await world.idle()
        #expect(world.trace.count("append BEGIN forced") == 1 && world.trace.count("prepare clearing") == 1)
        #expect(tickets.allSatisfy { $0.all.count == 1 })
    }

    /// Goal: a repeat of a payment whose delivery goes on is answered at once, from its flight.
    @Test func aRepeatDuringTheDeliveryIsAnsweredAtOnce() async throws {
        let world = World()
        world.clearing.confirmations.hold()
        let first = try await world.pay("r1")
        let again = try await world.pay("r1")
        #expect(again.answer == first.answer && again.isRepeat)
        #expect(await world.gauges().unfinished == 1)
    }

    /// Goal: when END has dropped the flight, the log answers.
    @Test(arguments: ["APPROVED", "DECLINED clearing_declined"])
    func aRepeatAfterTheEndIsAnsweredFromTheLog(outcome: String) async throws {
        let world = World()
        if outcome != "APPROVED" { world.clearing.votes.answer(.no(.declined("no"))) }
        let first = try await world.pay("r1")
        try await world.idle()
        #expect(await world.gauges().unfinished == 0)
        let records = world.log.recordCount

        let again = try await world.pay("r1")
        #expect(first.answer.text == outcome && again.answer == first.answer && again.isRepeat)
        #expect(world.log.recordCount == records && world.clearing.votes.orders.count == 1)
    }

    /// Goal: between END's sending and its durability the answer does not change.
    @Test func aRepeatWhileEndIsNotDurableHearsTheSame() async throws {
        let world = World()
        world.log.hold(\.isEnd)
        let first = try await world.pay("r1")
        try await world.settle()
        #expect(try await world.pay("r1") == Reply(first.answer, isRepeat: true))
        world.log.release()
        try await world.idle()
        #expect(try await world.pay("r1") == Reply(first.answer, isRepeat: true))
    }

    enum Stage: CaseIterable { case inFlight, delivering, ended }

    /// Goal: another content under a known request_id is refused at every stage, without a transaction, and changes nothing.
    @Test(arguments: Stage.allCases)
    func otherContentIsAConflict(stage: Stage) async throws {
        let world = World()
        switch stage {
        case .inFlight: world.clearing.votes.hold()
        case .delivering: world.clearing.confirmations.hold()
        case .ended: break
        }
        let first = world.submit("r1")
        try await world.settle()
        let trace = world.trace.all

        let other = try await world.pay(Payment("r1").with { $0.amount = 99 })
        #expect(other == Reply(.refused(.idempotencyConflict)))
        #expect(world.trace.all == trace + ["answer REFUSED idempotency_conflict"])
        #expect(world.count(.idempotencyConflict) == 1)

        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await first.reply().answer.text == "APPROVED")
    }

    /// Goal: a request that is refused for its content is compared with the first one before it is refused.
    @Test func aFaultyRequestUnderAKnownNameIsLookedUpFirst() async throws {
        let world = World()
        let first = try await world.pay("r1")
        let sameContent = Payment("r1").with { $0.fault = .amountInvalid }
        let otherContent = Payment("r1").with {
            $0.amount = 0
            $0.fault = .amountInvalid
        }
        #expect(try await world.pay(sameContent) == Reply(first.answer, isRepeat: true))
        #expect(try await world.pay(otherContent) == Reply(.refused(.idempotencyConflict)))
        #expect(try await world.pay(Payment("r2").with { $0.fault = .luhnFailed }) == Reply(.refused(.luhnFailed)))
        #expect(world.trace.count("append BEGIN forced") == 1)
    }

    /// Goal: what the log knows from an earlier process is answered as it stands there.
    @Test(arguments: [
        (RequestEntry.Status.preparing, "PENDING"), (.committing, "PENDING"), (.approved, "APPROVED"),
        (.declined(.clearingUnavailable), "DECLINED clearing_unavailable"),
        (.madeBy(TransactionID(high: 5, low: 5)), "MADE BY ANOTHER"), (.heuristic, "PENDING"),
    ])
    func theLogsStateIsTheAnswer(status: RequestEntry.Status, text: String) async throws {
        let world = World()
        let transaction = TransactionID(high: 1, low: 1)
        let payment = Payment("r1")
        world.log.put(RequestEntry(transaction: transaction, intent: payment.intent, status: status))

        let reply = try await world.pay(payment)
        #expect(reply.answer.text == text && reply.isRepeat)
        let expected = if case .madeBy(let other) = status { other } else { transaction }
        #expect(reply.answer.transaction == expected)
        #expect(world.trace.all == ["answer \(text)"], "nothing is written and nobody is asked")
        let isPending = text == "PENDING"
        #expect(world.count(.pending) == (isPending ? 1 : 0))
        #expect(world.count(.idempotentRepeat) == (isPending ? 0 : 1))
    }

    /// Goal: what cannot be looked up is not taken for new.
    @Test func aFailedLookUpBeginsNothing() async throws {
        let world = World()
        world.log.failLookUps()
        #expect(try await world.pay("r1") == Reply(.refused(.transactionInitFailed)))
        #expect(world.trace.all == ["answer REFUSED txn_init_failed"])
        await #expect(throws: MemoryLog.LookUpFailure.self) { try await world.status("r1") }
    }

    /// Goal: a name that the server made is known to nobody, so it needs no look-up.
    @Test func aNameThatTheServerMadeIsNotLookedUp() async throws {
        let world = World()
        world.log.failLookUps()
        #expect(try await world.pay(Payment("made").with { $0.isNamed = false }).answer.text == "APPROVED")
    }

    /// Goal: a BEGIN that finds the request_id claimed answers PENDING with the claim's transaction and drops its own.
    @Test func aBeginThatFindsTheClaimTakenIsPending() async throws {
        let world = World()
        world.log.hold(\.isBegin)
        let ticket = world.submit("r1")
        try await world.settle()
        let other = TransactionID(high: 9, low: 9)
        world.log.put(RequestEntry(transaction: other, intent: Payment("r1").intent, status: .preparing))
        world.log.release()

        #expect(try await ticket.reply() == Reply(.pending(other)))
        try await world.idle()
        #expect(world.clearing.votes.orders.isEmpty)
        #expect(await world.gauges().undecided == 0)
    }

    /// Goal: `GET /tx` tells the state of what flies, what the log knows, and nothing of what nobody sent.
    @Test func statusFollowsThePayment() async throws {
        let world = World()
        #expect(try await world.status("r1") == nil)
        world.clearing.votes.hold()
        let ticket = world.submit("r1")
        try await world.settle()
        #expect(try await world.status("r1")?.state == .pending)

        world.clearing.confirmations.hold()
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        let transaction = try await ticket.reply().answer.transaction
        #expect(try await world.status("r1")?.state == .approved)

        world.clearing.confirmations.release(.done(.acknowledgement))
        try await world.idle()
        let ended = try #require(try await world.status("r1"))
        #expect(ended.state == .approved && ended.transaction == transaction)
        #expect(ended.intent == Payment("r1").intent)

        world.clearing.votes.answer(.no(.declined("no")))
        try await world.pay("r2")
        #expect(try await world.status("r2")?.state == .declined)
    }
}
