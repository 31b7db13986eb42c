import Coordinator
import Synchronization

/// What the writer shows to other threads.
struct WriterView: Sendable {
    var statistics = LogStatistics()
    var pressure: LogPressure
}

/// The one writer: takes batches off the queue, commits each, and hands the completions over after the sync.
///
/// `@unchecked Sendable`: everything mutable here is touched by the writer thread alone, from ``run()``, apart from
/// `view`, which is behind its mutex.
final class LogWriter: @unchecked Sendable {
    typealias Delivery = @Sendable (@escaping @Sendable () -> Void) -> Void

    private struct Trim {
        let retention: Milliseconds
        /// Monotonic, nanoseconds.
        let askedAt: UInt64
        /// Where it ends; `nil` before its first slice.
        var horizon: LSN?
        var stepsLeft: Int
        var dropped = 0
        let completion: @Sendable (Int) -> Void
    }

    private let store: LogStore
    private let directory: String
    private let configuration: LogConfiguration
    private let queue: StepQueue
    private let freeBytesOfDisk: @Sendable (Int32) -> Int?
    private let clock: @Sendable () -> WallTime
    private let monotonic: @Sendable () -> UInt64
    private let deliver: Delivery
    private let failure: @Sendable (String) -> Never
    private let probe: LogProbe?
    let view: Mutex<WriterView>

    private let memory = StepMemory()
    private var nextLSN: LSN
    private var age: LogAge
    /// How old the log was when this writer began, and when that was; monotonic, nanoseconds.
    private let ageAtStart: Milliseconds
    private let startedAt: UInt64
    /// How old it was when a record was added last, and how old its file says that it is.
    private var ageAtLastRecord: Milliseconds
    private var ageOnDisk: Milliseconds
    private var quarantinedTransactions: Set<TransactionID>
    private var trims: [Trim] = []
    /// Where the next trim goes on. Kept between trims, so that what may not be dropped is not looked at each time.
    private var trimCursor = LSN(rawValue: 1)
    private var reserve: DiskReserve
    private var pagesAhead: PagesAhead
    private var isReserveIntact = true
    private var bytesInUse: Int
    private var slowestReader: ReaderLag?
    private var freeBytes: Int?
    /// When to look at the disk again; monotonic, nanoseconds.
    private var pressureDue: UInt64 = 0

    init(
        _ owned: OwnedLog, directory: String, configuration: LogConfiguration, queue: StepQueue,
        freeBytes: @escaping @Sendable (Int32) -> Int?, clock: @escaping @Sendable () -> WallTime,
        monotonic: @escaping @Sendable () -> UInt64, deliver: @escaping Delivery,
        failure: @escaping @Sendable (String) -> Never, probe: LogProbe?
    ) {
        store = owned.store
        self.directory = directory
        self.configuration = configuration
        self.queue = queue
        freeBytesOfDisk = freeBytes
        self.clock = clock
        self.monotonic = monotonic
        self.deliver = deliver
        self.failure = failure
        self.probe = probe
        nextLSN = owned.nextLSN
        age = owned.age
        ageAtStart = owned.age.age
        ageAtLastRecord = owned.age.age
        ageOnDisk = owned.age.age
        startedAt = monotonic()
        quarantinedTransactions = owned.quarantinedTransactions
        let environment = owned.store.environment
        let mapBytes = environment.mapBytes
        reserve = DiskReserve(
            descriptor: environment.descriptor, reserveBytes: configuration.reserveBytes, mapBytes: mapBytes,
            freeBytes: freeBytes)
        pagesAhead = PagesAhead(descriptor: environment.descriptor)
        bytesInUse = owned.bytesInUse
        let blank = LogPressure(
            usedBytes: bytesInUse, mapBytes: mapBytes, freeBytes: nil, reserveIntact: true, slowestReader: nil)
        view = Mutex(WriterView(pressure: blank))
        view.withLock { $0.statistics.quarantined = owned.quarantined }
        refreshPressure()
    }

    /// The thread's whole life.
    func run() {
        while true {
            // With a trim to do there is no waiting for steps, only taking those that are due.
            let batch = queue.take(until: trims.isEmpty ? pressureDue : 0)
            if batch.isAbandoned {
                refuseAll(batch.steps)
            } else if !batch.steps.isEmpty {
                process(batch.steps)
            }
            if batch.isLast { break }
            if !trims.isEmpty { trimSlice() }
            if monotonicNanoseconds() >= pressureDue { refreshPressure() }
        }
        finishTrims()
    }

    private func refuseAll(_ steps: [QueuedStep]) {
        hand(over: steps, steps.map { _ in .failure(.full) })
    }

    // MARK: batches

    private func process(_ steps: [QueuedStep]) {
        let now = clock()
        var outcomes = [StepOutcome](repeating: .noted, count: steps.count)
        settle(steps, steps.indices, now, &outcomes, takingBegins: hasRoomForBegins)
        var (taken, refusals) = (0, (all: 0, space: 0))
        for index in steps.indices {
            switch (outcomes[index], steps[index].isStep) {
            case (.refused(let refusal), _):
                refusals.all += 1
                if refusal == .full { refusals.space += 1 }
            case (_, let isStep): taken += isStep ? 1 : 0
            }
        }
        view.withLock { view in
            view.statistics.steps += taken
            view.statistics.refusals += refusals.all
            view.statistics.refusalsForSpace += refusals.space
            view.statistics.lastBatchSteps = steps.count
            view.statistics.largestBatchSteps = max(view.statistics.largestBatchSteps, steps.count)
        }
        isReserveIntact = reserve.cover(usedBytes: store.environment.fileBytesUsed)
        showPressure()
        _ = probe?(.batchDurable)
        hand(over: steps, outcomes.map { $0.receipt(writtenAt: now) })
        preparePages()
    }

    private var hasRoomForBegins: Bool {
        Double(bytesInUse) < configuration.beginMapShare * Double(store.environment.mapBytes)
    }

    /// Takes a stretch of the batch in one commit; where there is no room for all of it, without its BEGINs, then in
    /// halves, so that decisions, ends and reversals get what room there is.
    private func settle(
        _ steps: [QueuedStep], _ range: Range<Int>, _ now: WallTime, _ outcomes: inout [StepOutcome],
        takingBegins: Bool
    ) {
        // Whatever is tried again below is another attempt, and another moment.
        let hasRoom = probe?(.batchTaken) != true
        if hasRoom, attempt(steps, range, now, &outcomes, takingBegins: takingBegins) { return }
        view.withLock { $0.statistics.fullBatches += 1 }
        if takingBegins, steps[range].contains(where: \.isBegin) {
            return settle(steps, range, now, &outcomes, takingBegins: false)
        }
        guard range.count > 1 else {
            outcomes[range.lowerBound] = .refused(.full)
            return
        }
        let middle = range.lowerBound + range.count / 2
        settle(steps, range.lowerBound..<middle, now, &outcomes, takingBegins: takingBegins)
        settle(steps, middle..<range.upperBound, now, &outcomes, takingBegins: takingBegins)
    }

    /// - Returns: false if there was no room; then nothing was written.
    private func attempt(
        _ steps: [QueuedStep], _ range: Range<Int>, _ now: WallTime, _ outcomes: inout [StepOutcome],
        takingBegins: Bool
    ) -> Bool {
        inTransaction(now) { txn, context throws(LMDBFailure) in
            for index in range {
                if !takingBegins, steps[index].isBegin {
                    outcomes[index] = .refused(.full)
                    continue
                }
                switch steps[index].work {
                case .step(let write, _): outcomes[index] = try store.take(write, txn, &context)
                case .setAside(let places):
                    for place in places { try setAsideIfStillDamaged(place, txn, &context) }
                case .flush, .trim: break
                }
            }
        }
    }

    /// Runs `body` in a write transaction and commits it if it wrote anything. Only a lack of room is an outcome; any
    /// other failure ends the process, because what is on the disk is then unknown and only a fresh open can tell.
    private func inTransaction(
        _ now: WallTime,
        _ body: (borrowing WriteTransaction, inout StepContext) throws(LMDBFailure) -> Void
    ) -> Bool {
        var context = StepContext(now: now, nextLSN: nextLSN, memory: memory)
        do throws(LMDBFailure) {
            let txn = try WriteTransaction(store.environment)
            try body(txn, &context)
            try store.writeStates(txn, &context)
            guard context.hasWritten else { return true }
            if context.hasAdvanced {
                try txn.put(store.meta, Keys.nextLSN, MetaCodec.encodeNext(context.nextLSN))
            }
            let grown = try noteAge(txn, context)
            bytesInUse = try store.bytesInUse(in: txn.reading)
            let start = monotonicNanoseconds()
            try txn.commit()
            committed(context, grown, nanoseconds: monotonicNanoseconds() - start)
            return true
        } catch {
            if error.isFull { return false }
            failure(
                "the log \(directory)/\(Environment.dataFileName) could not be written: \(error). What is on the disk is "
                    + "unknown, so this process ends; start it again to read what is there, "
                    + advice(after: error))
        }
    }

    private func advice(after error: LMDBFailure) -> String {
        if error.isReadOnly {
            return "when the file system is writable again: look for its errors in the kernel's messages."
        }
        let free = freeBytesOfDisk(store.environment.descriptor).map { " (\($0 >> 20) MiB are free)" } ?? ""
        // Of a write that the disk took a part of LMDB says EIO too; what is free tells which it was.
        return error.isOutOfSpace
            ? "after making room on the disk\(free)." : "after a look at the disk\(free) and the kernel's messages."
    }

    private func committed(_ context: StepContext, _ grown: (age: LogAge, isOnDisk: Bool), nanoseconds: UInt64) {
        nextLSN = context.nextLSN
        age = grown.age
        if grown.isOnDisk { ageOnDisk = age.age }
        if context.hasAdvanced { ageAtLastRecord = age.age }
        quarantinedTransactions.formUnion(context.quarantinedTransactions)
        view.withLock { view in
            view.statistics.commits += 1
            view.statistics.quarantined += context.quarantined
            view.statistics.commitNanosecondsTotal += nanoseconds
            view.statistics.commitNanosecondsMax = max(view.statistics.commitNanosecondsMax, nanoseconds)
        }
    }

    // MARK: the log's age

    private var presentAge: Milliseconds { ageOfLog(at: monotonic()) }

    private func ageOfLog(at time: UInt64) -> Milliseconds {
        Milliseconds(ageAtStart.count + Int64((max(time, startedAt) - startedAt) / 1_000_000))
    }

    /// The log's age after a batch, written with it now and then.
    private func noteAge(
        _ txn: borrowing WriteTransaction, _ context: StepContext
    ) throws(LMDBFailure) -> (age: LogAge, isOnDisk: Bool) {
        var grown = age
        grown.advance(to: presentAge)
        // Whatever is before this batch was written with the one before it, or earlier.
        if context.hasAdvanced { grown.mark(end: nextLSN, writtenBy: ageAtLastRecord) }
        if let time = context.trimmedUntil { grown.noteTrimmed(until: time) }
        // Where room is scarce it is left to decisions and reversals.
        let isDue = hasRoomForBegins && grown.age.count - ageOnDisk.count >= LogLimits.ageNoteInterval.count
        guard isDue || context.trimmedUntil != nil else { return (grown, false) }
        try txn.put(store.meta, Keys.age, MetaCodec.encode(grown))
        return (grown, true)
    }

    /// The place before which everything was as old as the retention when the trim was asked for.
    private func findHorizon(of trim: Trim) -> LSN? {
        age.advance(to: presentAge)
        age.mark(end: nextLSN, writtenBy: ageAtLastRecord)
        guard let horizon = age.horizon(of: trim.retention, asked: ageOfLog(at: trim.askedAt)) else { return nil }
        age.forget(before: horizon)
        return horizon
    }

    /// A reader's finding may be outdated: the value may have been written anew since.
    private func setAsideIfStillDamaged(
        _ place: DamagedPlace, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) {
        let transaction = place.key.withUnsafeBytes { Keys.transaction(from: $0) }
        if let transaction, place.database == store.active {
            _ = try store.loadActive(transaction, txn, &context)
        } else if let transaction, place.database == store.reversals {
            _ = try store.loadReversal(transaction, txn, &context)
        } else if place.database != store.requests {
            try store.setAside(place.database, place.key, reason: place.reason, txn, &context)
        }
    }

    /// All completions of a batch in one closure, in the order of the steps.
    private func hand(over steps: [QueuedStep], _ results: [Result<LogReceipt, LogRefusal>]) {
        var isAwaited = false
        for index in steps.indices {
            switch steps[index].work {
            case .step, .flush: isAwaited = true
            case .trim(let retention, let askedAt, let stepsMax, let completion):
                trims.append(
                    Trim(retention: retention, askedAt: askedAt, stepsLeft: stepsMax, completion: completion))
            case .setAside: break
            }
        }
        guard isAwaited else { return }
        deliver {
            for index in steps.indices {
                switch steps[index].work {
                case .step(_, let completion): completion(results[index])
                case .flush(let completion): completion()
                case .trim, .setAside: break
                }
            }
        }
    }

    // MARK: trimming

    private func trimSlice() {
        var trim = trims.removeFirst()
        guard let horizon = trim.horizon ?? findHorizon(of: trim) else { return finish(trim) }
        trim.horizon = horizon
        var slice = TrimSlice()
        let examineMax = min(trim.stepsLeft, LogLimits.trimSliceRecordsMax)
        let hadRoom =
            examineMax > 0 && probe?(.trimStep) != true
            && inTransaction(clock()) { txn, context throws(LMDBFailure) in
                slice = try store.trim(
                    from: trimCursor, before: horizon, examineMax: examineMax,
                    keeping: quarantinedTransactions, txn, &context)
            }
        if hadRoom {
            trim.dropped += slice.dropped
            trim.stepsLeft -= slice.examined
            trimCursor = slice.resume ?? LSN(rawValue: 1)
            showPressure()
            view.withLock { $0.statistics.trimmedRecords += slice.dropped }
            _ = probe?(.trimStepDurable)
        }
        if hadRoom, slice.resume != nil, trim.stepsLeft > 0 {
            trims.insert(trim, at: 0)
        } else {
            finish(trim)
        }
    }

    private func finishTrims() {
        for trim in trims { finish(trim) }
        trims = []
    }

    private func finish(_ trim: Trim) {
        let (completion, dropped) = (trim.completion, trim.dropped)
        deliver { completion(dropped) }
    }

    // MARK: pressure

    /// Asks LMDB and the file system; about once a second.
    private func refreshPressure() {
        let environment = store.environment
        slowestReader = environment.slowestReader()
        freeBytes = freeBytesOfDisk(environment.descriptor)
        isReserveIntact = reserve.cover(usedBytes: environment.fileBytesUsed)
        preparePages()
        showPressure()
        pressureDue = monotonicNanoseconds() + UInt64(LogLimits.pressureIntervalMilliseconds) * 1_000_000
    }

    /// Within the reserve's blocks. Where those are scarce they are left to what has to be written.
    private func preparePages() {
        guard isReserveIntact else { return }
        pagesAhead.prepare(usedBytes: store.environment.fileBytesUsed, within: reserve.allocatedEnd)
    }

    /// Shows what is known, with the map as of the last commit.
    private func showPressure() {
        let environment = store.environment
        // Pages that a lagging reader still sees are free in name only.
        let isLagging = (slowestReader?.commitsBehind ?? 0) > LogLimits.readerLagCommitsMax
        let used = isLagging ? environment.fileBytesUsed : min(bytesInUse, environment.fileBytesUsed)
        var pressure = LogPressure(
            usedBytes: used, mapBytes: environment.mapBytes, freeBytes: freeBytes, reserveIntact: isReserveIntact,
            slowestReader: slowestReader)
        if !isReserveIntact {
            pressure.obstacle = .reserve(freeBytes: freeBytes, reserveBytes: configuration.reserveBytes)
        } else if pressure.mapShare >= configuration.admissionMapShare {
            pressure.obstacle = .mapShare(usedBytes: used, mapBytes: environment.mapBytes)
        } else if let freeBytes, freeBytes < configuration.freeBytesMin {
            pressure.obstacle = .freeBytes(freeBytes, min: configuration.freeBytesMin)
        }
        view.withLock { $0.pressure = pressure }
    }
}
