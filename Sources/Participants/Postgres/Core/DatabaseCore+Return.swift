import Coordinator
import Payments

/// The way of a database into use, at the start and whenever it comes back: its facts, the tables, the fence, the backends of
/// older epochs, the slots, the pool. Each step begins when the one before it is done; a loss of the control connection breaks
/// the way off, and the next connection begins it anew.
extension DatabaseCore {
    func beginReturn() {
        guard let facts else { preconditionFailure("a control connection without facts") }
        preparedMax = facts.preparedTransactionsMax
        let cause = DatabaseRegression.cause(of: facts, known: position, identity: fence.identity)
        noteRegression(cause) { [unowned self] in
            guard let owner else { return lookAtFence() }
            checkSchema { [unowned self] in readFence(owner, attempt: 1) }
        }
    }

    /// An operator has to do something before it is of use to try again.
    func giveUp(_ message: String) {
        refuse(message)
        control?.lose(message, retryAfter: PostgresLimits.refusedRetry)
    }

    /// Runs a step's statements on the control connection.
    ///
    /// - Parameter next: called if the way has not been broken off meanwhile.
    func step(
        _ statements: [Statement], within timeout: Milliseconds = PostgresLimits.controlTimeout,
        _ next: @escaping (JobReport) -> Void
    ) {
        guard let control, control.isIdle else { preconditionFailure("two steps of a return at the same time") }
        let number = returnNumber
        control.run(
            Job(statements: statements, deadline: EventLoop.now() + timeout) { [unowned self] report in
                guard number == returnNumber, report.end == .complete, !isOver else { return }
                // One that succeeded after it was cancelled: its connection is about to be given up.
                guard report.failure != nil || control.isIdle else { return fail("a step took too long") }
                next(report)
            })
    }

    /// Likewise, if every statement succeeds; else the connection is given up and the way begins anew after the usual backoff.
    private func soundStep(_ what: String, _ statements: [Statement], _ next: @escaping ([[[String?]]]) -> Void) {
        step(statements) { [unowned self] report in
            if let failure = report.failure { return fail("\(what): \(failure)") }
            next(report.results.compactMap(\.rows))
        }
    }

    func fail(_ reason: String) { control?.lose(reason) }

    // MARK: Schema

    private func checkSchema(_ next: @escaping () -> Void) {
        soundStep("the tables could not be checked", [Schema.check]) { [unowned self] rows in
            guard rows[0].first?.first == "true" else { return migrate(next) }
            soundStep("the version of the tables could not be read", [Schema.appliedVersion]) { [unowned self] rows in
                switch Schema.judge(rows[0].first) {
                case .upToDate: next()
                case .migrate: migrate(next)
                case .refused(let message): giveUp(message)
                }
            }
        }
    }

    private func migrate(_ next: @escaping () -> Void) {
        events.note(.info, "\(index): bringing the tables to version \(Schema.version)")
        step(Schema.migration, within: PostgresLimits.migrationTimeout) { [unowned self] report in
            guard let failure = report.failure else { return next() }
            let error = report.firstError
            switch error.map({ SQLState($0.code) }) {
            case .lockWait:
                fail(
                    "the tables could not be migrated: \(failure); other sessions or prepared transactions hold them (see "
                        + "pg_locks and pg_prepared_xacts): end those, the migration is tried again by itself")
            case .uniqueViolation:
                giveUp(
                    "the tables could not be migrated: \(failure); a request_id is in `transactions` more than once: make "
                        + "them unique, the older row is the payment")
            case .notPossible, .integrity, .undefinedObject, .duplicateObject:
                giveUp(
                    "the tables could not be migrated: \(failure); the role needs the right to create and alter them")
            case .busy, .resources, .rolledBack, .connectionLost, .other, nil:
                fail("the tables could not be migrated: \(failure)")
            }
        }
    }

    // MARK: Fence

    private func readFence(_ owner: FencePair, attempt: Int) {
        soundStep(
            "the fence could not be read",
            [SessionStatements.fenceRow(of: logID), .query("SELECT 1", endsSegment: true)]
        ) { [unowned self] rows in
            let row = rows[0].first.flatMap(SessionStatements.readFence)
            guard row != nil || rows[0].isEmpty else { return giveUp("the row in holdfast_fence cannot be read") }
            if isFenced { return checkOwnFence(row, owner) }
            switch FenceJudgement.of(row, fence: fence, owner: owner, log: logID) {
            case .ours: confirm(owner)
            case .replace(let seen): swapFence(seen, owner, attempt: attempt)
            case .wentBack(let seen):
                noteRegression(.formerFence(seen)) { [unowned self] in swapFence(seen, owner, attempt: attempt) }
            case .refused(let message): giveUp(message)
            }
        }
    }

    /// The database was fenced by this process before it went away.
    private func checkOwnFence(_ row: FenceJudgement.Row?, _ owner: FencePair) {
        guard let row, row.pair == owner else {
            return fencedOut(
                "the database came back fenced by \(row.map { "\($0.pair)" } ?? "nobody"), and this server is \(owner): "
                    + "another server took this log over, or the database was restored")
        }
        terminateOlder()
    }

    private func swapFence(_ seen: FencePair?, _ owner: FencePair, attempt: Int) {
        guard attempt <= PostgresLimits.fenceSwapsMax else {
            return fail("the fence is being changed by somebody else")
        }
        append(.fenceAttempted(index, owner), unless: fence.attempted.contains(owner)) { [unowned self] in
            if !fence.attempted.contains(owner) { fence.attempted.append(owner) }
            step(SessionStatements.swapFence(seen, to: owner, log: logID, database: index)) { [unowned self] report in
                // Whatever the reply: what is there now decides.
                if let error = report.firstError { return fail("the fence could not be written: \(error)") }
                readFence(owner, attempt: attempt + 1)
            }
        }
    }

    private func confirm(_ owner: FencePair) {
        guard let identity = facts?.identity else { preconditionFailure("a fence without facts") }
        let isKnown = fence.confirmed == owner && fence.identity == identity
        append(.fenceConfirmed(index, identity, owner), unless: isKnown) { [unowned self] in
            fence = fence.confirming(owner, at: identity, formerMax: PostgresLimits.formerFencesMax)
            isFenced = true
            events.note(.info, "\(index): fenced by \(owner)")
            terminateOlder()
        }
    }

    /// Goes on when the log has it, durably.
    func append(_ write: LogWrite, unless isThere: Bool, _ next: @escaping () -> Void) {
        guard !isThere else { return next() }
        guard case .owner(_, _, let log) = role else { preconditionFailure("an observer writes nothing") }
        let number = returnNumber
        let continuation = Continuation(next)
        log.append(write, urgency: .forced) { [loop, weak self] result in
            loop.submit { [weak self] in
                guard let self, number == self.returnNumber, !self.isOver else { return }
                switch result {
                case .success: continuation.run()
                case .failure(let refusal): self.fail("the log took no record of the fence: \(refusal)")
                }
            }
        }
    }

    // MARK: Older backends

    /// Waits for a while until they are gone; what remains is watched in the background.
    private func terminateOlder() {
        let deadline = EventLoop.now() + PostgresLimits.olderBackendsWait
        lookAtOlder(until: deadline, again: PostgresLimits.olderBackendsFirstPoll)
    }

    private func lookAtOlder(until deadline: MonotonicTime, again pause: Milliseconds) {
        soundStep("the backends could not be listed", [SessionStatements.backends(of: logID)]) { [unowned self] rows in
            let older = SessionStatements.olderBackends(rows[0], log: logID, than: currentEpoch)
            olderBackendsAlive = !older.isEmpty
            noteOthers(older.others)
            // Those of other roles end when they like; there is nothing to wait for here.
            guard !older.own.isEmpty, EventLoop.now() < deadline else { return countSlots() }
            step(older.own.map(SessionStatements.terminate)) { [unowned self] report in
                if let failure = report.failure { noteOlder(older.own, failure) }
                let number = returnNumber
                _ = loop.schedule(after: pause) { [weak self] in
                    guard let self, number == returnNumber, !isOver else { return }
                    let longer = Milliseconds(pause.count * 2)
                    lookAtOlder(until: deadline, again: min(longer, PostgresLimits.backendPoll))
                }
            }
        }
    }

    private func noteOlder(_ older: [Backend], _ failure: String) {
        let names = older.map { String($0.pid) }.joined(separator: ", ")
        events.note(
            .warning,
            "\(index): older backends of this log (\(names)) could not be terminated: \(failure); end them as a superuser with "
                + "pg_terminate_backend")
    }

    /// Says once of each that it keeps aborts of earlier epochs open.
    private func noteOthers(_ others: [OlderBackends.Other]) {
        let new = others.filter { !othersNoted.contains($0) }
        othersNoted = Set(others)
        guard !new.isEmpty else { return }
        let names = new.map { "\($0.pid) of role \($0.role)" }.joined(separator: ", ")
        events.note(
            .warning,
            "\(index): sessions with an older name of this log, but another role (\(names)), are left alone; until they end, or are "
                + "ended with pg_terminate_backend, aborts of earlier epochs stay open")
    }

    private func watchOlder() {
        guard olderBackendsAlive, olderBackendsTimer == nil else { return }
        olderBackendsTimer = loop.schedule(after: PostgresLimits.olderBackendsPoll) { [weak self] in
            guard let self else { return }
            olderBackendsTimer = nil
            runControl([SessionStatements.backends(of: logID)]) { [unowned self] report in
                guard !isOver, report.failure == nil, let rows = report.results[0].rows else { return watchOlder() }
                let older = SessionStatements.olderBackends(rows, log: logID, than: currentEpoch)
                guard !older.isEmpty else {
                    olderBackendsAlive = false
                    return events.note(.info, "\(index): no backend of an older epoch is left")
                }
                noteOthers(older.others)
                if !older.own.isEmpty { runControl(older.own.map(SessionStatements.terminate)) { _ in } }
                watchOlder()
            }
        }
    }

    // MARK: Slots and pool

    private func countSlots() {
        soundStep("the prepared transactions could not be listed", [Statements.preparedList]) { [unowned self] rows in
            sizeSlots(from: rows[0].compactMap { PreparedTransaction($0) })
            if olderBackendsAlive {
                events.note(.warning, "\(index): a backend of an older epoch is still alive; it is watched")
            }
            controlPhase = .ready
            published.returns.add(1, ordering: .relaxed)
            storePosition()
            watchOlder()
            watchFence()
            connectPool()
            updateAvailability()
        }
    }

    func observerIsReady() {
        controlPhase = .ready
        setState(.available)
        finishFirstAttempt(.available)
    }
}

/// Carries the rest of a return through the log's thread, back to the loop that made it.
///
/// `@unchecked Sendable`: it is made and run on the loop; the log's thread only passes it on.
private final class Continuation: @unchecked Sendable {
    private let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
    func run() { body() }
}
