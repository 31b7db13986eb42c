import Coordinator
import Runtime
import Telemetry
import Testing

/// A start on what an earlier process left, carried out from the plan that `recover --dry-run` prints.
@Suite struct RecoveryTests {
    private static let first = DatabaseIndex(rawValue: 1)

    private static func task(_ begin: BeginRecord) -> ReversalTask {
        ReversalTask(transaction: begin.transaction, intent: begin.intent, createdAt: WallTime(microseconds: 5))
    }

    private static func commit(_ begin: BeginRecord) -> LogWrite {
        .commit(CommitRecord(transaction: begin.transaction, authorizationCode: "A1"))
    }

    private static func abort(_ begin: BeginRecord, reversal: Bool = true) -> LogWrite {
        .abort(
            AbortRecord(
                transaction: begin.transaction, reason: .clearingUnavailable, claim: .declined,
                reversal: reversal ? task(begin) : nil))
    }

    /// Goal: what was undecided is aborted with its reversal, and the start goes on only when all of these decisions are durable.
    @Test func presumedAbortsAreDurableBeforeTheStartGoesOn() async throws {
        let world = World()
        let begins = [Payment("r1").begin(1), Payment("r2").begin(2)]
        for begin in begins { _ = try world.log.write(.begin(begin)).get() }
        world.log.hold(\.isAbort)
        let isDecided = world.carryOut(try world.plan(observations: [Self.first: World.sighting(prepared: begins)]))
        try await world.settle()
        #expect(
            world.trace.all == [
                "look up db1", "look up db1", "append ABORT with reversal forced", "append ABORT with reversal forced",
            ])
        #expect(!isDecided.isOn)

        world.log.release()
        try await eventually("the start goes on") { isDecided.isOn }
        try await world.idle()
        #expect(world.database.resolutions.orders.map(\.begin) == begins)
        #expect(world.database.resolutions.orders.map(\.decision) == [.aborted, .aborted])
        #expect(Set(world.clearing.reversals.orders.map(\.transaction)) == Set(begins.map(\.transaction)))
        #expect(world.log.active.isEmpty && world.log.reversals.isEmpty)
        #expect(try await world.pay("r1").answer == .declined(.clearingUnavailable, begins[0].transaction))
        #expect(world.count(.twoPhaseAborted) == 2)
    }

    /// Goal: what an earlier process began is reversed only when its database has proven that it did not commit: this log may be a
    /// copy, and the payment may be made where the original runs. So it stays over further starts.
    @Test(arguments: [false, true])
    func theReversalOfAnEarlierPaymentWaitsForItsDatabase(isDecided: Bool) async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        if isDecided { _ = try world.log.write(Self.abort(begin)).get() }
        world.database.lookUps.answer(.unknown("the database is away"))
        world.database.resolutions.answer(.open("the database is away"))
        let isSettled = world.carryOut(try world.plan())
        try await eventually("the start goes on") { isSettled.isOn }
        try await eventually("the database is told again and again") { world.trace.count("resolve db1 aborted") >= 3 }
        #expect(world.clearing.reversals.orders.isEmpty && world.log.reversals.count == 1)
        #expect(await world.gauges().openReversals == 1)

        world.database.resolutions.answer(.done(.absence))
        try await world.idle()
        #expect(world.clearing.reversals.orders.map(\.transaction) == [begin.transaction])
        #expect(world.log.active.isEmpty && world.log.reversals.isEmpty)
    }

    /// Goal: another database that is away does not delay the reversal: the payment's own is the witness.
    @Test func theReversalDoesNotWaitForTheOtherDatabase() async throws {
        let world = World(databases: 2)
        let begin = Payment.acrossTwoDatabases.begin(1, databases: 2)
        _ = try world.log.write(.begin(begin)).get()
        let payments = try #require(begin.paymentDatabase)
        for database in world.databases where .database(database.index) != payments {
            database.resolutions.answer(.open("the database is away"))
        }
        _ = world.carryOut(try world.plan())
        try await eventually("the reversal is sent") { world.clearing.reversals.orders.count == 1 }
        #expect(world.log.active.count == 1)
    }

    /// Goal: what has ended since the plan was made is not told once more.
    @Test func whatEndedSinceThePlanIsLeftAlone() async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        _ = try world.log.write(Self.abort(begin)).get()
        let plan = try world.plan()
        let end = EndRecord(transaction: begin.transaction, requestID: begin.intent.requestID, outcome: .aborted)
        _ = try world.log.write(.end(end)).get()
        _ = try world.log.write(.closeReversal(ReversalClosedRecord(transaction: begin.transaction))).get()
        _ = world.carryOut(plan)
        try await world.settle()
        #expect(world.trace.all.isEmpty)
    }

    /// Goal: a presumed abort that finds no room holds the start up until it is written.
    @Test func aPresumedAbortIsTriedUntilItIsWritten() async throws {
        let world = World()
        _ = try world.log.write(.begin(Payment("r1").begin(1))).get()
        world.log.refuseAsFull(\.isAbort)
        let isDecided = world.carryOut(try world.plan())
        try await eventually("it was tried twice") { world.trace.count("refused ABORT with reversal") >= 2 }
        #expect(!isDecided.isOn)
        world.log.refuseAsFull { _ in false }
        try await eventually("the start goes on") { isDecided.isOn }
    }

    /// Goal: an undecided transaction that somebody decides or removes in between does not hold the start up for ever.
    @Test(arguments: [true, false])
    func aPresumedAbortThatIsOvertakenLetsTheStartGoOn(isDecidedBeside: Bool) async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        let plan = try world.plan()
        if isDecidedBeside {
            _ = try world.log.write(Self.commit(begin)).get()
        } else {
            world.log.lose(begin.transaction)
        }
        let isDecided = world.carryOut(plan)
        try await eventually("the start goes on") { isDecided.isOn }
        try await world.idle()
        #expect(world.database.resolutions.orders.map(\.decision) == (isDecidedBeside ? [.committed] : []))
        #expect(world.clearing.reversals.orders.isEmpty)
    }

    /// Goal: a COMMIT is carried out at every participant, marked as a repeat; the start does not wait for it; its client's repeat
    /// hears APPROVED as soon as the payment's database has it.
    @Test func aCommitIsCarriedOut() async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        _ = try world.log.write(Self.commit(begin)).get()
        world.database.resolutions.hold()
        let isDecided = world.carryOut(try world.plan(observations: [Self.first: World.sighting(prepared: [begin])]))
        try await eventually("the start goes on") { isDecided.isOn }
        let ticket = world.submit("r1")
        try await world.settle()
        #expect(!ticket.isAnswered && world.clearing.confirmations.orders.isEmpty)

        world.database.resolutions.release(.done(.acknowledgement))
        #expect(try await ticket.reply().answer == .approved(begin.transaction))
        try await world.idle()
        #expect(world.clearing.confirmations.orders.map(\.isRepeat) == [true])
        #expect(world.log.active.isEmpty)
    }

    /// Goal: what was acknowledged before the crash is not told again.
    @Test func anAcknowledgedParticipantIsNotToldAgain() async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        _ = try world.log.write(Self.commit(begin)).get()
        let proof = AcknowledgedRecord(
            transaction: begin.transaction, participant: .database(Self.first), proof: .acknowledgement)
        _ = try world.log.write(.acknowledged(proof)).get()
        world.clearing.confirmations.hold()
        _ = world.carryOut(try world.plan())
        #expect(try await world.pay("r1") == Reply(.approved(begin.transaction), isRepeat: true))
        world.clearing.confirmations.release(.done(.acknowledgement))
        try await world.idle()
        #expect(world.database.resolutions.orders.isEmpty && world.clearing.confirmations.orders.count == 1)
    }

    /// Goal: an ABORT is carried out, and its open reversal, which may have been sent, is sent once, as a repeat.
    @Test func anAbortIsCarriedOut() async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        _ = try world.log.write(Self.abort(begin)).get()
        let isDecided = world.carryOut(try world.plan(observations: [Self.first: World.sighting(prepared: [begin])]))
        try await world.idle()
        #expect(isDecided.isOn)
        #expect(world.database.resolutions.orders.map(\.decision) == [.aborted])
        #expect(world.clearing.reversals.orders.map(\.isRepeat) == [true])
        #expect(world.log.active.isEmpty && world.log.reversals.isEmpty)
        #expect(world.count(.reversalEnqueued) == 1 && world.count(.reversalSucceeded) == 1)
    }

    /// Goal: reversals of transactions that have ended are taken up too; a parked one is left alone.
    @Test func openReversalsAreSentAgain() async throws {
        let world = World()
        let begins = (1...3).map { Payment("r\($0)").begin(UInt64($0)) }
        for begin in begins {
            _ = try world.log.write(.begin(begin)).get()
            _ = try world.log.write(Self.abort(begin)).get()
            let end = EndRecord(
                transaction: begin.transaction, requestID: begin.intent.requestID, outcome: .aborted)
            _ = try world.log.write(.end(end)).get()
        }
        let parking = ReversalParkedRecord(transaction: begins[1].transaction, reason: "refused")
        _ = try world.log.write(.parkReversal(parking)).get()
        _ = world.carryOut(try world.plan())
        try await world.idle()
        #expect(
            Set(world.clearing.reversals.orders.map(\.transaction)) == [
                begins[0].transaction, begins[2].transaction,
            ])
        #expect(world.clearing.reversals.orders.allSatisfy { $0.isRepeat })
        #expect(world.log.reversals.map(\.transaction) == [begins[1].transaction])
        #expect(world.count(.reversalEnqueued) == 2)
    }

    /// Goal: a parking of recovery's own that finds no room is written when there is room, not at the next start, and keeps nobody waiting.
    @Test func aParkingOfRecoveryIsTriedUntilItIsWritten() async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        world.log.refuseAsFull(\.isPark)
        let seen = World.sighting(witnessed: [begin.transaction])
        let isDecided = world.carryOut(try world.plan(observations: [Self.first: seen]))
        try await eventually("the start goes on") { isDecided.isOn }
        try await eventually("the parking was tried twice") { world.trace.count("refused PARK db1") >= 2 }
        world.log.refuseAsFull { _ in false }
        try await eventually("it is parked") { world.trace.contains("durable PARK db1") }
        #expect(world.log.active(begin.transaction)?.isParked == true)
        #expect(world.count(.heuristic) == 1)
    }

    /// Goal: a payment that a database shows as made is never undone on our own: parked before the start goes on, shown and counted.
    @Test(arguments: [false, true])
    func aWitnessWithoutACommitIsParked(isAborted: Bool) async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        if isAborted { _ = try world.log.write(Self.abort(begin)).get() }
        world.log.hold(\.isPark)
        let seen = World.sighting(witnessed: [begin.transaction])
        let isDecided = world.carryOut(try world.plan(observations: [Self.first: seen]))
        try await world.settle()
        #expect(world.trace.all == ["append PARK db1 forced"] && !isDecided.isOn)
        world.log.release()
        try await eventually("the start goes on") { isDecided.isOn }

        try await world.idle()
        #expect(world.trace.all == ["append PARK db1 forced", "durable PARK db1"])
        #expect(try await world.status("r1")?.state == .heuristic)
        let gauges = await world.gauges()
        #expect(gauges.parked == 1 && gauges.unfinished == 1)
        #expect(world.count(.heuristic) == 1)

        // The next start finds it parked, and leaves it so.
        let later = World()
        _ = try later.log.write(.begin(begin)).get()
        if isAborted { _ = try later.log.write(Self.abort(begin)).get() }
        let record = ParkedRecord(
            transaction: begin.transaction, participant: .database(Self.first), evidence: "the row is visible")
        _ = try later.log.write(.park(record)).get()
        let isLaterDecided = later.carryOut(try later.plan(observations: [Self.first: seen]))
        try await later.idle()
        #expect(isLaterDecided.isOn, "nothing keeps the start")
        #expect(later.trace.all.isEmpty, "neither an abort nor a reversal")
        #expect(try await later.status("r1")?.state == .heuristic)
        #expect(await later.gauges().parked == 1)
        #expect(try await later.pay(Payment("r2").with { $0.card = 2 }).answer.text == "APPROVED")
    }

    /// Goal: a COMMIT whose branch is gone without a row is told to the database, which finds it so, and parked.
    @Test func aCommitThatWasRolledBackIsParked() async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        _ = try world.log.write(Self.commit(begin)).get()
        world.database.resolutions.answer(.heuristic("neither prepared nor visible"))
        _ = world.carryOut(try world.plan())
        try await world.idle()
        #expect(world.trace.contains("durable PARK db1") && world.clearing.confirmations.orders.isEmpty)
        #expect(await world.gauges().parked == 1)
    }

    /// Goal: a branch that is prepared again after its end gets its decision again, and nobody else is bothered.
    @Test(arguments: [Outcome.committed, .aborted])
    func aBranchThatIsPreparedAgainIsResolvedAgain(outcome: Outcome) async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        _ = try world.log.write(
            outcome == .committed ? Self.commit(begin) : Self.abort(begin, reversal: false)
        ).get()
        var ended = try #require(world.log.active(begin.transaction))
        ended.acknowledged = [.database(Self.first): .acknowledgement]
        if outcome == .committed { ended.acknowledged[.clearing] = .acknowledgement }
        let end = EndRecord(transaction: begin.transaction, requestID: begin.intent.requestID, outcome: outcome)
        _ = try world.log.write(.end(end)).get()

        let seen = World.sighting(prepared: [begin])
        let plan = try world.plan(observations: [Self.first: seen], history: [ended])
        world.log.hold { if case .reopen = $0 { true } else { false } }
        let isDecided = world.carryOut(plan.onlyStrays)
        try await world.settle()
        #expect(!isDecided.isOn && world.database.resolutions.orders.isEmpty, "first it is unfinished in the log")
        world.log.release()
        try await eventually("the plan is in the log") { isDecided.isOn }
        try await world.idle()
        #expect(world.database.resolutions.orders.map(\.decision) == [outcome])
        #expect(world.log.active.isEmpty && world.count(.lostCommit) == (outcome == .committed ? 1 : 0))
        let isRefused = world.trace.all.contains { $0.hasPrefix("refused") }
        #expect(!isRefused, "what the database answers is taken: \(world.trace.all)")
        #expect(world.clearing.confirmations.orders.isEmpty && world.clearing.reversals.orders.isEmpty)
        #expect(await world.gauges().unfinished == 0)
        #expect(world.count(.approved) == 0 && world.count(.declined) == 0, "nobody was answered")
    }

    /// Goal: the end of an old attempt that is resolved again does not take the request_id from the attempt that has it now.
    @Test func aBranchOfAReleasedAttemptLeavesTheNewOneAlone() async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        _ = try world.log.write(.begin(begin)).get()
        let abort = AbortRecord(
            transaction: begin.transaction, reason: .databaseError, claim: .released, reversal: nil)
        _ = try world.log.write(.abort(abort)).get()
        let ended = try #require(world.log.active(begin.transaction))
        let end = EndRecord(
            transaction: begin.transaction, requestID: begin.intent.requestID, outcome: .aborted)
        _ = try world.log.write(.end(end)).get()

        world.clearing.votes.hold()
        let second = world.submit("r1")
        try await world.settle()
        let seen = World.sighting(prepared: [begin])
        let plan = try world.plan(observations: [Self.first: seen], history: [ended])
        _ = world.carryOut(plan.onlyStrays)
        try await world.settle()
        #expect(world.database.resolutions.orders.map(\.decision) == [.aborted])
        let joined = world.submit("r1")
        try await world.settle()
        #expect(!joined.isAnswered)
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await joined.reply() == second.reply())
    }

    /// Goal: a plan carried out twice does nothing the second time.
    @Test func aPlanThatIsCarriedOutTwiceDoesNothingMore() async throws {
        let world = World()
        let begins = [Payment("r1").begin(1), Payment("r2").begin(2)]
        for begin in begins { _ = try world.log.write(.begin(begin)).get() }
        _ = try world.log.write(Self.commit(begins[1])).get()
        let plan = try world.plan()
        world.database.resolutions.hold()
        _ = world.carryOut(plan)
        _ = world.carryOut(plan)
        try await world.settle()
        world.database.resolutions.release(.done(.acknowledgement))
        try await world.idle()
        #expect(world.trace.count("append ABORT with reversal forced") == 1)
        #expect(world.database.resolutions.orders.count == 2 && world.clearing.confirmations.orders.count == 1)
        #expect(world.clearing.reversals.orders.count == 1)

        #expect(try world.plan().hasWork == false)
        let trace = world.trace.all
        _ = world.carryOut(try world.plan())
        try await world.idle()
        #expect(world.trace.all == trace)
    }

    /// Goal: an empty plan lets the start go on at once.
    @Test func anEmptyPlanIsDecidedAtOnce() async throws {
        let world = World()
        let isDecided = world.carryOut(try world.plan())
        try await eventually("the start goes on") { isDecided.isOn }
        #expect(world.trace.all.isEmpty)
    }

    /// Goal: what recovery takes up takes no place in flight from new payments, decided or not.
    @Test func recoveryTakesNoPlaces() async throws {
        let world = World { $0.inFlightMax = 1 }
        let begins = (1...3).map { Payment("r\($0)").begin(UInt64($0)) }
        for begin in begins { _ = try world.log.write(.begin(begin)).get() }
        _ = try world.log.write(Self.commit(begins[0])).get()
        _ = try world.log.write(Self.abort(begins[1])).get()
        world.database.resolutions.hold()
        world.log.hold(\.isAbort)
        let isDecided = world.carryOut(try world.plan())
        try await world.settle()
        #expect(world.trace.contains("append ABORT with reversal forced"))
        #expect(await world.gauges().undecided == 0)
        world.log.release()
        try await eventually("the start goes on") { isDecided.isOn }
        #expect(await world.gauges().undecided == 0)

        let ticket = world.submit("new")
        try await world.settle()
        #expect(world.trace.contains("durable COMMIT"))
        world.database.resolutions.release(.done(.acknowledgement))
        #expect(try await ticket.reply().answer.text == "APPROVED")
    }
}
