import Coordinator
import Payments

extension SimulatedDatabase {
    func resolve(_ order: ResolveOrder, completion: @escaping @Sendable (Resolution) -> Void) {
        world.checker.resolveOrdered(order, log: log)
        after(0) { [self] in
            switch order.decision {
            case .committed: carryOut(order, completion)
            case .aborted: abort(order, completion)
            }
        }
    }

    /// An abort is only done when nothing can prepare the branch any more, so that comes before every look.
    private func abort(_ order: ResolveOrder, _ completion: @escaping (Resolution) -> Void) {
        guard let branch = branches[order.begin.transaction] else {
            if order.begin.epoch == owner.epoch, !order.isResumed { return completion(.done(.absence)) }
            return carryOut(order, completion)
        }
        switch branch.phase {
        case .waitingForSlot, .waitingForConnection, .waitingToRetry:
            withdraw(branch, "the payment was aborted before the database was asked")
            completion(.done(.absence))
        case .running, .readingRow: completion(.open("the branch is still being prepared"))
        case .prepared, .contradicted, .unclear(nil): carryOut(order, completion)
        case .unclear(.some(let backend)):
            awaitEnd(of: backend, until: world.now + Self.backendGoneWait) { [self] failure in
                if let failure { return completion(.open(failure)) }
                if case .unclear = branch.phase { branch.phase = .unclear(nil) }
                carryOut(order, completion)
            }
        }
    }

    /// Asks the server to end a backend.
    ///
    /// - Parameter completion: told whether it was still there; `nil` if that is not known.
    func terminate(_ backend: Backend, _ completion: @escaping (Bool?) -> Void) {
        runControl { server, _, reply in
            let isThere = server.backends(of: backend.log).contains { $0 === backend }
            if isThere { server.terminate(backend.pid) }
            reply(.backends(isThere ? [backend] : []))
        } completion: { end in
            if case .replied(.backends(let found)) = end { completion(!found.isEmpty) } else { completion(nil) }
        }
    }

    /// - Parameter completion: told why that is not proven, or `nil`.
    private func awaitEnd(of backend: Backend, until deadline: UInt64, _ completion: @escaping (String?) -> Void) {
        terminate(backend) { [self] isThere in
            guard let isThere else { return completion("the database could not be asked") }
            guard isThere else { return completion(nil) }
            guard world.now < deadline else { return completion("it has not ended yet") }
            after(Self.backendPoll) { [self] in awaitEnd(of: backend, until: deadline, completion) }
        }
    }

    private func carryOut(_ order: ResolveOrder, _ completion: @escaping (Resolution) -> Void) {
        let id = branchID(of: order)
        submit(
            Job(isUrgent: true, deadline: world.now + Self.exchangeTime) { [world] server, _, reply in
                if world.strikes(.databaseErrors, atMost: 0.1) { return reply(.failed("busy")) }
                reply(server.resolve(id, order.decision))
            } completion: { [self] end in
                switch end {
                case .notSent(let why), .broken(let why), .replied(.failed(let why)): completion(.open(why))
                case .replied(.undefinedObject): look(order, id, completion)
                case .replied(.done): finish(order, .done(.acknowledgement), completion)
                case .replied: completion(.open("a reply that does not belong to the request"))
                }
            })
    }

    /// The database knows no such prepared transaction: where is it?
    private func look(_ order: ResolveOrder, _ id: GlobalBranchID, _ completion: @escaping (Resolution) -> Void) {
        // A backend that was alive when the list was read may have prepared after that.
        let mayAppear =
            branches[order.begin.transaction] == nil && olderBackendsAlive && order.begin.epoch != owner.epoch
        submit(
            Job(isUrgent: true, deadline: world.now + Self.exchangeTime) { server, _, reply in
                reply(server.whereabouts(id))
            } completion: { [self] end in
                guard case .replied(.whereabouts(let isListed, let hasWitness)) = end else {
                    return completion(.open("no answer"))
                }
                guard !isListed else { return completion(.open("it is listed, but could not be resolved")) }
                found(order, hasWitness: hasWitness, mayAppear: mayAppear, completion)
            })
    }

    private func found(
        _ order: ResolveOrder, hasWitness: Bool, mayAppear: Bool, _ completion: @escaping (Resolution) -> Void
    ) {
        switch (order.decision, hasWitness) {
        case (.committed, true): finish(order, .done(.witness), completion)
        case (.committed, false):
            finish(order, .heuristic("rolled back in \(index) although the log says commit"), completion)
        case (.aborted, true):
            finish(order, .heuristic("committed in \(index) although the log says abort"), completion)
        case (.aborted, false):
            if mayAppear { return completion(.open("a backend of an older epoch may still prepare the branch")) }
            finish(order, .done(.absence), completion)
        }
    }

    private func finish(
        _ order: ResolveOrder, _ resolution: Resolution, _ completion: @escaping (Resolution) -> Void
    ) {
        if let branch = branches[order.begin.transaction] {
            switch resolution {
            case .done: forget(branch)
            case .heuristic:
                branch.phase = .contradicted
                giveSlotBack(branch)
            case .open: break
            }
        } else if resolution == .done(.acknowledgement) {
            resizeSlots(to: slotCapacity + 1)
        }
        completion(resolution)
    }

    private func branchID(of order: ResolveOrder) -> GlobalBranchID {
        GlobalBranchID(
            log: logID, epoch: order.begin.epoch, transaction: order.begin.transaction, database: index)
    }
}
