import Coordinator

/// What the owner of a link decides about a connection that was just made.
enum SetupVerdict {
    case use(Backend)
    /// Close it and try again, after the usual backoff or the given time.
    case retry(String, after: Milliseconds?)
    /// Close it and leave it closed.
    case stop
}

/// Told by its links, on the loop's thread.
protocol LinkOwner: AnyObject {
    func connectionParameters(of link: DatabaseLink) -> [ConnectionParameter]
    /// What a new connection is asked before its first use.
    func setupStatements(of link: DatabaseLink, serverVersion: Int) -> [Statement]
    func judge(_ link: DatabaseLink, backendPID: Int32, serverVersion: Int, _ report: JobReport) -> SetupVerdict
    /// The link is ready for a job: after its setup, and after each job.
    func linkIsIdle(_ link: DatabaseLink)
    /// The link's connection is gone; it is going to connect again unless it was stopped.
    func linkIsLost(_ link: DatabaseLink, wasReady: Bool, _ reason: String)
}

/// One connection to the database and its return after a loss. Used on the loop's thread only.
///
/// `@unchecked Sendable`: it is named in closures that other threads carry back to the loop; only the loop looks inside.
final class DatabaseLink: SocketWatcher, @unchecked Sendable {
    enum Phase {
        /// Not wanted: to ``resolving`` by ``connect()``.
        case stopped
        /// After a failure: to ``resolving`` when the timer fires.
        case waiting(EventLoop.Timer)
        /// The connecting thread looks the host up: to ``connecting``, or ``waiting`` if that fails.
        case resolving
        /// libpq shakes hands: to ``settingUp``, or ``waiting``.
        case connecting(LibpqConnection)
        /// The owner's questions are on their way: to ``ready``, ``waiting`` or ``stopped``, by the owner's verdict.
        case settingUp(LibpqConnection, RunningJob)
        /// To ``busy`` by ``run(_:)``, or ``waiting`` when the server closes it.
        case ready(LibpqConnection, Backend)
        /// To itself with the job behind it; else to ``ready``, through ``cleaning`` if a transaction was left open, or ``waiting`` if it
        /// breaks.
        case busy(LibpqConnection, Backend, RunningJob)
        /// A ROLLBACK is on its way: to ``ready`` or ``waiting``.
        case cleaning(LibpqConnection, Backend, RunningJob)
    }

    let name: String
    private let loop: EventLoop
    private let connector: BlockingWorker
    private let canceller: BlockingWorker
    private let connectTimeout: Milliseconds
    private unowned let owner: any LinkOwner

    private(set) var phase = Phase.stopped
    /// Sent right behind the one that is running; its turn comes with the end of that one.
    private var behind: RunningJob?
    /// Whether this connection has made its prepared statements.
    private(set) var hasStatements = false
    private var watch: EventLoop.Watch?
    private var connectTimer: EventLoop.Timer?
    private var failures = 0
    /// Tells a late answer of the connecting thread from the one that is waited for.
    private var generation = 0

    init(
        name: String, loop: EventLoop, connector: BlockingWorker, canceller: BlockingWorker,
        connectTimeout: Milliseconds, owner: any LinkOwner
    ) {
        self.name = name
        self.loop = loop
        self.connector = connector
        self.canceller = canceller
        self.connectTimeout = connectTimeout
        self.owner = owner
    }

    var backend: Backend? {
        switch phase {
        case .ready(_, let backend), .busy(_, let backend, _), .cleaning(_, let backend, _): backend
        case .stopped, .waiting, .resolving, .connecting, .settingUp: nil
        }
    }

    var isIdle: Bool {
        switch phase {
        case .ready: true
        case .busy, .cleaning, .stopped, .waiting, .resolving, .connecting, .settingUp: false
        }
    }

    // MARK: Connecting

    /// Begins to connect, unless it has.
    func connect() {
        loop.assertOnLoop()
        switch phase {
        case .stopped: break
        case .waiting(let timer): loop.cancel(timer)
        case .resolving, .connecting, .settingUp, .ready, .busy, .cleaning: return
        }
        phase = .resolving
        generation += 1
        let generation = generation
        connectTimer = loop.schedule(after: connectTimeout) { [weak self] in
            self?.lose("no connection within \(self?.connectTimeout ?? .zero)")
        }
        let parameters = owner.connectionParameters(of: self)
        let loop = loop
        let isTaken = connector.submit { [weak self] in
            let connection = LibpqConnection.start(parameters)
            loop.submit { [weak self] in self?.started(connection, generation) }
        }
        if !isTaken { lose("too many connections wait for the look-up of the host's name") }
    }

    private func started(_ connection: LibpqConnection?, _ startedGeneration: Int) {
        guard case .resolving = phase, startedGeneration == generation else { return }
        guard let connection else { return lose("no memory for a connection") }
        guard !connection.isBad else { return lose(connection.errorMessage) }
        phase = .connecting(connection)
        // libpq: "behave as if it had returned PGRES_POLLING_WRITING" at the beginning.
        watchSocket(of: connection, .writable)
    }

    /// libpq looks the names of a second and further hosts up here, where it blocks; with several hosts, give addresses.
    private func continueConnecting(_ connection: LibpqConnection) {
        switch connection.continueConnecting() {
        case .wantsRead: watchSocket(of: connection, .readable)
        case .wantsWrite: watchSocket(of: connection, .writable)
        case .failed: lose(connection.errorMessage)
        case .connected:
            guard connection.enterPipeline() else { return lose(connection.errorMessage) }
            guard watchSocket(of: connection, .readable) else { return }
            let statements = owner.setupStatements(of: self, serverVersion: connection.serverVersion)
            let job = Job(statements: statements, deadline: EventLoop.now() + connectTimeout) { [unowned self] in
                setUp(connection, $0)
            }
            start(job, on: connection) { .settingUp(connection, $0) }
        }
    }

    private func setUp(_ connection: LibpqConnection, _ report: JobReport) {
        loop.cancel(connectTimer)
        connectTimer = nil
        if case .broken = report.end { return }
        let verdict = owner.judge(
            self, backendPID: connection.backendPID, serverVersion: connection.serverVersion, report)
        switch verdict {
        case .use(let backend):
            failures = 0
            hasStatements = false
            phase = .ready(connection, backend)
            owner.linkIsIdle(self)
        case .retry(let reason, let delay): lose(reason, retryAfter: delay)
        case .stop: stop()
        }
    }

    /// Watches the socket anew with each step of connecting: libpq may have closed it and opened another, under the same number too,
    /// which epoll knows nothing of then. False if the connection was given up.
    @discardableResult
    private func watchSocket(of connection: LibpqConnection, _ interest: Readiness) -> Bool {
        if let watch { loop.unwatch(watch) }
        watch = nil
        do {
            watch = try loop.watch(connection.socket, interest, self)
            return true
        } catch {
            lose("its socket cannot be watched: \(error)")
            return false
        }
    }

    // MARK: Losing

    /// Closes the connection, for good.
    func stop() {
        let jobs = takeDown()
        phase = .stopped
        for job in jobs { job.complete(.broken("the connection was closed")) }
    }

    /// Closes the connection, tells everybody, and tries again later.
    func lose(_ reason: String, retryAfter delay: Milliseconds? = nil) {
        loop.assertOnLoop()
        let wasReady = backend != nil
        let jobs = takeDown()
        failures += 1
        let backoff = PostgresLimits.reconnectBackoff.delay(afterAttempt: failures)
        let timer = loop.schedule(after: delay ?? backoff) { [weak self] in
            self?.connect()
        }
        phase = .waiting(timer)
        for job in jobs { job.complete(.broken(reason)) }
        owner.linkIsLost(self, wasReady: wasReady, reason)
    }

    /// Lets go of socket, timers and connection; gives back the jobs whose completion is owed.
    private func takeDown() -> [RunningJob] {
        loop.cancel(connectTimer)
        connectTimer = nil
        if let watch { loop.unwatch(watch) }
        watch = nil
        generation += 1
        switch phase {
        case .waiting(let timer):
            loop.cancel(timer)
            return []
        case .stopped, .resolving, .connecting, .ready: return []
        case .settingUp(_, let job), .busy(_, _, let job), .cleaning(_, _, let job):
            loop.cancel(job.timer)
            defer { behind = nil }
            return [job] + (behind.map { [$0] } ?? [])
        }
    }

    // MARK: Jobs

    /// Sends a job; the link has to be idle.
    ///
    /// - Parameter second: sent right behind it, so that the server finds it when it is done with the first, without having slept. The
    ///   first must leave no transaction open, whatever becomes of it.
    func run(_ job: Job, behind second: Job? = nil) {
        loop.assertOnLoop()
        guard case .ready(let connection, let backend) = phase else {
            preconditionFailure("a job for a link that is \(phase)")
        }
        start(job, behind: second, on: connection) { .busy(connection, backend, $0) }
    }

    /// The prepared statements were asked for. Where one of them failed the others may be there, so the connection is begun anew.
    func statementsMade(_ areAll: Bool, _ report: JobReport) {
        hasStatements = areAll
        guard !areAll, report.end == .complete else { return }
        lose("its statements could not be prepared: \(report.failure ?? "no answer")")
    }

    private func start(
        _ job: Job, behind second: Job? = nil, on connection: LibpqConnection, _ next: (RunningJob) -> Phase
    ) {
        let running = RunningJob(job)
        connection.forgetWarnings()
        phase = next(running)
        behind = second.map { RunningJob($0) }
        let isSent =
            if let second { connection.together { send(job, on: connection) && send(second, on: connection) } } else {
                send(job, on: connection)
            }
        guard isSent else { return lose(connection.errorMessage) }
        // Who is behind waits no longer than it may: what is before it is cancelled for its sake, and asked again later.
        limit(running, until: min(job.deadline, second?.deadline ?? job.deadline))
        flush(connection)
    }

    private func send(_ job: Job, on connection: LibpqConnection) -> Bool {
        precondition(job.statements.last?.endsSegment == true, "a job ends with a sync")
        return job.statements.allSatisfy { connection.send($0) }
    }

    private func limit(_ running: RunningJob, until deadline: MonotonicTime) {
        running.timer = loop.schedule(at: deadline) { [weak self] in self?.deadlinePassed(running) }
    }

    private func flush(_ connection: LibpqConnection) {
        guard let watch else { return }
        switch connection.flush() {
        case .done: loop.update(watch, .readable)
        case .wantsWrite: loop.update(watch, [.readable, .writable])
        case .failed: receive(connection)
        }
    }

    /// Asks for the statement to be cancelled; if the server does not end it in time, the connection is given up.
    private func deadlinePassed(_ running: RunningJob) {
        switch phase {
        case .settingUp(let connection, let job), .busy(let connection, _, let job),
            .cleaning(let connection, _, let job):
            guard job === running else { return }
            running.isCancelled = true
            if let key = connection.cancelKey() { _ = canceller.submit { _ = key.cancel() } }
            running.timer = loop.schedule(after: PostgresLimits.cancelGrace) { [weak self] in
                self?.lose("the server did not answer in time, nor when it was asked to cancel")
            }
        case .stopped, .waiting, .resolving, .connecting, .ready: return
        }
    }

    func socketIsReady(_ readiness: Readiness) {
        switch phase {
        case .connecting(let connection): continueConnecting(connection)
        case .settingUp(let connection, _), .busy(let connection, _, _), .cleaning(let connection, _, _):
            if readiness.contains(.writable) { flush(connection) }
            if !readiness.isDisjoint(with: [.readable, .failed]) { receive(connection) }
        case .ready(let connection, _):
            // Nothing is asked: a notice, a changed setting, or the end of the connection.
            if !connection.consumeInput() || connection.isBad { return lose(connection.errorMessage) }
            _ = connection.wouldBlock
            if connection.isBad { lose(connection.errorMessage) }
        case .stopped, .waiting, .resolving: return
        }
    }

    private func receive(_ connection: LibpqConnection) {
        let isAlive = connection.consumeInput()
        while let running = runningJob {
            var isFinished = false
            // A broken connection may give an error for ever.
            var resultsLeft = running.resultsMax
            while !isFinished, resultsLeft > 0, !connection.wouldBlock {
                resultsLeft -= 1
                if !connection.withNextResult({ isFinished = running.take($0) }) { running.endOfStatement() }
            }
            guard isFinished else {
                if !isAlive || connection.isBad || resultsLeft == 0 {
                    lose(running.lastError?.description ?? connection.errorMessage)
                }
                return
            }
            let next = behind
            finish(running, connection)
            // What was sent behind it may have been answered as well.
            if let next, runningJob === next { continue }
            // libpq closes the socket of a connection that ends with its last answer; of a closed one nothing is ever heard.
            if isIdle, connection.isBad { lose(connection.errorMessage) }
            return
        }
    }

    private var runningJob: RunningJob? {
        switch phase {
        case .settingUp(_, let job), .busy(_, _, let job), .cleaning(_, _, let job): job
        case .stopped, .waiting, .resolving, .connecting, .ready: nil
        }
    }

    private func finish(_ running: RunningJob, _ connection: LibpqConnection) {
        loop.cancel(running.timer)
        running.hasStandbyWarning = connection.hasStandbyWarning
        if running.isCancelled {
            // The request to cancel may still be on its way and must not hit the next job. The completion may close the link.
            running.complete(isSetup ? .broken("cancelled") : .complete)
            if runningJob === running { lose("given up after a statement was cancelled") }
            return
        }
        switch phase {
        case .settingUp: running.complete(.complete)
        case .busy(_, let backend, _):
            if let next = behind { return advance(from: running, to: next, connection, backend) }
            if connection.isOutsideTransaction {
                phase = .ready(connection, backend)
            } else {
                rollBack(connection, backend)
            }
            running.complete(.complete)
            if isIdle { owner.linkIsIdle(self) }
        case .cleaning(_, let backend, _):
            guard connection.isOutsideTransaction else { return lose("a transaction could not be rolled back") }
            phase = .ready(connection, backend)
            owner.linkIsIdle(self)
        case .stopped, .waiting, .resolving, .connecting, .ready:
            preconditionFailure("a job ended on a link that is \(phase)")
        }
    }

    /// libpq tells nothing of the transaction between two segments of a pipeline.
    private func advance(
        from done: RunningJob, to next: RunningJob, _ connection: LibpqConnection, _ backend: Backend
    ) {
        behind = nil
        connection.forgetWarnings()
        phase = .busy(connection, backend, next)
        limit(next, until: next.deadline)
        done.complete(.complete)
    }

    private var isSetup: Bool {
        if case .settingUp = phase { true } else { false }
    }

    private func rollBack(_ connection: LibpqConnection, _ backend: Backend) {
        let rollback = Job(
            statements: [.command("ROLLBACK", tag: "ROLLBACK", endsSegment: true)],
            deadline: EventLoop.now() + PostgresLimits.cancelGrace, completion: { _ in })
        start(rollback, on: connection) { .cleaning(connection, backend, $0) }
    }
}
