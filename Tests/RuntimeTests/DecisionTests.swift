import Coordinator
import Runtime
import Testing

/// The order of what is written and what is asked: a step is durable before the question that it allows.
@Suite struct DecisionTests {
    /// Goal: the whole protocol of a payment that is made, step by step.
    @Test func anApprovedPaymentTakesEveryStepInItsOrder() async throws {
        let world = World()
        let reply = try await world.pay("r1")
        try await world.idle()

        #expect(reply.answer.text == "APPROVED" && !reply.isRepeat)
        #expect(
            world.trace.all == [
                "append BEGIN forced", "durable BEGIN", "prepare clearing", "prepare db1", "append COMMIT forced",
                "durable COMMIT", "resolve db1 committed", "append ACK db1 lazy", "answer APPROVED",
                "confirm clearing", "durable ACK db1", "append ACK clearing lazy", "append END committed lazy",
                "durable ACK clearing", "durable END committed",
            ])
    }

    /// Goal: every participant is told the same transaction, its branch, and what the network answered.
    @Test func ordersCarryTheTransactionAndTheAuthorizationCode() async throws {
        let world = World(databases: 2)
        let reply = try await world.pay(.acrossTwoDatabases)
        try await world.idle()
        let transaction = try #require(reply.answer.transaction)

        let hold = try #require(world.clearing.votes.orders.first)
        #expect(hold.begin.transaction == transaction && hold.branch.participant == .clearing)
        #expect(hold.begin.epoch == World.pair.epoch && hold.authorizationCode.isEmpty)
        for (database, role) in zip(world.databases, [BranchRole.payment, .merchantEntry]) {
            let prepared = try #require(database.votes.orders.first)
            #expect(prepared.begin.transaction == transaction && prepared.branch.role == role)
            #expect(prepared.branch.participant == .database(database.index))
            #expect(prepared.authorizationCode == ScriptedNetwork.authorizationCode)
            #expect(database.resolutions.orders.map(\.decision) == [.committed])
        }
        #expect(world.clearing.confirmations.orders.map(\.order.begin.transaction) == [transaction])
        #expect(world.clearing.confirmations.orders.map(\.isRepeat) == [false])
    }

    /// Goal: nobody hears of a payment before its BEGIN is durable.
    @Test func nobodyIsAskedBeforeBeginIsDurable() async throws {
        let world = World()
        world.log.hold(\.isBegin)
        let ticket = world.submit("r1")
        try await world.settle()
        #expect(world.trace.all == ["append BEGIN forced"])

        world.log.release()
        #expect(try await ticket.reply().answer.text == "APPROVED")
    }

    /// Goal: nobody is told to commit, and the client hears nothing, before COMMIT is durable.
    @Test func nobodyIsToldBeforeCommitIsDurable() async throws {
        let world = World()
        world.log.hold(\.isCommit)
        let ticket = world.submit("r1")
        try await world.settle()
        #expect(world.trace.all.last == "append COMMIT forced" && !ticket.isAnswered)

        world.log.release()
        #expect(try await ticket.reply().answer.text == "APPROVED")
    }

    /// Goal: with an ABORT that is not durable yet the client is not told DECLINED, and no reversal is sent.
    @Test func nobodyIsToldBeforeAbortIsDurable() async throws {
        let world = World()
        world.database.votes.answer(.no(.unavailable("no connection")))
        world.log.hold(\.isAbort)
        let ticket = world.submit("r1")
        try await world.settle()
        #expect(world.trace.all.last == "append ABORT with reversal forced" && !ticket.isAnswered)

        world.log.release()
        #expect(try await ticket.reply().answer.text == "DECLINED db_error")
        try await world.idle()
        #expect(world.trace.count("reverse") == 1)
    }

    /// Goal: neither the client nor the network learns of the commit before the payment's own database has committed; the other
    /// database is no substitute.
    @Test func theNetworkIsConfirmedOnlyAfterThePaymentsDatabaseCommitted() async throws {
        let world = World(databases: 2)
        world.databases[0].resolutions.hold()
        let ticket = world.submit(.acrossTwoDatabases)
        try await world.settle()
        #expect(world.trace.contains("durable ACK db2"))
        #expect(!ticket.isAnswered && world.clearing.confirmations.orders.isEmpty)

        world.databases[0].resolutions.release(.done(.witness))
        #expect(try await ticket.reply().answer.text == "APPROVED")
        try await world.idle()
        #expect(world.clearing.confirmations.orders.count == 1)
    }

    /// Goal: APPROVED does not wait for the merchant's entry or the network, but END does.
    @Test func approvedDoesNotWaitForTheOthers() async throws {
        let world = World(databases: 2)
        world.databases[1].resolutions.hold()
        world.clearing.confirmations.hold()
        #expect(try await world.pay(.acrossTwoDatabases).answer.text == "APPROVED")
        try await world.settle()
        #expect(!world.trace.contains("append END committed lazy"))

        world.databases[1].resolutions.release(.done(.acknowledgement))
        try await world.settle()
        #expect(!world.trace.contains("append END committed lazy"))

        world.clearing.confirmations.release(.done(.acknowledgement))
        try await world.idle()
        #expect(world.trace.all.last == "durable END committed")
    }

    /// Goal: a definite no of the network costs a look at the payment's database, no branch and no reversal.
    @Test func aDefiniteRefusalEndsWithoutABranch() async throws {
        let world = World()
        world.clearing.votes.answer(.no(.declined("insufficient funds")))
        let reply = try await world.pay("r1")
        try await world.idle()

        #expect(reply.answer.text == "DECLINED clearing_declined")
        #expect(
            world.trace.all == [
                "append BEGIN forced", "durable BEGIN", "prepare clearing", "look up db1", "append ABORT forced",
                "durable ABORT", "answer DECLINED clearing_declined", "append END aborted lazy", "durable END aborted",
            ])
        #expect(world.count(.reversalEnqueued) == 0 && world.log.reversals.isEmpty)
    }

    /// Goal: a payment that was made elsewhere, or longer ago than the log remembers, is never declined because the network declines the
    /// second hold; the repeat of that repeat hears the same.
    @Test func whatWasMadeBeforeIsNotDeclined() async throws {
        let world = World()
        let maker = TransactionID(high: 77, low: 0)
        world.clearing.votes.answer(.no(.declined("duplicate")))
        world.database.lookUps.answer(.madeBy(maker))
        #expect(try await world.pay("r1") == Reply(.madeBy(maker)))
        #expect(try await world.pay("r1") == Reply(.madeBy(maker), isRepeat: true))
        try await world.idle()
        #expect(world.database.votes.orders.isEmpty && world.log.reversals.isEmpty)
    }

    /// Goal: what was made before is found by a payment that runs out of time as well, and its hold is undone.
    @Test func whatWasMadeBeforeIsFoundAtTheDeadline() async throws {
        let world = World { $0.prepareTimeout = Milliseconds(50) }
        let maker = TransactionID(high: 77, low: 0)
        world.clearing.votes.hold()
        world.database.lookUps.answer(.madeBy(maker))
        #expect(try await world.pay("r1").answer == .madeBy(maker))
        try await world.idle()
        #expect(world.clearing.reversals.orders.count == 1)
    }

    /// Goal: nothing is declined for good when the payment's database cannot say whether it was made before; it may be sent again.
    @Test func nothingIsDeclinedForGoodWithoutTheDatabase() async throws {
        let world = World()
        world.clearing.votes.answer(.no(.declined("insufficient funds")))
        world.database.lookUps.answer(.unknown("no answer"))
        #expect(try await world.pay("r1").answer.text == "PENDING")
        try await world.idle()

        world.database.lookUps.answer(PriorPayment.none)
        #expect(try await world.pay("r1").answer.text == "DECLINED clearing_declined")
        #expect(world.trace.count("prepare clearing") == 2)
    }

    /// Goal: another payment under the request_id is a conflict, whatever the network says.
    @Test func anotherPaymentUnderTheRequestIsAConflict() async throws {
        let world = World()
        world.clearing.votes.answer(.no(.declined("insufficient funds")))
        world.database.lookUps.answer(.conflict)
        #expect(try await world.pay("r1").answer.text == "REFUSED idempotency_conflict")
    }

    /// Goal: a hold of which nothing is known is undone until the network acknowledges it; repeats say so.
    @Test func anUnknownHoldIsReversedUntilAcknowledged() async throws {
        let world = World()
        world.clearing.votes.answer(.unknown("the connection was lost"))
        world.clearing.reversals.answer(inTurn: [.failed("503"), .refused("not now"), .acknowledged])
        let reply = try await world.pay("r1")
        #expect(reply.answer.text == "DECLINED clearing_unavailable")
        try await world.idle()

        let sent = world.clearing.reversals.orders
        #expect(sent.map(\.isRepeat) == [false, true, true])
        #expect(Set(sent.map(\.transaction)) == [try #require(reply.answer.transaction)])
        #expect(world.log.reversals.isEmpty && world.trace.contains("durable CLOSE REVERSAL"))
        #expect(world.trace.contains("durable REFUSAL 1") && !world.trace.contains("prepare db1"))
        #expect(world.count(.reversalEnqueued) == 1 && world.count(.reversalSucceeded) == 1)
        #expect(world.count(.reversalFailed) == 2)
    }

    /// Goal: transport failures never use up a reversal's attempts.
    @Test func transportFailuresDoNotParkAReversal() async throws {
        let world = World()
        world.clearing.votes.answer(.unknown("silence"))
        world.clearing.reversals.answer(inTurn: Array(repeating: .failed("timeout"), count: 9) + [.acknowledged])
        try await world.pay("r1")
        try await world.idle()
        #expect(world.clearing.reversals.orders.count == 10 && world.log.reversals.isEmpty)
        #expect(world.count(.reversalParked) == 0)
    }

    /// Goal: a reversal that the network refuses for good is parked, forced into the log and kept.
    @Test func aReversalThatIsRefusedTooOftenIsParked() async throws {
        let world = World()
        world.clearing.votes.answer(.unknown("silence"))
        world.clearing.reversals.answer(.refused("unknown merchant"))
        try await world.pay("r1")
        try await world.idle()
        try await eventually("the parking is durable") { world.trace.contains("durable PARK REVERSAL") }

        #expect(world.clearing.reversals.orders.count == 3)
        #expect(world.trace.contains("append PARK REVERSAL forced"))
        #expect(world.log.reversals.map(\.parkedReason) == ["unknown merchant"])
        #expect(world.count(.reversalParked) == 1 && world.count(.reversalFailed) == 3)
        #expect(await world.gauges().openReversals == 0)
    }

    /// Goal: a database that fails before anything was prepared declines the payment, and the hold is undone.
    @Test func aDatabaseThatCannotBeAskedDeclines() async throws {
        let world = World()
        world.database.votes.answer(.no(.unavailable("no slots")))
        let reply = try await world.pay("r1")
        try await world.idle()
        #expect(reply.answer.text == "DECLINED db_error" && reply.answer.transaction != nil)
        #expect(world.trace.count("reverse") == 1 && world.database.resolutions.orders.isEmpty)
        #expect(world.trace.all.contains("durable END aborted"))
    }

    /// Goal: a database vote that is unknown may be a prepared branch: it is rolled back before END.
    @Test func anUnknownDatabaseVoteIsRolledBack() async throws {
        let world = World()
        world.database.votes.answer(.unknown("the connection was lost"))
        world.database.resolutions.answer(inTurn: [.open("the backend lives"), .done(.absence)])
        #expect(try await world.pay("r1").answer.text == "DECLINED db_error")
        try await world.idle()
        #expect(world.database.resolutions.orders.map(\.decision) == [.aborted, .aborted])
        #expect(world.trace.contains("durable END aborted"))
    }

    /// Goal: with two databases, the refusal of one rolls the other's prepared branch back, and only that.
    @Test func theOtherDatabasesBranchIsRolledBack() async throws {
        let world = World(databases: 2)
        world.databases[0].votes.answer(.no(.unavailable("no connection")))
        #expect(try await world.pay(.acrossTwoDatabases).answer.text == "DECLINED db_error")
        try await world.idle()
        #expect(world.databases[0].resolutions.orders.isEmpty)
        #expect(world.databases[1].resolutions.orders.map(\.decision) == [.aborted])
    }

    /// Goal: a database that is not sure is asked again until it is, and the client hears nothing until then.
    @Test func aCommitIsToldUntilItIsProven() async throws {
        let world = World()
        world.database.resolutions.answer(inTurn: [.open("busy"), .open("busy"), .done(.witness)])
        world.clearing.confirmations.answer(inTurn: [.open("503"), .done(.acknowledgement)])
        #expect(try await world.pay("r1").answer.text == "APPROVED")
        try await world.idle()
        #expect(world.database.resolutions.orders.count == 3)
        #expect(world.clearing.confirmations.orders.map(\.isRepeat) == [false, true])
    }
}
