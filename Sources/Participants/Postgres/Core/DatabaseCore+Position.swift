import Coordinator

/// How far the database has come, and what follows when it is not as far as it was.
///
/// The order makes sure that no loss is overlooked, wherever a crash comes between. When a regression is found, the log is told
/// ``DatabasePosition/unverified`` before anything else is done: before the fence is replaced, which would hide a former pair, and
/// before the database does work for us, which could carry its write-ahead log past the position that is remembered. Only when
/// every commit has been verified, and what is lost is in the log, the real position is noted. So a process that dies in between
/// leaves a position that no database has, and the next start finds the same regression again.
extension DatabaseCore {
    /// What a connection's setup was begun with. Replies of two connections may be read in another order than they were
    /// given, so each is compared with what was known before it was asked.
    struct PositionBaseline {
        let position: DatabasePosition?
        let regressions: Int
    }

    /// Goes on when the log knows that the commits have to be verified; at once if nothing is lost.
    func noteRegression(_ cause: DatabaseRegression.Cause?, _ next: @escaping () -> Void) {
        guard let cause else {
            advance(to: facts?.position)
            return next()
        }
        guard owner != nil else {
            publishRegression(cause)
            return next()
        }
        // The same restoration, seen a second time on the same way: its verification is still to come.
        if case .formerFence = cause, published.regression.withLock({ $0 != nil }) { return next() }
        append(.databaseSeen(index, .unverified), unless: fence.position == .unverified) { [unowned self] in
            fence.position = .unverified
            publishRegression(cause)
            next()
        }
    }

    private func publishRegression(_ cause: DatabaseRegression.Cause) {
        regressions += 1
        // From here on it is compared with what it is now.
        position = facts?.position
        let regression = DatabaseRegression(number: regressions, cause: cause)
        published.regression.withLock { $0 = regression }
        events.wentBack(regression)
        guard case .returning = controlPhase else { return }
        // What they are connected to may be the server that was failed over from.
        for link in pool where link.backend != nil { link.lose("the database went back in time: \(regression)") }
    }

    /// Whether a new connection of the pool may be used. The control connection is the one to find a regression out, since the log
    /// has to know it before any work is done.
    func isSoundPosition(_ facts: ServerFacts, since baseline: PositionBaseline?) -> Bool {
        guard isFenced, let baseline, let now = facts.position else { return true }
        guard baseline.regressions == regressions else { return false }
        guard let known = baseline.position, known != .unverified, now.mayHaveLostCommits(since: known) else {
            advance(to: now)
            return true
        }
        if case .ready = controlPhase {
            control?.lose("another connection found the database at \(now), it was at \(known)")
        }
        return false
    }

    /// Takes note that the database has come further.
    private func advance(to now: DatabasePosition?) {
        guard let now else { return }
        guard let known = position, known.timeline == now.timeline else { return position = now }
        if now.walBytes > known.walBytes { position = now }
    }

    /// Tells the log how far the database is, with the next batch; not while its commits are to be verified.
    func storePosition() {
        guard case .owner(_, _, let log) = role, published.regression.withLock({ $0 == nil }), let position,
            position != fence.position
        else { return }
        fence.position = position
        // One that is not written is written the next time; the older one that is there stays true.
        log.append(.databaseSeen(index, position), urgency: .lazy) { _ in }
    }

    /// Asks the database how far it is and tells the log.
    func recordPosition(_ completion: @escaping @Sendable () -> Void) {
        let asked = regressions
        runControl([SessionStatements.position]) { [unowned self] report in
            defer { completion() }
            guard report.failure == nil, asked == regressions, let row = report.results[0].rows?.first,
                let now = SessionStatements.readPosition(row[...])
            else { return }
            advance(to: now)
            storePosition()
        }
    }

    /// A commit is missing that should be there. Positions alone do not tell a restoration that was followed by more work than was lost.
    func suspect(_ transaction: TransactionID, _ completion: @escaping @Sendable () -> Void) {
        guard case .ready = controlPhase, !isOver, published.regression.withLock({ $0 == nil }) else {
            return completion()
        }
        noteRegression(.missingCommit(transaction)) { completion() }
    }

    /// The commits have been verified, and what was lost is in the log.
    ///
    /// - Parameter completion: whether the log took note; not if the database went back again meanwhile.
    func finishRegression(_ number: Int, _ completion: @escaping @Sendable (Bool) -> Void) {
        guard case .owner(_, _, let log) = role, published.regression.withLock({ $0?.number == number }),
            let position
        else { return completion(false) }
        // Set with the call, as the log takes steps in the order of the calls: a regression that is found before this step is durable
        // writes its mark behind it.
        fence.position = position
        log.append(.databaseSeen(index, position), urgency: .forced) { [loop, weak self] result in
            let isQueued = loop.submit { [weak self] in
                guard let self, case .success = result else { return completion(false) }
                let isOver = published.regression.withLock { regression in
                    guard regression?.number == number else { return false }
                    regression = nil
                    return true
                }
                completion(isOver)
            }
            if !isQueued { completion(false) }
        }
    }
}
