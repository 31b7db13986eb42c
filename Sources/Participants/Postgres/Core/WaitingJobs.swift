import Coordinator

/// Jobs that wait for a connection. Those that were withdrawn keep their place and are passed over.
struct WaitingJobs {
    private var urgent = FIFO<PoolJob>()
    private var branches = FIFO<PoolJob>()

    mutating func add(_ job: PoolJob) {
        switch job.kind {
        case .decision, .read: urgent.append(job)
        case .branch: branches.append(job)
        }
    }

    /// What a connection is to do next: a decision or a read before a branch.
    mutating func next() -> PoolJob? { Self.first(of: &urgent) ?? Self.first(of: &branches) }

    /// What may be sent right behind a job: a branch behind a decision. Not behind another branch, whose transaction stays open if it
    /// fails, nor behind what may wait for a lock, and only where neither is near its deadline: who is cancelled takes the other along.
    mutating func next(behind job: PoolJob, at now: MonotonicTime) -> PoolJob? {
        let until = now + PostgresLimits.pairTimeMin
        guard case .decision = job.kind, job.deadline >= until else { return nil }
        return Self.first(of: &branches, where: { $0.deadline >= until })
    }

    mutating func removeAll() -> [PoolJob] { urgent.removeAll() + branches.removeAll() }

    /// Removes the first that still waits, if it is as wanted.
    private static func first(
        of queue: inout FIFO<PoolJob>, where isWanted: (PoolJob) -> Bool = { _ in true }
    ) -> PoolJob? {
        while let job = queue.first {
            guard job.isWaiting else {
                _ = queue.popFirst()
                continue
            }
            return isWanted(job) ? queue.popFirst() : nil
        }
        return nil
    }
}
