/// Jobs that wait for a connection. Those that were withdrawn keep their place and are passed over.
struct WaitingJobs {
    private var urgent = FIFO<PoolJob>()
    private var ordinary = FIFO<PoolJob>()

    mutating func add(_ job: PoolJob) {
        switch job.priority {
        case .urgent: urgent.append(job)
        case .ordinary: ordinary.append(job)
        }
    }

    /// What a connection is to do next: decisions and reads first, which free slots, locks and clients.
    mutating func next() -> PoolJob? { Self.first(of: &urgent) ?? Self.first(of: &ordinary) }

    /// What may go to the server in one message with a job, behind it: a branch that is prepared behind a decision or a read. Never one
    /// behind another, whose transaction stays open if it fails, and which may wait for a lock.
    mutating func next(behind job: PoolJob) -> PoolJob? {
        switch job.priority {
        case .urgent: Self.first(of: &ordinary)
        case .ordinary: nil
        }
    }

    mutating func removeAll() -> [PoolJob] { urgent.removeAll() + ordinary.removeAll() }

    private static func first(of queue: inout FIFO<PoolJob>) -> PoolJob? {
        while let job = queue.popFirst() {
            if job.isWaiting { return job }
        }
        return nil
    }
}
