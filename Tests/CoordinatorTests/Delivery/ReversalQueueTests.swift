import Coordinator
import Testing

/// A reference to a queue: expectations take values that they cannot change.
private final class Worker {
    private var queue: ReversalQueue

    init(_ queue: ReversalQueue) { self.queue = queue }

    var openCount: Int { queue.openCount }
    var nextDue: MonotonicTime? { queue.nextDue }

    func enqueue(_ task: ReversalTask, at now: MonotonicTime, mayHaveBeenSent: Bool) {
        queue.enqueue(task, at: now, mayHaveBeenSent: mayHaveBeenSent)
    }

    func hasten(_ transaction: TransactionID, at now: MonotonicTime) -> Bool { queue.hasten(transaction, at: now) }

    func withdraw(_ transaction: TransactionID) -> ReversalQueue.Withdrawal { queue.withdraw(transaction) }

    func takeDue(at now: MonotonicTime) -> ReversalOrder? { queue.takeDue(at: now) }

    func postpone(_ transaction: TransactionID, until: MonotonicTime) { queue.postpone(transaction, until: until) }

    func releasePostponed(at now: MonotonicTime) { queue.releasePostponed(at: now) }

    func replied(_ transaction: TransactionID, _ reply: ReversalReply, at now: MonotonicTime) -> LogWrite? {
        queue.replied(transaction, reply, at: now)
    }
}

@Suite struct ReversalQueueTests {
    private static let settings = ReversalQueue.Settings(
        refusalsMax: 3, backoff: Backoff(base: Milliseconds(250), ceiling: Milliseconds(60_000)), inFlightMax: 2)

    private static func time(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: milliseconds * 1_000_000)
    }

    private static func queue(_ numbers: UInt64..., mayHaveBeenSent: Bool = false) -> Worker {
        let queue = Worker(ReversalQueue(settings: settings))
        for number in numbers {
            queue.enqueue(
                Samples.reversal(Samples.transactionID(number)), at: time(number), mayHaveBeenSent: mayHaveBeenSent)
        }
        return queue
    }

    @Test func anAcknowledgedTaskIsClosedOnce() throws {
        let queue = Self.queue(1)
        #expect(queue.openCount == 1)
        #expect(queue.takeDue(at: Self.time(0)) == nil, "not due yet")
        let order = try #require(queue.takeDue(at: Self.time(1)))
        #expect(order.transaction == Samples.transactionID(1))
        #expect(order.intent == Samples.intent())
        #expect(!order.isRepeat)
        #expect(queue.takeDue(at: Self.time(1)) == nil, "it is on its way")
        #expect(queue.openCount == 1, "still open until the network says so")
        let write = queue.replied(order.transaction, .acknowledged, at: Self.time(2))
        #expect(write == .closeReversal(ReversalClosedRecord(transaction: order.transaction)))
        #expect(queue.openCount == 0)
        #expect(queue.replied(order.transaction, .acknowledged, at: Self.time(3)) == nil, "a reply that comes twice")
        #expect(queue.nextDue == nil)
    }

    /// An outage of a hundred attempts uses up nothing: the task is retried with growing pauses, to the ceiling and no further.
    @Test func transportFailuresNeverParkIt() throws {
        let queue = Self.queue(1)
        var now = Self.time(1)
        var pauses: [Int64] = []
        for attempt in 1...100 {
            let order = try #require(queue.takeDue(at: now))
            #expect(order.isRepeat == (attempt > 1))
            #expect(queue.replied(order.transaction, .failed("timeout"), at: now) == nil)
            let due = try #require(queue.nextDue)
            #expect(queue.takeDue(at: MonotonicTime(nanoseconds: due.nanoseconds - 1)) == nil)
            pauses.append(due.since(now).count)
            now = due
        }
        #expect(pauses.prefix(9) == [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000])
        #expect(pauses.last == 60_000)
        #expect(queue.openCount == 1)
    }

    @Test func definiteRefusalsParkItAtTheLimit() throws {
        let queue = Self.queue(1)
        let id = Samples.transactionID(1)
        var now = Self.time(1)
        for refusals in 1...2 {
            _ = try #require(queue.takeDue(at: now))
            #expect(
                queue.replied(id, .refused("no"), at: now)
                    == .reversalRefused(ReversalRefusedRecord(transaction: id, refusals: refusals, reason: "no")))
            now = try #require(queue.nextDue)
            // A failure in between does not count.
            _ = try #require(queue.takeDue(at: now))
            #expect(queue.replied(id, .failed("timeout"), at: now) == nil)
            now = try #require(queue.nextDue)
        }
        _ = try #require(queue.takeDue(at: now))
        #expect(
            queue.replied(id, .refused("still no"), at: now)
                == .parkReversal(ReversalParkedRecord(transaction: id, reason: "still no")))
        #expect(queue.openCount == 0)
    }

    /// The log's count goes on after a restart.
    @Test func refusalsOfAnEarlierProcessCount() throws {
        var task = Samples.reversal()
        task.refusals = 2
        let queue = Worker(ReversalQueue(settings: Self.settings))
        queue.enqueue(task, at: Self.time(0), mayHaveBeenSent: true)
        let order = try #require(queue.takeDue(at: Self.time(0)))
        #expect(order.isRepeat, "an earlier process may have sent it")
        guard case .parkReversal = queue.replied(order.transaction, .refused("no"), at: Self.time(1)) else {
            Issue.record("the third refusal did not park it")
            return
        }
    }

    @Test func parkedTasksAndRepeatedOnesAreNotTaken() {
        let queue = Self.queue(1)
        queue.enqueue(Samples.reversal(Samples.transactionID(1)), at: Self.time(0), mayHaveBeenSent: false)
        var parked = Samples.reversal(Samples.transactionID(2))
        parked.parkedReason = "an operator looks at it"
        queue.enqueue(parked, at: Self.time(0), mayHaveBeenSent: false)
        #expect(queue.openCount == 1)
        #expect(queue.takeDue(at: Self.time(9))?.transaction == Samples.transactionID(1))
        // Nor while it is on its way.
        queue.enqueue(Samples.reversal(Samples.transactionID(1)), at: Self.time(0), mayHaveBeenSent: false)
        #expect(queue.takeDue(at: Self.time(9)) == nil)
    }

    @Test func placesInFlightAreBounded() throws {
        let queue = Self.queue(3, 1, 2)
        let first = try #require(queue.takeDue(at: Self.time(9)))
        let second = try #require(queue.takeDue(at: Self.time(9)))
        #expect([first, second].map(\.transaction.high) == [1, 2], "the one that is due longest goes first")
        #expect(queue.takeDue(at: Self.time(9)) == nil)
        #expect(queue.nextDue == nil, "no place is free: the next reply wakes the worker")
        _ = queue.replied(second.transaction, .failed("timeout"), at: Self.time(9))
        #expect(queue.nextDue == Self.time(3))
        #expect(queue.takeDue(at: Self.time(9))?.transaction.high == 3)
    }

    /// An open breaker uses up neither attempts nor the place, and what was not sent is no repeat.
    @Test func aPostponedOrderCostsNothing() throws {
        let queue = Self.queue(1)
        let id = Samples.transactionID(1)
        for round in 1...50 {
            let now = Self.time(UInt64(round) * 1000)
            let order = try #require(queue.takeDue(at: now))
            #expect(!order.isRepeat)
            queue.postpone(id, until: now + .seconds(1))
            #expect(queue.nextDue == now + .seconds(1))
        }
        let now = Self.time(51_000)
        _ = try #require(queue.takeDue(at: now))
        _ = queue.replied(id, .failed("timeout"), at: now)
        #expect(queue.nextDue == now + Milliseconds(250), "the first pause, not the fiftieth")
    }

    @Test func whatIsNotOnItsWayIsNeitherPostponedNorAnswered() {
        let queue = Self.queue(1)
        queue.postpone(Samples.transactionID(1), until: Self.time(99_000))
        queue.postpone(Samples.transactionID(5), until: Self.time(99_000))
        #expect(queue.replied(Samples.transactionID(1), .acknowledged, at: Self.time(1)) == nil)
        #expect(queue.nextDue == Self.time(1))
        #expect(queue.takeDue(at: Self.time(1)) != nil)
    }

    /// Goal: when the breaker closes, what was put back for it goes out at once, and once.
    @Test func aClosedBreakerReleasesWhatWasPostponed() throws {
        let queue = Self.queue(1, 2)
        let first = try #require(queue.takeDue(at: Self.time(10)))
        queue.postpone(first.transaction, until: Self.time(20_000))
        let second = try #require(queue.takeDue(at: Self.time(10)))
        _ = queue.replied(second.transaction, .failed("timeout"), at: Self.time(10))
        queue.releasePostponed(at: Self.time(20))
        #expect(queue.takeDue(at: Self.time(20))?.transaction == first.transaction)
        #expect(queue.takeDue(at: Self.time(20)) == nil, "the other one keeps its backoff, and this one is on its way")
        _ = queue.replied(first.transaction, .acknowledged, at: Self.time(21))
        #expect(queue.takeDue(at: Self.time(260))?.transaction == second.transaction)
        #expect(queue.takeDue(at: Self.time(30_000)) == nil, "the old time is not a second order")
    }

    @Test(
        "Goal: what an operator wants sent is due at once, its refusals forgotten; what is on its way is not sent twice"
    )
    func whatIsHastenedIsDueAtOnce() throws {
        let queue = Self.queue(1)
        let id = Samples.transactionID(1)
        for _ in 1...2 {
            let due = try #require(queue.nextDue)
            _ = try #require(queue.takeDue(at: due))
            _ = queue.replied(id, .refused("no"), at: due)
        }
        let later = try #require(queue.nextDue)
        let now = Self.time(500)
        #expect(now < later && queue.takeDue(at: now) == nil)
        #expect(queue.hasten(id, at: now))
        #expect(queue.openCount == 1 && queue.nextDue == now)
        #expect(queue.takeDue(at: now)?.transaction == id)
        #expect(queue.hasten(id, at: now), "it is here")
        #expect(queue.takeDue(at: now) == nil, "it is on its way")
        guard case .reversalRefused(let record)? = queue.replied(id, .refused("no"), at: now) else {
            Issue.record("a third refusal would have parked it")
            return
        }
        #expect(record.refusals == 1)
        #expect(!queue.hasten(Samples.transactionID(9), at: now))
    }

    @Test(
        "Goal: a task that is withdrawn while it is on its way is not sent again, and what the network has undone is noted"
    )
    func withdrawnInFlight() throws {
        for (reply, closes) in [(ReversalReply.failed("busy"), false), (.refused("no"), false), (.acknowledged, true)] {
            let queue = Self.queue(1)
            let order = try #require(queue.takeDue(at: Self.time(10)))
            #expect(queue.withdraw(order.transaction) == .inFlight)
            let write = queue.replied(order.transaction, reply, at: Self.time(11))
            #expect((write != nil) == closes)
            #expect(queue.openCount == 0 && queue.takeDue(at: Self.time(1_000_000)) == nil)
        }
        let queue = Self.queue(1)
        let order = try #require(queue.takeDue(at: Self.time(10)))
        _ = queue.withdraw(order.transaction)
        queue.postpone(order.transaction, until: Self.time(5))
        #expect(queue.openCount == 0)
        #expect(queue.withdraw(order.transaction) == .notHere)
    }
}
