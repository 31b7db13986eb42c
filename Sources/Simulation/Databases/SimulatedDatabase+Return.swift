import Coordinator

/// The way of a database into use: fence, older backends, slots, pool; and the looks of the control connection.
extension SimulatedDatabase {
    static let olderBackendsWait: UInt64 = .seconds(5)
    static let olderBackendsPoll: UInt64 = .seconds(1)
    static let fenceWatchInterval: UInt64 = .seconds(2)

    func start(firstAttempt: @escaping (Bool) -> Void) {
        self.firstAttempt = firstAttempt
        connectControl()
    }

    private func madeFirstAttempt(_ isGood: Bool) {
        guard !hasMadeFirstAttempt else { return }
        hasMadeFirstAttempt = true
        firstAttempt?(isGood)
    }

    // MARK: - Connections

    private func connectControl() {
        guard !isOver else { return }
        after(world.latency()) { [self] in
            guard !isOver else { return }
            guard let backend = makeBackend(control) else { return controlIsLost() }
            control.backend = backend
            reconnects = 0
            returnNumber += 1
            beginReturn(returnNumber)
        }
    }

    private func makeBackend(_ link: Link) -> Backend? {
        guard !world.strikes(.lostMessages, atMost: 0.1) else { return nil }
        var made: Backend?
        made = server.connect(log: logID, epoch: owner.epoch) { [self, weak link] in
            guard let link else { return }
            after(world.latency()) { [self] in
                guard let backend = made, link.backend === backend else { return }
                if let current = link.current {
                    current(.broken("the session ended"))
                } else {
                    lose(link, backend)
                }
            }
        }
        return made
    }

    func controlIsLost() {
        isReady = false
        returnNumber += 1
        madeFirstAttempt(false)
        guard !isOver else { return }
        reconnects += 1
        let pause: UInt64 = isRefused ? .seconds(30) : .milliseconds(min(5000, 50 << min(reconnects, 7)))
        isRefused = false
        after(pause) { [self] in connectControl() }
    }

    func connectLater(_ link: Link) {
        guard !isOver, isFenced else { return }
        after(.milliseconds(world.messages.between(1, 200))) { [self] in
            guard !isOver, link.backend == nil else { return }
            guard let backend = makeBackend(link) else { return connectLater(link) }
            // Every new connection reads the pair before anything else.
            after(world.latency()) { [self] in
                guard !isOver, backend.isAlive else {
                    server.abandon(backend)
                    return connectLater(link)
                }
                guard server.fence(of: logID)?.pair == owner else { return fencedOut("a new connection") }
                // The control connection is the one to find out that the database went back in time.
                if let position, position != .unverified, server.position.mayHaveLostCommits(since: position) {
                    server.abandon(backend)
                    if isReady, let backend = control.backend { lose(control, backend) }
                    return connectLater(link)
                }
                link.backend = backend
                dispatch()
            }
        }
    }

    func fencedOut(_ how: String) {
        guard !isOver else { return }
        world.note(nil, 70, "\(index) is fenced by another (\(how))")
        abandonAll()
        onFencedOut("\(index) is fenced by somebody else")
    }

    // MARK: - The way

    /// A step of the way; `next` is called if it has not been broken off.
    private func step(
        _ number: Int, _ request: @escaping (DatabaseServer) -> ServerReply, _ next: @escaping (ServerReply) -> Void
    ) {
        exchange(on: control, until: world.now + .seconds(30)) { server, _, reply in
            reply(request(server))
        } completion: { [self] end in
            guard number == returnNumber, !isOver, case .replied(let reply) = end else { return }
            next(reply)
        }
    }

    private func beginReturn(_ number: Int) {
        step(number) {
            .position($0.position)
        } _: { [self] reply in
            guard case .position(let now) = reply else { return }
            judgePosition(now, number) { [self] in readFence(number, attempt: 1) }
        }
    }

    private func readFence(_ number: Int, attempt: Int) {
        step(number) { [logID] in
            .fence($0.fence(of: logID))
        } _: { [self] reply in
            guard case .fence(let row) = reply else { return }
            if isFenced {
                guard row?.pair == owner else { return fencedOut("it came back so") }
                return terminateOlder(number, until: world.now + Self.olderBackendsWait)
            }
            switch FenceJudgement.of(row, fence: fence, owner: owner, log: logID) {
            case .ours: confirm(number)
            case .replace(let seen): swap(seen, number, attempt: attempt)
            case .wentBack(let seen):
                noteRegression("it holds a former fence", number) { [self] in swap(seen, number, attempt: attempt) }
            case .refused(let why):
                world.note(nil, 71, "\(index) is refused: \(why)")
                if row == nil { world.operators.putFenceBack(fence, of: logID, in: server) }
                onRefused(why)
                isRefused = true
                if let backend = control.backend { lose(control, backend) }
            }
        }
    }

    private func swap(_ seen: FencePair?, _ number: Int, attempt: Int) {
        guard attempt <= 5 else { return fail() }
        append(.fenceAttempted(index, owner), number, unless: fence.attempted.contains(owner)) { [self] in
            if !fence.attempted.contains(owner) { fence.attempted.append(owner) }
            step(number) { [owner, logID, index] server in
                server.swapFence(seen, to: owner, log: logID, database: index)
                return .done
            } _: { [self] _ in
                readFence(number, attempt: attempt + 1)
            }
        }
    }

    private func confirm(_ number: Int) {
        let identity = server.identity
        let isKnown = fence.confirmed == owner && fence.identity == identity
        append(.fenceConfirmed(index, identity, owner), number, unless: isKnown) { [self] in
            fence = fence.confirming(owner, at: identity, formerMax: LogImage.fencesFormerMax)
            isFenced = true
            world.note(nil, 72, "\(index) is fenced by \(owner.epoch)")
            terminateOlder(number, until: world.now + Self.olderBackendsWait)
        }
    }

    /// Goes on when the log has it, durably.
    func append(_ write: LogWrite, _ number: Int, unless isThere: Bool, _ next: @escaping () -> Void) {
        guard !isThere else { return next() }
        let next = Passed(next)
        log.append(write, urgency: .forced) { [self] result in
            guard number == returnNumber, !isOver else { return }
            if case .success = result { next.call(()) } else { fail() }
        }
    }

    func fail() {
        if let backend = control.backend { lose(control, backend) } else { controlIsLost() }
    }

    private func older(_ backends: [Backend]) -> [Backend] { backends.filter { $0.epoch < owner.epoch } }

    private func terminateOlder(_ number: Int, until deadline: UInt64) {
        step(number) { [logID] in
            .backends($0.backends(of: logID))
        } _: { [self] reply in
            guard case .backends(let all) = reply else { return }
            let older = older(all)
            olderBackendsAlive = !older.isEmpty
            guard olderBackendsAlive, world.now < deadline else { return countSlots(number) }
            step(number) { server in
                for backend in older { server.terminate(backend.pid) }
                return .done
            } _: { [self] _ in
                after(Self.backendPoll) { [self] in
                    guard number == returnNumber, !isOver else { return }
                    terminateOlder(number, until: deadline)
                }
            }
        }
    }

    private func countSlots(_ number: Int) {
        step(number) {
            .listed($0.listPrepared())
        } _: { [self] reply in
            guard case .listed(let list) = reply else { return }
            sizeSlots(from: list)
            isReady = true
            returns += 1
            storePosition()
            watchOlder(number)
            watchFence(number)
            for link in pool where link.backend == nil { connectLater(link) }
            // The first connection of the pool makes it available.
            awaitAvailability(number)
        }
    }

    private func awaitAvailability(_ number: Int) {
        guard !hasMadeFirstAttempt else { return }
        if isAvailable { return madeFirstAttempt(true) }
        after(.milliseconds(20)) { [self] in if number == returnNumber { awaitAvailability(number) } }
    }

    private func watchOlder(_ number: Int) {
        guard olderBackendsAlive else { return }
        after(Self.olderBackendsPoll) { [self] in
            guard number == returnNumber, !isOver else { return }
            runControl { [logID] server, _, reply in
                reply(.backends(server.backends(of: logID)))
            } completion: { [self] end in
                guard number == returnNumber, !isOver else { return }
                if case .replied(.backends(let all)) = end {
                    let older = older(all)
                    if older.isEmpty { olderBackendsAlive = false }
                    for backend in older { terminate(backend) { _ in } }
                }
                watchOlder(number)
            }
        }
    }

    private func watchFence(_ number: Int) {
        after(Self.fenceWatchInterval) { [self] in
            guard number == returnNumber, !isOver else { return }
            runControl { [logID] server, _, reply in
                reply(.fence(server.fence(of: logID)))
            } completion: { [self] end in
                guard number == returnNumber, !isOver else { return }
                if case .replied(.fence(let row)) = end, row?.pair != owner { return fencedOut("the watch") }
                watchFence(number)
            }
        }
    }

    // MARK: - Control

    func runControl(
        _ request: @escaping (DatabaseServer, Backend, @escaping (ServerReply) -> Void) -> Void,
        completion: @escaping (End) -> Void
    ) {
        guard isReady, control.backend != nil else { return completion(.notSent("the database is away")) }
        guard !control.isBusy else {
            // Jobs of the control connection wait for each other.
            return after(.milliseconds(1)) { [self] in runControl(request, completion: completion) }
        }
        exchange(on: control, until: world.now + .seconds(3), request, completion: completion)
    }

    /// Older backends, then the prepared transactions, then the rows, each later than the one before.
    func observe(
        witnessesOf transactions: [TransactionID], completion: @escaping (DatabaseObservation.State) -> Void
    ) {
        var list: [PreparedTransaction] = []
        var hasOlder = false
        runControl { [self] server, _, reply in
            // A mismatch here would be an observation by somebody who was fenced out.
            guard server.fence(of: logID)?.pair == owner else { return reply(.failed("fenced")) }
            hasOlder = !older(server.backends(of: logID)).isEmpty
            list = server.listPrepared()
            reply(.done)
        } completion: { [self] end in
            guard case .replied(.done) = end else { return completion(.unreachable("no answer")) }
            sizeSlots(from: list)
            runControl { server, _, reply in
                reply(.witnessed(server.witnessed(among: transactions)))
            } completion: { end in
                guard case .replied(.witnessed(let witnessed)) = end else {
                    return completion(.unreachable("no answer"))
                }
                completion(
                    .seen(
                        DatabaseObservation.Sighting(
                            prepared: list, witnessed: witnessed, olderBackendsAlive: hasOlder)))
            }
        }
    }

    // MARK: - Positions

    /// Whether the database is behind what the log remembers of it: then its commits have to be verified.
    private func judgePosition(_ now: DatabasePosition, _ number: Int, _ next: @escaping () -> Void) {
        if position == .unverified { return noteRegression("it did so before", number, now, next) }
        if let known = position, now.mayHaveLostCommits(since: known) {
            return noteRegression("it is at \(now) and was at \(known)", number, now, next)
        }
        position = now
        next()
    }

    private func noteRegression(
        _ why: String, _ number: Int, _ now: DatabasePosition? = nil, _ next: @escaping () -> Void
    ) {
        if now == nil, regression != nil { return next() }
        append(.databaseSeen(index, .unverified), number, unless: fence.position == .unverified) { [self] in
            fence.position = .unverified
            regressions += 1
            regression = regressions
            position = now ?? server.position
            world.note(nil, 73, "\(index) went back in time: \(why)")
            next()
        }
    }

    func storePosition() {
        guard regression == nil, let position, position != fence.position else { return }
        fence.position = position
        log.append(.databaseSeen(index, position), urgency: .lazy) { _ in }
    }

    func recordPosition(_ completion: @escaping () -> Void) {
        let asked = regressions
        runControl { server, _, reply in
            reply(.position(server.position))
        } completion: { [self] end in
            defer { completion() }
            guard case .replied(.position(let now)) = end, asked == regressions else { return }
            if let known = position, known.timeline == now.timeline, now.walBytes <= known.walBytes {
                return storePosition()
            }
            position = now
            storePosition()
        }
    }

    /// The commits have been verified, and what was lost is in the log.
    func finishRegression(_ number: Int, _ completion: @escaping (Bool) -> Void) {
        guard regression == number, let position else { return completion(false) }
        fence.position = position
        let done = Passed(completion)
        log.append(.databaseSeen(index, position), urgency: .forced) { [self] result in
            guard case .success = result, regression == number else { return done.call(false) }
            regression = nil
            done.call(true)
        }
    }

    /// A commit is missing that should be there.
    func suspect(_ completion: @escaping () -> Void) {
        guard isReady, !isOver, regression == nil else { return completion() }
        noteRegression("a commit is missing", returnNumber, server.position, completion)
    }
}
