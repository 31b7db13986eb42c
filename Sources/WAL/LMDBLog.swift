public import Coordinator
import Glibc
public import Payments
import Synchronization

/// The durable log on LMDB: the owner's side, one a state directory.
///
/// Steps are written by one thread of the log's own, many in one commit. Readings come from the committed state and
/// never wait for the writer. Call ``close()`` at the end; a log that is dropped without it refuses what still waits.
public final class LMDBLog: TransactionLog {
    /// What the log is, and the pair of this start.
    public let log: LogID
    public let owner: FencePair
    /// Whether this opening made the log.
    public let isNew: Bool
    /// The time of the newest record of earlier starts; `nil` if there was none, or none that can be read.
    public let lastWrittenAt: WallTime?

    /// The committed state, with a read transaction that look-ups renew instead of making one each.
    struct Access {
        let store: LogStore
        var lookUps: ReadTransaction
    }

    private let directory: StateDirectory
    private let queue: StepQueue
    private let writer: Mutex<LogWriter?>
    let access: Mutex<Access?>
    private let thread: Mutex<WriterThread?>
    private let deliver: LogWriter.Delivery
    private let monotonic: @Sendable () -> UInt64
    let absentees = KnownAbsentees()
    private let last: Mutex<WriterView>

    private init(
        _ owned: OwnedLog, _ lookUps: sending ReadTransaction, _ directory: StateDirectory, _ queue: StepQueue,
        _ writer: LogWriter, _ thread: WriterThread, _ deliver: @escaping LogWriter.Delivery,
        _ monotonic: @escaping @Sendable () -> UInt64
    ) {
        log = owned.log
        owner = owned.owner
        isNew = owned.isNew
        lastWrittenAt = owned.lastWrittenAt
        self.directory = directory
        self.queue = queue
        self.deliver = deliver
        self.monotonic = monotonic
        self.writer = Mutex(writer)
        self.thread = Mutex(thread)
        access = Mutex(Access(store: owned.store, lookUps: lookUps))
        last = Mutex(writer.view.withLock { $0 })
    }

    deinit {
        guard let thread = thread.withLock({ $0.take() }) else { return }
        queue.abandon()
        // It may be the writer's own thread that drops the log, in a completion; it must not wait for itself.
        if thread.isCurrent { thread.detach() } else { thread.join() }
    }

    /// Opens the log in a state directory, making it if there is none, and takes it over: the next epoch and
    /// `incarnation` are durable when this returns. Signals about too large files (SIGXFSZ) are ignored from here on,
    /// so that a limit on the size of files is an error of the write.
    ///
    /// - Parameters:
    ///   - directory: locked by this process; held until the log is closed.
    ///   - incarnation: random, drawn for this start.
    ///   - newLogID: random, used only if the log is made.
    ///   - clock: called by the writer once a batch.
    ///   - deliver: called with everything that a batch completed, on the writer's thread or on that of a refused call;
    ///     it must pass the closure on quickly or run it, in the order of the calls.
    ///   - failure: called when a write failed and nobody knows what is on the disk; must end the process.
    ///   - monotonic: nanoseconds that only grow, by which the log's age is counted; the system's unless a test has its own.
    ///   - probe: for tests.
    /// - Throws: ``LogError``.
    public static func open(
        in directory: StateDirectory, configuration: LogConfiguration, incarnation: Incarnation, newLogID: LogID,
        clock: @escaping @Sendable () -> WallTime,
        deliver: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void,
        failure: @escaping @Sendable (String) -> Never, monotonic: (@Sendable () -> UInt64)? = nil,
        probe: LogProbe? = nil
    ) throws(LogError) -> LMDBLog {
        try open(
            in: directory, configuration: configuration, incarnation: incarnation, newLogID: newLogID,
            freeBytes: { FileSystem.freeBytes(of: $0) }, clock: clock, monotonic: monotonic ?? monotonicNanoseconds,
            deliver: deliver, failure: failure, probe: probe)
    }

    /// - Parameter freeBytes: what the disk has left, by a descriptor of the data file. A test says so itself, because
    ///   a full disk would be everybody's.
    static func open(
        in directory: StateDirectory, configuration: LogConfiguration, incarnation: Incarnation, newLogID: LogID,
        freeBytes: @escaping @Sendable (Int32) -> Int?, clock: @escaping @Sendable () -> WallTime,
        monotonic: @escaping @Sendable () -> UInt64, deliver: @escaping LogWriter.Delivery,
        failure: @escaping @Sendable (String) -> Never, probe: LogProbe? = nil
    ) throws(LogError) -> LMDBLog {
        guard directory.isHeld else {
            throw LogError(.closed, "the lock of \(directory.path) was released. Take it again before opening the log.")
        }
        signal(SIGXFSZ, SIG_IGN)
        let path = directory.path
        let map = mapBytes(configuration.mapBytes)
        let isNew = try LogStore.makeIfMissing(in: path, newLogID, mapBytes: map)
        try FileSystem.settle(path + "/" + Environment.dataFileName)
        let environment = try Environment(
            directory: path, access: .owner(mapBytes: map))
        let owned: OwnedLog
        let lookUps: ReadTransaction
        do throws(LMDBFailure) {
            try environment.clearStaleReaders()
        } catch {
            throw LogError(error, doing: "cannot check the readers of the log in \(path)")
        }
        // Even of a log that was there: a start that was killed may have made it and not come to this.
        try FileSystem.syncDirectory(path)
        do throws(LogError) {
            try FileSystem.syncDirectory(FileSystem.parent(of: path))
        } catch {
            // A directory that somebody else made for us may lie in one that we may not read.
            if isNew || error.code != .notPermitted { throw error }
        }
        _ = probe?(.opened)
        owned = try LogStore.takeOver(
            environment, incarnation: incarnation, newLogID: newLogID, isMade: isNew, now: clock())
        do throws(LMDBFailure) {
            lookUps = try ReadTransaction(environment)
            lookUps.reset()
        } catch {
            throw LogError(error, doing: "cannot read the log in \(path)")
        }
        let queue = StepQueue(lazyDelayMax: configuration.lazyDelayMax)
        let writer = LogWriter(
            owned, directory: path, configuration: configuration, queue: queue, freeBytes: freeBytes, clock: clock,
            monotonic: monotonic, deliver: deliver, failure: failure, probe: probe)
        let thread = try WriterThread { writer.run() }
        return LMDBLog(owned, lookUps, directory, queue, writer, thread, deliver, monotonic)
    }

    /// LMDB: "The size should be a multiple of the OS page size." Beyond the limit on the size of files no write succeeds;
    /// a map that ends there is full in time, which is a clean refusal, where a failed write would end the process.
    private static func mapBytes(_ wanted: Int) -> Int {
        let page = Int(getpagesize())
        let pages = min((wanted + page - 1) / page, FileSystem.fileBytesMax / page)
        return max(16, pages) * page
    }

    // MARK: writing

    public func append(
        _ write: LogWrite, urgency: LogUrgency, completion: @escaping @Sendable (Result<LogReceipt, LogRefusal>) -> Void
    ) {
        if case .adopt(let adoption) = write { absentees.forget(adoption.transaction) }
        // After close() as with a full queue nothing was written, and a later start has the rest to say.
        enqueue(.step(write.clipped, completion), urgency) { completion(.failure(.full)) }
    }

    /// Calls `completion` when every step before it is durable or refused.
    public func flush(_ completion: @escaping @Sendable () -> Void) {
        enqueue(.flush(completion), .forced, orElse: completion)
    }

    /// Drops from the head of the history what is as old as `retention` now, but nothing of transactions that are active or
    /// parked or that have an open reversal. With a transaction's END goes its claim on the request_id.
    ///
    /// Only the time for which the log is at work counts, whatever the time of day says: never too much is dropped.
    ///
    /// - Parameters:
    ///   - stepsMax: how many records to look at; between slices of ``LogLimits/trimSliceRecordsMax`` other steps go
    ///     first. The next trim goes on where this one stopped.
    ///   - completion: how many records were dropped.
    public func trim(retention: Milliseconds, stepsMax: Int, completion: @escaping @Sendable (Int) -> Void) {
        let trim = QueuedStep.Work.trim(
            retention: retention, askedAt: monotonic(), stepsMax: stepsMax, completion)
        enqueue(trim, .forced) { completion(0) }
    }

    private func enqueue(
        _ work: QueuedStep.Work, _ urgency: LogUrgency, orElse refused: @escaping @Sendable () -> Void
    ) {
        do throws(StepQueue.Refused) {
            try queue.add(work, urgency: urgency)
        } catch {
            deliver(refused)
        }
    }

    /// Writes what waits, lazy steps too, ends the writer's thread, frees the log and gives the directory's lock back.
    /// Steps that come later are refused. Must not be called from a completion that runs on the writer's thread.
    public func close() {
        queue.close()
        guard let thread = thread.withLock({ $0.take() }) else { return }
        precondition(!thread.isCurrent, "the log cannot be closed from its own writer's thread")
        thread.join()
        if let writer = writer.withLock({ $0.take() }) {
            let view = writer.view.withLock { $0 }
            last.withLock { $0 = view }
        }
        access.withLock { $0 = nil }
        directory.release()
    }

    // MARK: reading

    public func lookUp(_ request: RequestID) throws -> RequestEntry? {
        try access.withLock { access throws(LogError) -> RequestEntry? in
            guard let lookUps = access?.lookUps, let store = access?.store else { throw Self.closed }
            do throws(LMDBFailure) {
                try lookUps.renew()
            } catch {
                throw LogError(error, doing: "cannot read the log")
            }
            // Held no longer than the look-up, so that no page waits for it.
            defer { lookUps.reset() }
            return try store.lookUp(request, in: lookUps.reading)
        }
    }

    /// Damaged values are counted, left out, and moved to the quarantine by the writer.
    public func snapshot() throws -> LogSnapshot {
        let (snapshot, damaged) = try read { store, reading throws(LogError) in
            try store.readSnapshot(in: reading)
        }
        if !damaged.isEmpty { enqueue(.setAside(damaged), .forced, orElse: {}) }
        return snapshot
    }

    /// Every record of a transaction that is still in the history, oldest first.
    public func history(of transaction: TransactionID) throws -> [LoggedRecord] {
        try HistorySearch(for: [transaction], in: self).found[transaction] ?? []
    }

    /// Runs `body` on a picture of now.
    func read<Result>(
        _ body: (LogStore, Reading) throws(LogError) -> Result
    ) throws(LogError) -> Result {
        guard let store = access.withLock({ $0?.store }) else { throw Self.closed }
        let transaction: ReadTransaction
        do throws(LMDBFailure) {
            transaction = try ReadTransaction(store.environment)
        } catch {
            throw LogError(error, doing: "cannot read the log")
        }
        return try body(store, transaction.reading)
    }

    private static let closed = LogError(.closed, "the log is closed. Open it again to read it.")

    // MARK: watching

    /// How near the log is to its limits, at most a second old. Cheap.
    public var pressure: LogPressure { view.pressure }

    /// What the writer has done so far. Cheap.
    public var statistics: LogStatistics { view.statistics }

    private var view: WriterView {
        if let writer = writer.withLock({ $0 }) { return writer.view.withLock { $0 } }
        return last.withLock { $0 }
    }

    /// Clears the slots of readers that died, whose pages would otherwise be kept for ever. For a timer, every minute
    /// or so.
    /// - Returns: how many were cleared.
    @discardableResult
    public func clearStaleReaders() throws(LogError) -> Int {
        guard let store = access.withLock({ $0?.store }) else { throw Self.closed }
        do throws(LMDBFailure) {
            return try store.environment.clearStaleReaders()
        } catch {
            throw LogError(error, doing: "cannot check the readers of the log")
        }
    }
}
