import Coordinator
import NIOCore
import Telemetry

/// The one place where the core's effects become I/O.
extension PaymentCoordinator {
    func apply(_ effects: [Effect], to flight: Flight) {
        loop.assertInEventLoop()
        for effect in effects {
            switch effect {
            case .append(let write, let urgency): append(write, urgency, flight)
            case .prepare(let order): prepare(order, flight)
            case .lookUp(let order): lookUp(order, flight)
            case .resolve(let order, let isRepeat): resolve(order, isRepeat: isRepeat, flight)
            case .enqueueReversal(let task):
                if flight.reversalHold == .nothing { enqueueReversal(task, mayHaveBeenSent: false) }
            case .scheduleRetry(let subject, let wait):
                let generation = flight.generation
                loop.scheduleTask(in: .milliseconds(wait.count)) { [self] in
                    guard flight.generation == generation else { return }
                    give(.retryDue(subject), to: flight)
                }
            case .answer(let answer): tell(answer, flight)
            case .releaseClaim: releaseClaim(flight)
            case .finished: finish(flight)
            }
        }
    }

    // MARK: - The log

    private func append(_ write: LogWrite, _ urgency: LogUrgency, _ flight: Flight) {
        // The log delivers on this loop, a batch at a time.
        log.append(write, urgency: urgency) { [self] result in
            onLoop { [self] in
                switch result {
                case .success(let receipt):
                    noteDurable(receipt, flight)
                    if case .end = write { faults.hit(.endDurable) }
                    give(.logged(write, receipt), to: flight)
                case .failure(let refusal):
                    if case .full = refusal {
                        events.emit(
                            .error, .log, .transactionID(flight.machine.transaction.description),
                            .message("the log has no room; free space on its disk"))
                    }
                    let effects = step(.refused(write, urgency, refusal), flight)
                    noteRefused(flight)
                    apply(effects, to: flight)
                }
            }
        }
    }

    private func noteDurable(_ receipt: LogReceipt, _ flight: Flight) {
        switch receipt {
        case .begun:
            faults.hit(.beginDurable)
        case .committing:
            counters.add(.twoPhaseCommitted)
            decided(flight)
            faults.hit(.decisionDurable)
        case .aborting(let decision):
            counters.add(.twoPhaseAborted)
            decided(flight)
            if decision.record.reversal != nil { faults.hit(.reversalDurable) }
            if flight.isResumed { faults.hit(.decisionRecovered) }
        case .parked(let record):
            flight.isHeuristic = true
            counters.add(.heuristic)
            // A database committed what was aborted: whether the money goes back is the operator's to say. The log keeps the task.
            _ = reversals.withdraw(record.record.transaction)
            events.emit(
                .error, .heuristic, .requestID(flight.intent.requestID.text),
                .transactionID(flight.machine.transaction.description),
                .message("\(record.record.participant): \(record.record.evidence)"))
            wakeIdleWatchers()
            if flight.isResumed { faults.hit(.decisionRecovered) }
        case .noted, .resumed, .proposed:
            break
        }
    }

    /// The log refused a step: the transaction may not have begun, have been decided by somebody beside us, or be unreadable in the
    /// log. It takes no place any more, whichever it is.
    private func noteRefused(_ flight: Flight) {
        if flight.machine.waitsForOperator, !flight.isHeuristic {
            flight.isHeuristic = true
            events.emit(
                .error, .heuristic, .requestID(flight.intent.requestID.text),
                .transactionID(flight.machine.transaction.description),
                .message("its record is not in the log any more, so it cannot be decided; see recover list"))
            wakeIdleWatchers()
        }
        if !flight.machine.isUndecided || flight.machine.waitsForOperator { decided(flight) }
    }

    /// A transaction left the ranks of those in flight.
    private func decided(_ flight: Flight) {
        flight.hasDeadline = false
        flight.whenDecided?()
        flight.whenDecided = nil
        guard flight.countsAsUndecided else { return }
        flight.countsAsUndecided = false
        undecided -= 1
        takeFromQueue()
    }

    private func releaseClaim(_ flight: Flight) {
        let request = flight.intent.requestID
        if flightOfRequest[request] == flight.machine.transaction { flightOfRequest[request] = nil }
    }

    private func finish(_ flight: Flight) {
        flights[flight.machine.transaction] = nil
        releaseClaim(flight)
        // Nothing more will be heard of it.
        if !flight.waiters.isEmpty { tell(.pending(flight.machine.transaction), flight) }
        if flight.reversalHold != .nothing { takeUpReversalSoon(of: flight) }
        wakeIdleWatchers()
    }

    // MARK: - Participants

    private func prepare(_ order: PrepareOrder, _ flight: Flight) {
        let participant = order.branch.participant
        let completion: @Sendable (Vote) -> Void = { [self] vote in
            loop.execute { self.voted(participant, vote, flight) }
        }
        switch participant {
        case .clearing: clearing.prepare(order, completion: completion)
        case .database(let index):
            guard let database = databases[index] else {
                return completion(.no(.unavailable("\(index) is not configured")))
            }
            database.prepare(order, completion: completion)
        }
    }

    private func voted(_ participant: Participant, _ vote: Vote, _ flight: Flight) {
        switch (participant, vote) {
        case (.clearing, .yes):
            breakerSucceeded()
            faults.hit(.holdPlaced)
        case (.clearing, .no(.unavailable)), (.clearing, .unknown):
            breakerFailed()
        case (.clearing, .no):
            breakerSucceeded()
        case (.database, .yes):
            flight.preparedDatabases += 1
            if flight.preparedDatabases == flight.databaseBranches { faults.hit(.prepared) }
        case (.database, .no(let refusal)):
            if case .unavailable(let why) = refusal { noteFailure(participant, why, flight) }
        case (.database, .unknown(let why)):
            noteFailure(participant, why, flight)
        }
        if participant == .clearing, case .unknown(let why) = vote { noteFailure(participant, why, flight) }
        give(.voted(participant, vote, now: time.wall()), to: flight)
    }

    private func noteFailure(_ participant: Participant, _ why: String, _ flight: Flight) {
        events.emit(
            .warning, participant == .clearing ? .clearing : .database,
            .requestID(flight.intent.requestID.text), .transactionID(flight.machine.transaction.description),
            .message("\(participant) did not prepare: \(why)"))
    }

    private func lookUp(_ order: LookUpOrder, _ flight: Flight) {
        let completion: @Sendable (PriorPayment) -> Void = { [self] prior in
            loop.execute { self.lookedUp(prior, flight) }
        }
        guard case .database(let index)? = flight.firstDatabase, let database = databases[index] else {
            return completion(.unknown("its database is not configured"))
        }
        database.lookUp(order, completion: completion)
    }

    private func lookedUp(_ prior: PriorPayment, _ flight: Flight) {
        if case .unknown(let why) = prior, let database = flight.firstDatabase {
            events.emit(
                .warning, .database, .requestID(flight.intent.requestID.text),
                .transactionID(flight.machine.transaction.description),
                .message("\(database) could not be asked whether the request_id was paid before: \(why)"))
        }
        give(.lookedUp(prior, now: time.wall()), to: flight)
    }

    private func resolve(_ order: ResolveOrder, isRepeat: Bool, _ flight: Flight) {
        let participant = order.branch.participant
        let generation = flight.generation
        let completion: @Sendable (Resolution) -> Void = { [self] resolution in
            loop.execute {
                guard flight.generation == generation else { return }
                self.resolved(participant, order.decision, resolution, flight)
            }
        }
        switch participant {
        case .clearing:
            // An open breaker delays the delivery; it never turns a commit into anything else.
            guard breaker.admit(at: time.monotonic()) else {
                return give(.resolved(.clearing, .open("the circuit breaker is open")), to: flight)
            }
            clearing.confirm(order, isRepeat: isRepeat, completion: completion)
        case .database(let index):
            guard let database = databases[index] else { return completion(.open("\(index) is not configured")) }
            database.resolve(order, completion: completion)
        }
    }

    private func resolved(
        _ participant: Participant, _ decision: Outcome, _ resolution: Resolution, _ flight: Flight
    ) {
        switch participant {
        case .clearing:
            if case .open = resolution { breakerFailed() } else { breakerSucceeded() }
            if case .done = resolution { faults.hit(.confirmed) }
        case .database:
            if case .done = resolution { faults.hit(.branchResolved) }
            let isFirst = flight.firstDatabase == participant
            if isFirst, case .done = resolution {
                if decision == .committed { faults.hit(.firstDatabaseCommitted) }
                if flight.reversalHold == .untilPaymentDatabase { takeUpReversalSoon(of: flight) }
            }
        }
        give(.resolved(participant, resolution), to: flight)
    }

    func breakerSucceeded() {
        let wasClosed = breaker.isClosed
        breaker.succeeded()
        guard !wasClosed else { return }
        events.emit(.info, .clearing, .message("the circuit breaker closed: the network answers"))
        reversals.releasePostponed(at: time.monotonic())
        sendDueReversals()
    }

    func breakerFailed() {
        let wasClosed = breaker.isClosed
        breaker.failed(at: time.monotonic())
        if wasClosed, !breaker.isClosed {
            events.emit(
                .warning, .clearing, .message("the circuit breaker opened: the network does not answer"))
        }
    }

    /// Runs `body` now if this is the loop, else hands it over.
    func onLoop(_ body: @escaping @Sendable () -> Void) {
        if loop.inEventLoop { body() } else { loop.execute(body) }
    }
}

extension CircuitBreaker {
    var isClosed: Bool {
        if case .closed = state { true } else { false }
    }
}
