import Coordinator
import Glibc

/// What waits for the writer, in the order of the calls.
struct QueuedStep: Sendable {
    enum Work: Sendable {
        case step(LogWrite, @Sendable (Result<LogReceipt, LogRefusal>) -> Void)
        /// Wants to know when everything before it is durable.
        case flush(@Sendable () -> Void)
        case trim(retention: Milliseconds, askedAt: UInt64, stepsMax: Int, @Sendable (Int) -> Void)
        /// Values that a reader of the owner's found damaged.
        case setAside([DamagedPlace])
    }

    let work: Work
    let urgency: LogUrgency
    /// Monotonic, nanoseconds.
    let queuedAt: UInt64

    var isStep: Bool {
        if case .step = work { true } else { false }
    }

    var isBegin: Bool {
        if case .step(.begin, _) = work { true } else { false }
    }
}

/// The queue between callers on any thread and the one writer: a mutex and a condition of POSIX, because the writer
/// waits with a time limit on a thread of its own.
///
/// `@unchecked Sendable`: every access to the stored state is between lock and unlock of `mutex`, which never moves.
final class StepQueue: @unchecked Sendable {
    enum Refused: Error { case full, closed }

    /// What the writer is to do next.
    struct Batch {
        var steps: [QueuedStep] = []
        /// Nothing follows: the log is closing and the queue is empty.
        var isLast = false
        /// The log was dropped without being closed: the steps are to be refused.
        var isAbandoned = false
    }

    private enum State { case open, closing, abandoned }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let lazyDelayNanoseconds: UInt64
    private var steps: [QueuedStep] = []
    private var forcedCount = 0
    private var state = State.open

    init(lazyDelayMax: Milliseconds) {
        lazyDelayNanoseconds = UInt64(max(0, lazyDelayMax.count)) * 1_000_000
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // A jump of the wall clock must not hold a lazy step back.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        let results = (pthread_mutex_init(mutex, nil), pthread_cond_init(condition, &attributes))
        pthread_condattr_destroy(&attributes)
        precondition(results == (0, 0), "cannot make a mutex or a condition: out of memory")
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func add(_ work: QueuedStep.Work, urgency: LogUrgency) throws(Refused) {
        let step = QueuedStep(work: work, urgency: urgency, queuedAt: monotonicNanoseconds())
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard state == .open else { throw .closed }
        let limit = step.isBegin ? LogLimits.queuedBeginsMax : LogLimits.queuedStepsMax
        guard steps.count < limit else { throw .full }
        steps.append(step)
        if urgency == .forced { forcedCount += 1 }
        // A lazy step behind others changes nothing of what the writer waits for.
        if urgency == .forced || steps.count == 1 { pthread_cond_signal(condition) }
    }

    /// Lets in nothing more; what is here is still written.
    func close() { leave(.closing) }

    /// Lets in nothing more; what is here is refused.
    func abandon() { leave(.abandoned) }

    private func leave(_ next: State) {
        pthread_mutex_lock(mutex)
        if state == .open { state = next }
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Waits until a batch is due, or until `tick`, whichever comes first; the batch is empty at a tick.
    ///
    /// A batch is due with the first forced step, or when the oldest lazy one has waited long enough. It takes
    /// everything that is queued: while one commit syncs, the next batch gathers.
    /// - Parameter tick: monotonic, nanoseconds.
    func take(until tick: UInt64) -> Batch {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            let now = monotonicNanoseconds()
            // The queue is in the order of the calls, so its first step is its oldest.
            let lazyDue = steps.first.map { $0.queuedAt + lazyDelayNanoseconds } ?? UInt64.max
            if state != .open || forcedCount > 0 || now >= lazyDue { return takeBatch() }
            guard now < tick else { return Batch() }
            wait(until: min(tick, lazyDue))
        }
    }

    private func takeBatch() -> Batch {
        var batch = Batch()
        if steps.count <= LogLimits.batchStepsMax {
            swap(&batch.steps, &steps)
            forcedCount = 0
        } else {
            batch.steps = Array(steps.prefix(LogLimits.batchStepsMax))
            steps.removeFirst(LogLimits.batchStepsMax)
            forcedCount -= batch.steps.count { $0.urgency == .forced }
        }
        batch.isAbandoned = state == .abandoned
        batch.isLast = state != .open && steps.isEmpty
        return batch
    }

    private func wait(until time: UInt64) {
        var limit = timespec()
        limit.tv_sec = Int(time / 1_000_000_000)
        limit.tv_nsec = Int(time % 1_000_000_000)
        // Its result is of no interest: the caller looks at the clock and at the queue again.
        _ = pthread_cond_timedwait(condition, mutex, &limit)
    }
}
