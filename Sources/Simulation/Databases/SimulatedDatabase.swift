import Coordinator
import Payments
import Runtime

/// A server's client of one database: the pool, the control connection, the fence and the branches of this process, with the same rules as
/// the client of PostgreSQL.
final class SimulatedDatabase: DatabaseParticipant, @unchecked Sendable {
    // @unchecked: a simulation runs on one thread.

    enum Phase {
        case waitingForSlot
        case waitingForConnection(Job)
        case waitingToRetry(Scheduler.Ticket)
        case running(Backend)
        case readingRow
        case prepared
        /// Voted unknown. The backend, until it is known to be gone, may still prepare the branch.
        case unclear(Backend?)
        case contradicted
    }

    final class Branch {
        let order: PrepareOrder
        let id: GlobalBranchID
        var phase = Phase.waitingForSlot
        var holdsSlot = false
        var slotAttempts = 0
        var vote: ((Vote) -> Void)?
        let timer = Scheduler.Ticket()

        init(_ order: PrepareOrder, _ id: GlobalBranchID, _ vote: @escaping (Vote) -> Void) {
            self.order = order
            self.id = id
            self.vote = vote
        }

        func tell(_ vote: Vote) {
            let completion = self.vote
            self.vote = nil
            completion?(vote)
        }
    }

    /// A connection, as its client knows it.
    final class Link {
        var backend: Backend?
        var isBusy = false
        /// Ends the exchange that is under way.
        var current: ((End) -> Void)?
    }

    /// How an exchange ended, as its client knows it.
    enum End {
        case notSent(String)
        case broken(String)
        case replied(ServerReply)
    }

    final class Job {
        let isUrgent: Bool
        let deadline: UInt64
        let onStart: (Link) -> Void
        let request: (DatabaseServer, Backend, @escaping (ServerReply) -> Void) -> Void
        let completion: (End) -> Void
        var isWaiting = true
        let timer = Scheduler.Ticket()

        init(
            isUrgent: Bool, deadline: UInt64, onStart: @escaping (Link) -> Void = { _ in },
            _ request: @escaping (DatabaseServer, Backend, @escaping (ServerReply) -> Void) -> Void,
            completion: @escaping (End) -> Void
        ) {
            self.isUrgent = isUrgent
            self.deadline = deadline
            self.onStart = onStart
            self.request = request
            self.completion = completion
        }
    }

    let index: DatabaseIndex
    unowned let world: World
    let server: DatabaseServer
    let life: Life
    let logID: LogID
    let owner: FencePair
    let log: SimulatedLog
    let onFencedOut: (String) -> Void
    let onRefused: (String) -> Void

    var fence: DatabaseFence
    var isFenced = false
    var isOver = false
    var isReady = false
    var returnNumber = 0
    var reconnects = 0
    /// Whether the last look refused it: then an operator has to do something first.
    var isRefused = false
    var olderBackendsAlive = true
    let control = Link()
    var pool: [Link] = []
    private var jobs: [Job] = []
    var branches: [TransactionID: Branch] = [:]
    var slotCapacity = 0
    var slotsTaken = 0
    var slotWaiters: [Branch] = []
    var firstAttempt: ((Bool) -> Void)?
    var hasMadeFirstAttempt = false
    /// How often it came into use.
    var returns = 0
    var regression: Int?
    var regressions = 0
    var position: DatabasePosition?

    /// For reads, decisions and control, milliseconds.
    static let exchangeTime: UInt64 = .seconds(2)
    static let backendGoneWait: UInt64 = .seconds(2)
    static let backendPoll: UInt64 = .milliseconds(50)
    static let cancelGrace: UInt64 = .milliseconds(500)

    init(
        _ world: World, index: DatabaseIndex, fence: DatabaseFence, owner: FencePair, log: SimulatedLog, life: Life,
        onFencedOut: @escaping (String) -> Void, onRefused: @escaping (String) -> Void
    ) {
        self.world = world
        self.index = index
        server = world.database(index)
        self.life = life
        logID = log.log
        self.owner = owner
        self.log = log
        self.fence = fence
        position = fence.position
        self.onFencedOut = onFencedOut
        self.onRefused = onRefused
        pool = (0..<world.scenario.poolSize).map { _ in Link() }
    }

    var isAvailable: Bool { isFenced && !isOver && pool.contains { $0.backend != nil } }

    /// Whether no branch of this process is under way. What did otherwise is an operator's affair, who may have taken it as it is.
    var isSettled: Bool { branches.values.allSatisfy { if case .contradicted = $0.phase { true } else { false } } }

    func after(_ delay: UInt64, ticket: Scheduler.Ticket? = nil, _ body: @escaping () -> Void) {
        world.scheduler.after(delay, for: life, ticket: ticket, body)
    }

    /// The process is gone, or has closed its connections.
    func abandonAll() {
        isOver = true
        for link in pool + [control] {
            if let backend = link.backend { server.abandon(backend) }
            link.backend = nil
        }
    }

    // MARK: - Jobs

    func submit(_ job: Job) {
        guard isAvailable else { return job.completion(.notSent("the database is away")) }
        jobs.append(job)
        dispatch()
        guard job.isWaiting else { return }
        world.scheduler.at(job.deadline, for: life, ticket: job.timer) { [self] in
            withdraw(job, "no connection was free in time")
        }
    }

    func withdraw(_ job: Job, _ reason: String) {
        guard job.isWaiting else { return }
        job.isWaiting = false
        job.timer.cancel()
        jobs.removeAll { $0 === job }
        job.completion(.notSent(reason))
    }

    func dispatch() {
        while !jobs.isEmpty, let link = pool.first(where: { $0.backend != nil && !$0.isBusy }) {
            let position = jobs.firstIndex(where: \.isUrgent) ?? 0
            let job = jobs.remove(at: position)
            job.isWaiting = false
            job.timer.cancel()
            job.onStart(link)
            exchange(on: link, until: job.deadline, job.request) { end in job.completion(end) }
        }
    }

    /// Nothing is kept waiting for the return of a database that is away.
    func refuseWaiting(_ reason: String) {
        for branch in branches.values.sorted(by: { $0.id.transaction < $1.id.transaction }) {
            withdraw(branch, reason)
        }
        for job in jobs { withdraw(job, reason) }
    }

    /// One request and its reply, with whatever the network between does to them. `completion` is called exactly once.
    func exchange(
        on link: Link, until deadline: UInt64,
        _ request: @escaping (DatabaseServer, Backend, @escaping (ServerReply) -> Void) -> Void,
        completion: @escaping (End) -> Void
    ) {
        guard let backend = link.backend else { return completion(.notSent("no connection")) }
        link.isBusy = true
        var isOver = false
        let timer = Scheduler.Ticket()
        let finish = { [self] (end: End) in
            guard !isOver, life.isAlive else { return }
            isOver = true
            timer.cancel()
            link.isBusy = false
            link.current = nil
            if case .broken = end { lose(link, backend) }
            completion(end)
            dispatch()
        }
        link.current = finish
        world.scheduler.at(max(world.now, deadline) &+ Self.cancelGrace, for: life, ticket: timer) {
            finish(.broken("no answer in time"))
        }
        let isLost = world.strikes(.lostMessages, atMost: 0.08)
        if isLost, world.messages.chance(0.5) {
            // The request never arrives; the break is noticed sooner or later.
            return after(.milliseconds(world.messages.between(0.1, 400))) { finish(.broken("the connection broke")) }
        }
        let isLate = world.strikes(.lateMessages, atMost: 0.08)
        let travel = isLate ? .milliseconds(world.messages.between(100, 40_000)) : world.latency()
        server.expect(on: backend)
        world.after(travel) { [self] in
            guard server.read(on: backend) else { return }
            request(server, backend) { [self] reply in
                guard !isLost else { return finish(.broken("the connection broke")) }
                after(world.latency()) {
                    // What a connection still carries of one that was given up is of no use.
                    guard link.backend === backend else { return }
                    finish(.replied(reply))
                }
            }
            server.readOn(backend)
        }
    }

    /// A connection is of no use any more.
    func lose(_ link: Link, _ backend: Backend) {
        guard link.backend === backend else { return }
        link.backend = nil
        link.isBusy = false
        server.abandon(backend)
        if link === control {
            controlIsLost()
        } else {
            if !isAvailable { refuseWaiting("no connection") }
            connectLater(link)
        }
    }
}
