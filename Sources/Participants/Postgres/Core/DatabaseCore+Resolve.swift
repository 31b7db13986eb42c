import Coordinator
import Payments

extension DatabaseCore {
    func resolve(_ order: ResolveOrder, _ completion: @escaping @Sendable (Resolution) -> Void) {
        precondition(order.branch.participant == .database(index), "an order for \(order.branch.participant)")
        switch order.decision {
        case .committed: carryOut(order, completion)
        case .aborted: abort(order, completion)
        }
    }

    /// An abort is only done when nothing can prepare the branch any more, so that comes before every look.
    private func abort(_ order: ResolveOrder, _ completion: @escaping @Sendable (Resolution) -> Void) {
        guard let work = branches[order.begin.transaction] else {
            // What this process prepared in this epoch is remembered: this one was never asked, or voted no. What was taken up from
            // the log is another matter: an adopted branch may name any epoch.
            if order.begin.epoch == owner?.epoch, !order.isResumed { return completion(.done(.absence)) }
            return carryOut(order, completion)
        }
        switch work.phase {
        case .waitingForSlot, .waitingForConnection, .waitingToRetry:
            withdraw(work, "the payment was aborted before the database was asked")
            completion(.done(.absence))
        case .running, .readingRow: completion(.open("the branch is still being prepared"))
        case .prepared, .contradicted, .unclear(nil): carryOut(order, completion)
        case .unclear(.some(let backend)):
            guard !isClosing else { return completion(.open("the database is being closed")) }
            awaitedEnds += 1
            awaitEnd(of: backend, until: EventLoop.now() + PostgresLimits.backendGoneWait) { [unowned self] failure in
                awaitedEnds -= 1
                if let failure { return completion(.open("\(backend) may still prepare the branch: \(failure)")) }
                if case .unclear = work.phase { work.phase = .unclear(nil) }
                carryOut(order, completion)
            }
        }
    }

    /// Terminates a backend and waits until it is gone from pg_stat_activity.
    ///
    /// - Parameter completion: told why that is not proven, or `nil`.
    private func awaitEnd(of backend: Backend, until deadline: MonotonicTime, _ completion: @escaping (String?) -> Void)
    {
        runControl([SessionStatements.terminate(backend)]) { [unowned self] report in
            if let failure = report.failure { return completion(failure) }
            guard report.results[0].rows?.isEmpty == false else { return completion(nil) }
            guard EventLoop.now() < deadline else { return completion("it has not ended yet") }
            _ = loop.schedule(after: PostgresLimits.backendPoll) { [weak self] in
                self?.awaitEnd(of: backend, until: deadline, completion)
            }
        }
    }

    private func carryOut(_ order: ResolveOrder, _ completion: @escaping @Sendable (Resolution) -> Void) {
        let gid = gid(of: order)
        let job = PoolJob(
            Statements.resolve(order.decision, gid: gid), .decision,
            deadline: EventLoop.now() + configuration.resolveTimeout
        ) { [unowned self] report in
            if let error = report.firstError, report.end == .complete, SQLState(error.code) == .undefinedObject {
                return look(order, gid, completion)
            }
            if let failure = report.failure { return completion(.open(failure)) }
            if report.hasStandbyWarning, order.decision == .committed {
                return completion(.open("the synchronous standby has not confirmed the commit"))
            }
            finish(order, .done(.acknowledgement), completion)
        }
        submit(job)
    }

    /// The database knows no such prepared transaction: where is it?
    private func look(_ order: ResolveOrder, _ gid: String, _ completion: @escaping @Sendable (Resolution) -> Void) {
        // A backend that was alive when the list was read may have prepared after that, and be gone by the time of the answer.
        let mayAppear = mayStillAppear(order)
        let job = PoolJob(
            Statements.whereabouts(of: order.begin.transaction, gid: gid), .read,
            deadline: EventLoop.now() + configuration.resolveTimeout
        ) { [unowned self] report in
            guard report.failure == nil, let listed = report.results[0].rows, let witness = report.results[1].rows
            else {
                return completion(.open(report.failure ?? "no answer"))
            }
            guard listed.isEmpty else {
                return completion(.open("\(gid) is listed as prepared, but could not be resolved"))
            }
            found(order, hasWitness: !witness.isEmpty, mayAppear: mayAppear, completion)
        }
        submit(job)
    }

    /// Whether a backend of an earlier epoch may yet prepare a branch that is not listed.
    private func mayStillAppear(_ order: ResolveOrder) -> Bool {
        branches[order.begin.transaction] == nil && olderBackendsAlive && order.begin.epoch != owner?.epoch
    }

    private func found(
        _ order: ResolveOrder, hasWitness: Bool, mayAppear: Bool, _ completion: @escaping @Sendable (Resolution) -> Void
    ) {
        switch (order.decision, hasWitness) {
        case (.committed, true): confirm(order, completion)
        case (.committed, false):
            finish(
                order,
                .heuristic(
                    "rolled back in \(index) although the log says commit: \(gid(of: order)) is not listed and its row "
                        + "is not there"),
                completion)
        case (.aborted, true):
            finish(
                order,
                .heuristic(
                    "committed in \(index) although the log says abort: the row of \(order.begin.transaction) is there"),
                completion)
        case (.aborted, false):
            if mayAppear {
                return completion(.open("a backend of an older epoch may still prepare the branch"))
            }
            finish(order, .done(.absence), completion)
        }
    }

    /// A row that is visible here need not be on the synchronous standby: whoever committed it, we or another, may have given up the
    /// wait. A later commit that the standby confirms proves it, since the standby takes the one after the other.
    private func confirm(_ order: ResolveOrder, _ completion: @escaping @Sendable (Resolution) -> Void) {
        let job = PoolJob(
            [Statements.barrier], .read, deadline: EventLoop.now() + configuration.resolveTimeout
        ) { [unowned self] report in
            if let failure = report.failure { return completion(.open(failure)) }
            guard !report.hasStandbyWarning else {
                return completion(.open("the synchronous standby has not confirmed the commit"))
            }
            finish(order, .done(.witness), completion)
        }
        submit(job)
    }

    /// The branch is not prepared any more: its slot is free.
    private func finish(
        _ order: ResolveOrder, _ resolution: Resolution, _ completion: @escaping @Sendable (Resolution) -> Void
    ) {
        if let work = branches[order.begin.transaction] {
            switch resolution {
            case .done: forget(work)
            case .heuristic:
                work.phase = .contradicted
                giveSlotBack(work)
            case .open: break
            }
        } else if resolution == .done(.acknowledgement) {
            // A branch of an earlier epoch, which was counted among those of others.
            resizeSlots(to: slots.capacity + 1)
        }
        completion(resolution)
    }

    private func gid(of order: ResolveOrder) -> String {
        if let work = branches[order.begin.transaction] { return work.gid }
        return GlobalBranchID(
            log: logID, epoch: order.begin.epoch, transaction: order.begin.transaction, database: index
        ).description
    }
}
