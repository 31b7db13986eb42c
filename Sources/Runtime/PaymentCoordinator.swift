public import Coordinator
public import NIOCore
public import Payments
public import Telemetry

/// Runs the transactions of one log: takes submissions, brings the core's effects to the log and the participants, and their results
/// back to the core.
///
/// All of its state belongs to one event loop; public methods may be called from any thread.
public final class PaymentCoordinator: @unchecked Sendable {
    // @unchecked: every stored `var` is touched on `loop` only; methods that are not public assert it.

    let loop: any EventLoop
    let log: any TransactionLog
    let databases: [DatabaseIndex: any DatabaseParticipant]
    let clearing: any ClearingNetwork
    let settings: CoordinatorSettings
    let events: EventLog
    let counters: Counters
    let faults: FaultInjector
    let epoch: Epoch
    /// Whether the log and its disk have room for new payments.
    let logAdmits: @Sendable () -> Bool
    let time: TimeSource
    /// Names a transaction that begins at the time given.
    let newTransaction: @Sendable (WallTime) -> TransactionID

    var flights: [TransactionID: Flight] = [:]
    let flightOfRequest = Claims()
    var undecided = 0 { didSet { noteRoom() } }
    /// Those who wait for a place in flight, in the order in which they came and will have to leave.
    var queue = CircularBuffer<QueuePlace>() { didSet { noteRoom() } }
    /// What is left of both.
    private let room = AdmissionRoom()
    var nextWaiter: UInt64 = 0
    /// How long payments may remain undecided.
    private(set) lazy var decisionDeadlines = DeadlineQueue<TransactionID>(
        loop: loop, duration: .milliseconds(settings.prepareTimeout.count),
        isOver: { [unowned self] in flights[$0]?.hasDeadline != true },
        expire: { [unowned self] in
            guard let flight = flights[$0] else { return }
            flight.hasDeadline = false
            give(.deadlinePassed(now: time.wall()), to: flight)
        })
    /// How long those who asked wait for the outcome.
    private(set) lazy var waits = DeadlineQueue<Wait>(
        loop: loop, duration: .milliseconds(settings.prepareTimeout.count + settings.commitTimeout.count),
        isOver: { [unowned self] in flights[$0.transaction]?.isAwaited(by: $0.number) != true },
        expire: { [unowned self] in waitEnded($0) })
    /// How long submissions wait for a place in flight: no longer than a payment may take to its decision.
    private(set) lazy var placeWaits = DeadlineQueue<UInt64>(
        loop: loop, duration: .milliseconds(settings.prepareTimeout.count),
        isOver: { [unowned self] number in queue.first.map { number < $0.number } ?? true },
        expire: { [unowned self] in placeWaitEnded($0) })
    var isDraining = false { didSet { noteRoom() } }
    var breaker: CircuitBreaker
    var velocity: RiskVelocity?
    var reversals: ReversalQueue
    var reversalTimer: Scheduled<Void>?
    /// Transactions whose reversals were held until now.
    var reversalsToTakeUp: Set<TransactionID> = []
    /// Those that have left the queue, and the log has had no room to say so.
    var reversalsToWrite: Set<TransactionID> = []
    var idleWatchers: [() -> Void] = []
    /// Set before the first submission, or never: told every step of every transaction's machine.
    package var watchSteps: ((MachineStep) -> Void)?
    /// Transactions that wait for an operator and have no flight, because nothing may be done for them.
    var parkedWithoutFlight: Set<TransactionID> = []

    struct QueuedSubmission {
        let submission: Submission
        let completion: @Sendable (Reply) -> Void
    }

    /// A submission that waits for a place in flight.
    struct QueuePlace {
        let number: UInt64
        let queued: QueuedSubmission
    }

    /// Somebody's wait for the outcome of a transaction.
    struct Wait {
        let transaction: TransactionID
        let number: UInt64
    }

    /// - Parameters:
    ///   - logAdmits: whether the log and its disk have room for new payments.
    ///   - time: the clocks; timers are the loop's.
    ///   - newTransaction: names a transaction that begins at the time given; no name may ever be drawn twice.
    public init(
        loop: any EventLoop, log: any TransactionLog, epoch: Epoch, databases: [any DatabaseParticipant],
        clearing: any ClearingNetwork, settings: CoordinatorSettings, events: EventLog, counters: Counters,
        faults: FaultInjector, logAdmits: @escaping @Sendable () -> Bool, time: TimeSource = .system,
        newTransaction: @escaping @Sendable (WallTime) -> TransactionID = IdentifierSource.transaction
    ) {
        self.loop = loop
        self.log = log
        self.epoch = epoch
        self.databases = Dictionary(uniqueKeysWithValues: databases.map { ($0.index, $0) })
        self.clearing = clearing
        self.settings = settings
        self.events = events
        self.counters = counters
        self.faults = faults
        self.logAdmits = logAdmits
        self.time = time
        self.newTransaction = newTransaction
        breaker = CircuitBreaker(settings: settings.breaker)
        reversals = ReversalQueue(settings: settings.reversals)
        velocity = settings.velocity.map {
            RiskVelocity(limit: $0.limit, windowMilliseconds: $0.window.count)
        }
        noteRoom()
    }

    // MARK: - Submissions

    /// Takes a payment request. `completion` is called exactly once, on the coordinator's loop.
    public func submit(_ submission: Submission, completion: @escaping @Sendable (Reply) -> Void) {
        room.depart(submission)
        loop.execute { self.accept(submission, completion) }
    }

    private func accept(_ submission: Submission, _ completion: @escaping @Sendable (Reply) -> Void) {
        room.arrive(submission)
        defer { room.settle(submission) }
        counters.add(.total)
        let queued = QueuedSubmission(submission: submission, completion: completion)
        if answerFromMemory(queued) { return }
        // What is wrong with the request itself is told before what is wrong with the moment.
        if case .failure(let refusal) = submission.intent { return refuse(queued, refusal.reason) }
        if isDraining { return refuse(queued, .shuttingDown) }
        guard undecided < settings.inFlightMax, queue.isEmpty else {
            let isRepeat = submission.isNamedByClient && room.isQueued(submission.requestID)
            guard queue.count < settings.queueMax || isRepeat else { return refuse(queued, .serverBusy) }
            return waitForPlace(queued)
        }
        begin(queued)
    }

    /// Where payments drain none is refused as one too many.
    private func noteRoom() {
        let inFlight = queue.isEmpty ? max(0, settings.inFlightMax - undecided) : 0
        room.setPlaces(isDraining ? .max : inFlight + max(0, settings.queueMax - queue.count))
    }

    /// Whether ``submit(_:completion:)`` would refuse a well-formed request as one too many if it came now, behind those that are on
    /// their way. For any thread: where there are many times more requests than places, what each of them costs this loop is taken from
    /// the payments, and what it would have to wait there for its refusal is spared.
    ///
    /// - Parameter request: as the client named it; what is known under it is never refused for want of a place.
    public func isFull(for request: RequestID?) -> Bool {
        guard room.isTaken else { return false }
        guard let request else { return true }
        guard !room.isExpected(request), flightOfRequest[request] == nil else { return false }
        do { return try log.lookUp(request) == nil } catch { return false }
    }

    /// Nobody waits in the queue longer than a payment may take to its decision: then nothing was begun, and the client is told so.
    private func waitForPlace(_ queued: QueuedSubmission) {
        nextWaiter += 1
        room.enqueue(queued.submission)
        queue.append(QueuePlace(number: nextWaiter, queued: queued))
        placeWaits.add(nextWaiter)
    }

    private func placeWaitEnded(_ number: UInt64) {
        guard queue.first?.number == number, let place = queue.popFirst() else { return }
        defer { room.dequeue(place.queued.submission) }
        if !answerFromMemory(place.queued) { refuse(place.queued, .serverBusy) }
        wakeIdleWatchers()
    }

    /// The look-up that comes before every limit: a request_id that is known is answered with what is known of it.
    ///
    /// - Returns: whether the request has been answered or waits with the first one.
    private func answerFromMemory(_ queued: QueuedSubmission) -> Bool {
        let submission = queued.submission
        let requestID = submission.requestID
        guard submission.isNamedByClient else { return false }
        if let transaction = flightOfRequest[requestID], let flight = flights[transaction] {
            guard submission.isRepeat(of: flight.intent) else {
                refuse(queued, .idempotencyConflict)
                return true
            }
            if let answer = flight.answer {
                answerRepeat(queued, answer)
            } else if flight.machine.waitsForOperator {
                answerRepeat(queued, .pending(transaction))
            } else {
                wait(flight, queued.completion)
            }
            return true
        }
        let entry: RequestEntry?
        do {
            entry = try log.lookUp(requestID)
        } catch {
            // Not known is not the same as new: nothing may be begun on it.
            events.emit(.error, .log, .requestID(requestID.text), .message("the look-up failed: \(error)"))
            refuse(queued, .transactionInitFailed)
            return true
        }
        guard let entry else { return false }
        guard submission.isRepeat(of: entry.intent) else {
            refuse(queued, .idempotencyConflict)
            return true
        }
        answerRepeat(queued, entry.answer)
        return true
    }

    private func answerRepeat(_ queued: QueuedSubmission, _ answer: Answer) {
        count(answer, isFirst: false)
        queued.completion(Reply(answer, isRepeat: true))
    }

    func refuse(_ queued: QueuedSubmission, _ reason: DeclineReason) {
        count(.refused(reason), isFirst: true)
        queued.completion(Reply(.refused(reason)))
    }

    // MARK: - Beginning

    private func begin(_ queued: QueuedSubmission) {
        let intent: PaymentIntent
        switch queued.submission.intent {
        case .success(let valid): intent = valid
        case .failure(let refusal): return refuse(queued, refusal.reason)
        }
        // Operations on an earlier payment are refused until their rules are here.
        guard intent.kind == .authorization else { return refuse(queued, .invalidState) }
        let branches = Placement.branches(of: intent, databases: databases.count)
        if let reason = reasonNotToBegin(branches: branches, intent: intent) { return refuse(queued, reason) }

        let wall = time.wall()
        let now = time.monotonic()
        let transaction = newTransaction(wall)
        let record = BeginRecord(
            transaction: transaction, epoch: epoch, intent: intent, branches: branches,
            deadline: WallTime(microseconds: wall.microseconds + settings.prepareTimeout.count * 1000))
        let machine = TransactionMachine(
            begin: record, decideBy: now + settings.prepareTimeout, timing: settings.timing)
        let flight = Flight(begin: record, machine: machine, startedAt: now)
        flights[transaction] = flight
        flightOfRequest[intent.requestID] = transaction
        undecided += 1
        wait(flight, queued.completion)
        flight.hasDeadline = true
        decisionDeadlines.add(transaction)
        give(.started, to: flight)
    }

    /// Every check that refuses a payment before anything is claimed. The risk window counts a payment only when it really begins, and
    /// the breaker's probe is taken last, because taking it is a promise to call.
    private func reasonNotToBegin(branches: [Branch], intent: PaymentIntent) -> DeclineReason? {
        let now = time.monotonic()
        guard logAdmits(), flights.count < settings.undeliveredMax else { return .serverBusy }
        for branch in branches {
            guard case .database(let index) = branch.participant else { continue }
            guard let database = databases[index], database.isAvailable else { return .databaseError }
        }
        guard breaker.nextAdmission(at: now) == nil else {
            counters.add(.breakerShortCircuit)
            return .clearingUnavailable
        }
        if velocity?.admit(token: intent.panToken, nowMilliseconds: Int64(now.nanoseconds / 1_000_000)) == false {
            return .riskVelocity
        }
        guard breaker.admit(at: now) else { return .clearingUnavailable }
        return nil
    }

    /// Places that became free are given to those who waited. Who drains has none to give: all are answered at once.
    func takeFromQueue() {
        while isDraining || undecided < settings.inFlightMax, let place = queue.popFirst() {
            defer { room.dequeue(place.queued.submission) }
            if answerFromMemory(place.queued) { continue }
            if isDraining { refuse(place.queued, .shuttingDown) } else { begin(place.queued) }
        }
    }

    // MARK: - Waiting

    private func wait(_ flight: Flight, _ completion: @escaping @Sendable (Reply) -> Void) {
        nextWaiter += 1
        flight.waiters.append(Waiter(number: nextWaiter, completion: completion))
        waits.add(Wait(transaction: flight.machine.transaction, number: nextWaiter))
    }

    private func waitEnded(_ wait: Wait) {
        guard let waiter = flights[wait.transaction]?.removeWaiter(wait.number) else { return }
        counters.add(.pending)
        waiter.completion(Reply(.pending(wait.transaction)))
    }

    func tell(_ answer: Answer, _ flight: Flight) {
        flight.answer = answer
        let waiters = flight.waiters
        flight.waiters = []
        for (position, waiter) in waiters.enumerated() {
            count(answer, isFirst: position == 0)
            waiter.completion(Reply(answer, isRepeat: flight.isResumed))
        }
        emitTransaction(flight, answer)
    }

    /// Counts one request that is answered. Each is approved, declined, pending or a repeat, so that these four add up to the total.
    private func count(_ answer: Answer, isFirst: Bool) {
        switch answer {
        case .approved: counters.add(isFirst ? .approved : .idempotentRepeat)
        case .declined: counters.add(isFirst ? .declined : .idempotentRepeat)
        case .refused(let reason):
            counters.add(.declined)
            switch reason {
            case .serverBusy: counters.add(.serverBusy)
            case .riskVelocity, .riskDecline: counters.add(.riskDeclined)
            case .idempotencyConflict: counters.add(.idempotencyConflict)
            default: break
            }
        case .pending: counters.add(.pending)
        case .madeBy: counters.add(.idempotentRepeat)
        }
    }

    private func emitTransaction(_ flight: Flight, _ answer: Answer) {
        let latency = time.monotonic().nanoseconds - flight.startedAt.nanoseconds
        let request = Field.requestID(flight.intent.requestID.text)
        let transaction = Field.transactionID(flight.machine.transaction.description)
        let took = Field.latencyMicroseconds(Int64(latency / 1000))
        switch answer {
        case .approved: events.emit(.info, .transaction, request, transaction, .status("APPROVED"), took)
        case .declined(let reason, _), .refused(let reason):
            events.emit(
                .info, .transaction, request, transaction, .status("DECLINED"), .reason(reason.wireName), took)
        case .pending: events.emit(.info, .transaction, request, transaction, .status("PENDING"), took)
        case .madeBy(let other):
            events.emit(
                .info, .transaction, request, transaction, .status("APPROVED"), .reason("made by \(other)"), took)
        }
    }
}
