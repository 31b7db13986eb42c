import Coordinator
import Payments
import Synchronization

/// Everything that one database's thread knows: its links, the jobs that wait for them, and the branches of this process.
///
/// `@unchecked Sendable`: it is named in closures that other threads carry to the loop; only the loop looks inside. The
/// exceptions are `published` and ``startWorkers()``.
final class DatabaseCore: @unchecked Sendable {
    /// How far the control connection is.
    enum ControlPhase {
        /// No connection.
        case away
        /// Connected; the steps of a return run one after the other: fencing, older backends, slots.
        case returning
        /// Takes control jobs.
        case ready
    }

    let index: DatabaseIndex
    let configuration: PostgresConfiguration
    let logID: LogID
    /// The same as text.
    let logText: String
    let role: PostgresRole
    let events: PostgresEvents
    let loop: EventLoop
    private let outbox: Outbox
    let published = PublishedState()
    private let connector = BlockingWorker()
    private let canceller = BlockingWorker()

    // Made in `begin()`, because links know their owner.
    private(set) var control: DatabaseLink?
    private(set) var pool: [DatabaseLink] = []
    /// Those of the pool that were ever told to connect: the first so many.
    var poolStarted = 0
    private var idle: [DatabaseLink] = []

    var controlPhase = ControlPhase.away
    /// Tells the steps of one return from those of an earlier one that was broken off.
    var returnNumber = 0
    var facts: ServerFacts?
    /// How far the database was when it was last seen; what the log knows of it is in ``fence``.
    var position: DatabasePosition?
    /// How often it was found to have gone back in time.
    var regressions = 0
    /// Of each link, as of the beginning of its connection.
    var baselines: [ObjectIdentifier: PositionBaseline] = [:]
    /// What the log remembers; kept as it is appended to.
    var fence: DatabaseFence
    /// Whether this process fenced the database. Stays true when it goes away.
    var isFenced = false
    var olderBackendsAlive = true
    var olderBackendsTimer: EventLoop.Timer?
    /// Sessions of other roles that were warned of.
    var othersNoted: Set<OlderBackends.Other> = []
    /// Until the next look at our own fence.
    var fenceTimer: EventLoop.Timer?
    var preparedMax = 0
    private var controlJobs = FIFO<Job>()

    private var waitingJobs = WaitingJobs()
    var jobsWaiting = 0
    private var pairsSent = 0
    var slots = PreparedSlots<BranchWork>()
    /// Branches that this process was asked to prepare and that are not proven to be gone. Those that voted no are not here.
    var branches: [TransactionID: BranchWork] = [:]

    private var firstAttempt: PostgresDatabase.FirstAttempt?
    private var firstAttemptWaiters: [@Sendable (PostgresDatabase.FirstAttempt) -> Void] = []
    /// What was told last, so that it is not told again at each try.
    var lastFatal: String?
    private(set) var isClosing = false
    /// Resolutions that wait for a backend to be gone.
    var awaitedEnds = 0
    /// The thread's links and jobs know their owner without keeping it alive: it lives until it is closed.
    private var keptAlive: DatabaseCore?

    init(
        index: DatabaseIndex, configuration: PostgresConfiguration, log: LogID, role: PostgresRole,
        events: PostgresEvents, loop: EventLoop, outbox: Outbox
    ) {
        self.index = index
        self.configuration = configuration
        logID = log
        logText = log.description
        self.role = role
        self.events = events
        self.loop = loop
        self.outbox = outbox
        loop.endOfRound = { outbox.send() }
        switch role {
        case .owner(_, let fence, _):
            precondition(fence.database == index, "the fence of another database")
            self.fence = fence
        case .observer(_, let fence):
            precondition(fence.database == index, "the fence of another database")
            self.fence = fence
        }
        position = self.fence.position
    }

    /// The pair of this start; `nil` for an observer.
    var owner: FencePair? {
        switch role {
        case .owner(let pair, _, _): pair
        case .observer: nil
        }
    }

    /// Backends of smaller epochs are older ones.
    var currentEpoch: Epoch {
        switch role {
        case .owner(let pair, _, _): pair.epoch
        case .observer(let epoch, _): epoch
        }
    }

    /// Called once, before anything is submitted to the loop.
    func startWorkers() throws(ThreadError) {
        try connector.start(name: "holdfast-\(index)-n")
        try canceller.start(name: "holdfast-\(index)-c")
    }

    func begin() {
        keptAlive = self
        func link(_ name: String) -> DatabaseLink {
            DatabaseLink(
                name: name, loop: loop, connector: connector, canceller: canceller,
                connectTimeout: configuration.connectTimeout, owner: self)
        }
        control = link("control")
        if owner != nil { pool = (1...configuration.poolSize).map { link("connection \($0)") } }
        setState(.connecting)
        control?.connect()
    }

    /// Answers an order, together with the others of this round.
    func tell<Answer: Sendable>(_ answer: Answer, _ completion: @escaping @Sendable (Answer) -> Void) {
        outbox.add { completion(answer) }
    }

    // MARK: State

    var state: DatabaseState { published.state.withLock { $0 } }
    var isAvailable: Bool { published.isAvailable.load(ordering: .relaxed) }

    func setState(_ new: DatabaseState) {
        let hasChanged = published.state.withLock { state in
            guard state != new else { return false }
            state = new
            return true
        }
        if hasChanged { events.stateChanged(new) }
    }

    /// Whether nothing may change any more.
    var isOver: Bool {
        switch state {
        case .fencedOut, .closed: true
        case .idle, .connecting, .away, .refused, .available: isClosing
        }
    }

    /// Compares what there is with what is published; to be called when a link or the fence has changed.
    func updateAvailability(_ reason: String = "no connection") {
        guard !isOver, owner != nil else { return }
        let isUsable = isFenced && pool.contains { $0.backend != nil }
        guard isUsable != isAvailable else { return }
        published.isAvailable.store(isUsable, ordering: .relaxed)
        if isUsable {
            lastFatal = nil
            setState(.available)
            finishFirstAttempt(.available)
        } else {
            setState(.away(reason))
            refuseWaiting(reason)
        }
    }

    /// An operator has to do something; looked at again after a while.
    func refuse(_ message: String) {
        // The pool's connections were checked one by one: what is wrong with a new one is not wrong with them.
        if !isAvailable { setState(.refused(message)) }
        if lastFatal != message {
            lastFatal = message
            events.fatal("\(index) (\(configuration)): \(message)")
        }
        finishFirstAttempt(.failed(message))
    }

    /// Another server took the log over: nothing is sent to the database any more.
    func fencedOut(_ message: String) {
        guard !isOver else { return }
        published.isAvailable.store(false, ordering: .relaxed)
        setState(.fencedOut(message))
        controlPhase = .away
        returnNumber += 1
        control?.stop()
        for link in pool { link.stop() }
        events.fencedOut("\(index) (\(configuration)): \(message)")
        refuseWaiting(message)
        refuseControlJobs(message)
        finishFirstAttempt(.failed(message))
    }

    func awaitFirstAttempt(_ completion: @escaping @Sendable (PostgresDatabase.FirstAttempt) -> Void) {
        if let firstAttempt { return completion(firstAttempt) }
        firstAttemptWaiters.append(completion)
    }

    func finishFirstAttempt(_ result: PostgresDatabase.FirstAttempt) {
        guard firstAttempt == nil else { return }
        firstAttempt = result
        for waiter in firstAttemptWaiters { waiter(result) }
        firstAttemptWaiters.removeAll()
    }

    // MARK: Jobs of the pool

    /// Gives a job to a connection, now or when one is free.
    func submit(_ job: PoolJob) {
        guard isAvailable else { return job.end(.notSent("the database is \(state)")) }
        waitingJobs.add(job)
        jobsWaiting += 1
        dispatch()
        guard job.isWaiting else { return }
        job.timer = loop.schedule(at: job.deadline) { [weak self] in
            self?.withdraw(job, "no connection was free in time")
        }
    }

    /// Ends a job that has not been sent. Its place in the queue is passed over.
    func withdraw(_ job: PoolJob, _ reason: String) {
        guard job.isWaiting else { return }
        jobsWaiting -= 1
        loop.cancel(job.timer)
        job.end(.notSent(reason))
    }

    /// A link that has nothing to do.
    func offer(_ link: DatabaseLink) {
        idle.append(link)
        dispatch()
    }

    func forget(_ link: DatabaseLink) { idle.removeAll { $0 === link } }

    private func dispatch() {
        while let link = idle.last {
            guard link.isIdle, let backend = link.backend else {
                idle.removeLast()
                continue
            }
            guard let job = waitingJobs.next() else { return }
            idle.removeLast()
            // Where all connections are busy two jobs share one: the server finds the second when it is done with the first.
            let second = idle.isEmpty ? waitingJobs.next(behind: job, at: EventLoop.now()) : nil
            if second != nil { pairsSent += 1 }
            link.run(take(job, to: link, backend), behind: second.map { take($0, to: link, backend) })
        }
    }

    private func take(_ job: PoolJob, to link: DatabaseLink, _ backend: Backend) -> Job {
        jobsWaiting -= 1
        loop.cancel(job.timer)
        return job.start(on: link, backend)
    }

    /// No connection is left: nothing is kept waiting for its return.
    private func refuseWaiting(_ reason: String) {
        // Those without a slot first, so that none is handed from one that is refused to the next.
        let waiting = branches.values.filter(\.isWaiting)
        for work in waiting where !work.holdsSlot { withdraw(work, reason) }
        for work in waiting where work.holdsSlot { withdraw(work, reason) }
        for job in waitingJobs.removeAll() { withdraw(job, reason) }
    }

    // MARK: Jobs of the control connection

    /// Runs statements on the control connection, after those that wait already. Not during a return.
    func runControl(
        _ statements: [Statement], within timeout: Milliseconds = PostgresLimits.controlTimeout,
        _ completion: @escaping (JobReport) -> Void
    ) {
        guard case .ready = controlPhase, let control else { return completion(.notSent(whyControlIsAway)) }
        let job = Job(statements: statements, deadline: EventLoop.now() + timeout, completion: completion)
        if control.isIdle { control.run(job) } else { controlJobs.append(job) }
    }

    func nextControlJob() {
        guard let control, control.isIdle, let job = controlJobs.popFirst() else { return }
        control.run(job)
    }

    /// Payments may go on meanwhile: the pool's connections are others.
    var whyControlIsAway: String {
        if case .available = state { return "the connection that watches the database was lost; it is made again" }
        return "the database is \(state)"
    }

    func refuseControlJobs(_ reason: String) {
        for job in controlJobs.removeAll() { job.completion(.notSent(reason)) }
    }

    // MARK: Closing

    func close(_ completion: @escaping @Sendable () -> Void) {
        guard !isClosing else { return completion() }
        isClosing = true
        published.isAvailable.store(false, ordering: .relaxed)
        refuseWaiting("the database is being closed")
        waitForJobs(until: EventLoop.now() + PostgresLimits.closeWait, completion)
    }

    private func waitForJobs(until deadline: MonotonicTime, _ completion: @escaping @Sendable () -> Void) {
        let isBusy = awaitedEnds > 0 || pool.contains { $0.backend != nil && !$0.isIdle }
        if isBusy, EventLoop.now() < deadline {
            _ = loop.schedule(after: PostgresLimits.backendPoll) { [self] in waitForJobs(until: deadline, completion) }
            return
        }
        controlPhase = .away
        control?.stop()
        for link in pool { link.stop() }
        refuseControlJobs("closed")
        finishFirstAttempt(.failed("closed"))
        setState(.closed)
        connector.stop()
        canceller.stop()
        loop.stop()
        outbox.send()
        completion()
        keptAlive = nil
    }

    var statistics: PostgresStatistics {
        PostgresStatistics(
            connectionsReady: pool.count { $0.backend != nil },
            connectionsBusy: pool.count { $0.backend != nil && !$0.isIdle }, jobsWaiting: jobsWaiting,
            slots: slots.capacity, slotsTaken: slots.taken, slotsWaiting: slots.waitingCount,
            pairsSent: pairsSent, olderBackendsAlive: olderBackendsAlive)
    }
}
