import Coordinator
import Payments
import Runtime

/// Databases that went back in time: their commits are verified, and what they lost is done again or parked.
extension ServerProcess {
    /// How long one pass waits for it.
    private static let verificationWait: UInt64 = .seconds(2)
    private static let settlingPause: UInt64 = .milliseconds(100)
    private static let settlingLooksMax = 50
    /// Records at the end of the log among which the latest commits are looked for.
    private static let latestRecords: UInt64 = 8192

    /// Looks for the latest commits in every database that has come into use since the last call, and verifies all commits of those that
    /// went back. What takes longer goes on in the background.
    func verifyCommits(_ completion: @escaping () -> Void) {
        let owed = databases.filter {
            $0.isAvailable && ($0.regression != nil || looks[$0.index] != $0.returns) && !verifying.contains($0.index)
        }
        guard !owed.isEmpty else { return completion() }
        var isOver = false
        let done = {
            guard !isOver else { return }
            isOver = true
            completion()
        }
        for database in owed { verifying.insert(database.index) }
        after(Self.verificationWait, done)
        verify(owed[...], done)
    }

    private func verify(_ rest: ArraySlice<SimulatedDatabase>, _ completion: @escaping () -> Void) {
        guard let database = rest.first else { return completion() }
        lookForLatest(in: database) { [self] in
            verifyAll(of: database) { [self] in
                verifying.remove(database.index)
                verify(rest.dropFirst(), completion)
            }
        }
    }

    private func lookForLatest(in database: SimulatedDatabase, _ completion: @escaping () -> Void) {
        let number = database.returns
        guard database.regression == nil else {
            looks[database.index] = number
            return completion()
        }
        flush { [self] in
            let image = node.disk.image
            let next = image.nextLSN.rawValue
            let first = LSN(rawValue: next > Self.latestRecords ? next - Self.latestRecords : 1)
            let all =
                active(at: database) + image.endedSince(first).filter { CommitAudit.concerns($0, at: database.index) }
            look(at: all, in: database) { [self] losses in
                guard let losses else { return completion() }
                let note = { [self] in
                    looks[database.index] = number
                    completion()
                }
                if losses.isEmpty { note() } else { database.suspect(note) }
            }
        }
    }

    private func verifyAll(of database: SimulatedDatabase, _ completion: @escaping () -> Void) {
        guard let regression = database.regression else { return completion() }
        flush { [self] in
            settleActive(of: database, looks: 0) { [self] isSettled in
                guard isSettled else { return completion() }
                let ended = node.disk.image.endedSince(LSN(rawValue: 1))
                    .filter { CommitAudit.concerns($0, at: database.index) }
                look(at: ended, in: database) { [self] losses in
                    guard let losses else { return completion() }
                    reopen(losses[...], isComplete: true) { isComplete in
                        guard isComplete else { return completion() }
                        database.finishRegression(regression) { _ in completion() }
                    }
                }
            }
        }
    }

    /// Has the database told again what unfinished transactions count on.
    private func settleActive(of database: SimulatedDatabase, looks: Int, _ completion: @escaping (Bool) -> Void) {
        look(at: active(at: database), in: database) { [self] losses in
            guard let losses, looks <= Self.settlingLooksMax else { return completion(false) }
            guard !losses.isEmpty else { return completion(true) }
            tellAgain(losses) { [self] in
                after(Self.settlingPause) { [self] in
                    flush { [self] in settleActive(of: database, looks: looks + 1, completion) }
                }
            }
        }
    }

    private func reopen(
        _ rest: ArraySlice<LostCommit>, isComplete: Bool, _ completion: @escaping (Bool) -> Void
    ) {
        guard let loss = rest.first else { return completion(isComplete) }
        let next = Passed<Bool> { [self] isReopened in
            reopen(rest.dropFirst(), isComplete: isComplete && isReopened, completion)
        }
        coordinator.reopen(loss.transaction, loss.reopening) { result in
            if case .success(true) = result { next.call(true) } else { next.call(false) }
        }
    }

    private func flush(_ next: @escaping () -> Void) {
        let next = Passed(next)
        log.flush { next.call(()) }
    }

    private func tellAgain(_ losses: [LostCommit], _ next: @escaping () -> Void) {
        let next = Passed(next)
        coordinator.tellAgain(losses) { next.call(()) }
    }

    private func active(at database: SimulatedDatabase) -> [ActiveTransaction] {
        node.disk.image.snapshot.active.filter { CommitAudit.concerns($0, at: database.index) }
    }

    /// - Parameter completion: told `nil` if the database could not be asked.
    private func look(
        at transactions: [ActiveTransaction], in database: SimulatedDatabase,
        _ completion: @escaping ([LostCommit]?) -> Void
    ) {
        guard !transactions.isEmpty else { return completion([]) }
        var isOver = false
        let take = { [log] (state: DatabaseObservation.State) in
            guard !isOver else { return }
            isOver = true
            guard case .seen(let sighting) = state else { return completion(nil) }
            completion(CommitAudit.losses(among: transactions, at: database.index, log: log.log, sighting))
        }
        after(Self.lookTime) { take(.unreachable("no answer in time")) }
        database.observe(witnessesOf: transactions.map(\.transaction), completion: take)
    }
}
