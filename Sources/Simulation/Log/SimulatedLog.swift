import Coordinator
import NIOCore
import Payments
import Runtime

/// What of a log outlives its process: the durable half, and the room that the disk has left.
final class Disk {
    var image: LogImage
    /// Steps that the reserve has room for while there is none beyond it; `nil` while there is room.
    var reserveLeft: Int?
    /// What a disk that lies goes back to in a crash: the image before the last batches.
    var before: [LogImage] = []
    /// The last picture that somebody took for a backup.
    var backup: LogImage?

    init(_ log: LogID) { image = LogImage(log: log) }
}

/// A log of two halves: what was given to it, and what is durable. Group commit, one batch at a time; a crash loses batches, never half
/// of one.
final class SimulatedLog: TransactionLog, @unchecked Sendable {
    // @unchecked: a simulation runs on one thread.

    private enum Work {
        case step(LogWrite, @Sendable (Result<LogReceipt, LogRefusal>) -> Void)
        case flush(@Sendable () -> Void)
        case trim(retention: Milliseconds, askedAt: UInt64, @Sendable (Int) -> Void)
    }

    private struct Queued {
        let work: Work
        let urgency: LogUrgency
        let at: UInt64
    }

    unowned let world: World
    let node: Int
    let disk: Disk
    private let life: Life
    private let loop: SimulatedLoop
    private let wall: () -> WallTime
    private var count: AgeCount
    private var queue: [Queued] = []
    private var batch: [Queued]?
    private var lazyTimer: Scheduler.Ticket?
    private var trimCursor = LSN(rawValue: 1)
    /// Whether new payments should be let in; looks at the disk about once a second.
    private(set) var admits = true

    init(_ world: World, node: Int, disk: Disk, life: Life, loop: SimulatedLoop, wall: @escaping () -> WallTime) {
        self.world = world
        self.node = node
        self.disk = disk
        self.life = life
        self.loop = loop
        self.wall = wall
        count = AgeCount(disk.image.age, startedAt: world.now)
        admits = disk.reserveLeft == nil
        watchDisk()
    }

    var log: LogID { disk.image.log }

    private func watchDisk() {
        world.scheduler.after(.seconds(1), for: life) { [self] in
            admits = disk.reserveLeft == nil
            watchDisk()
        }
    }

    // MARK: - The port

    func append(
        _ write: LogWrite, urgency: LogUrgency,
        completion: @escaping @Sendable (Result<LogReceipt, LogRefusal>) -> Void
    ) {
        enqueue(.step(write, completion), urgency)
    }

    func lookUp(_ request: RequestID) throws -> RequestEntry? { disk.image.requests[request] }

    func snapshot() throws -> LogSnapshot { disk.image.snapshot }

    func flush(_ completion: @escaping @Sendable () -> Void) { enqueue(.flush(completion), .forced) }

    func trim(retention: Milliseconds, completion: @escaping @Sendable (Int) -> Void) {
        enqueue(.trim(retention: retention, askedAt: world.now, completion), .forced)
    }

    // MARK: - The writer

    private func enqueue(_ work: Work, _ urgency: LogUrgency) {
        queue.append(Queued(work: work, urgency: urgency, at: world.now))
        if urgency == .forced { return startBatch() }
        guard lazyTimer == nil else { return }
        let timer = Scheduler.Ticket()
        lazyTimer = timer
        let delay = UInt64(LogTiming.lazyDelayMax.count) * 1_000_000
        world.scheduler.after(delay, for: life, ticket: timer) { [self] in
            lazyTimer = nil
            startBatch()
        }
    }

    private func startBatch() {
        guard batch == nil, !queue.isEmpty else { return }
        lazyTimer?.cancel()
        lazyTimer = nil
        batch = queue
        queue = []
        let now = wall()
        let sync = world.scenario.syncTime
        let isSlow = world.strikes(.slowLog, atMost: 0.1)
        let time: UInt64 =
            isSlow
            ? .milliseconds(world.servers.between(20, 3000))
            : .milliseconds(world.servers.between(sync.lowerBound, sync.upperBound))
        world.scheduler.after(time, for: life) { [self] in
            guard let steps = batch else { return }
            batch = nil
            commit(steps, now)
            if queue.contains(where: { $0.urgency == .forced }) {
                startBatch()
            } else if !queue.isEmpty, lazyTimer == nil {
                startBatch()
            }
        }
    }

    /// The sync is over: everything of the batch is durable, and whoever waits for it is told on the loop.
    private func commit(_ steps: [Queued], _ now: WallTime) {
        if world.control == .lyingDisk { disk.before = disk.before.suffix(2) + [disk.image] }
        var calls: [@Sendable () -> Void] = []
        let next = disk.image.nextLSN
        for step in steps {
            switch step.work {
            case .step(let write, let completion):
                let result = take(write, now)
                calls.append { completion(result) }
            case .flush(let completion): calls.append(completion)
            case .trim(let retention, let askedAt, let completion):
                let dropped = trim(retention, askedAt)
                calls.append { completion(dropped) }
            }
        }
        noteAge(next: next)
        if disk.reserveLeft != nil { admits = false }
        let all = calls
        loop.execute { for call in all { call() } }
    }

    private func trim(_ retention: Milliseconds, _ askedAt: UInt64) -> Int {
        let next = disk.image.nextLSN
        guard let horizon = count.horizon(of: retention, askedAt: askedAt, next: next, at: world.now) else { return 0 }
        let trimmed = disk.image.trim(from: trimCursor, before: horizon, examineMax: 50_000)
        trimCursor = trimmed.resume ?? LSN(rawValue: 1)
        if trimmed.dropped > 0 { noteAge(next: next, trimmedUntil: trimmed.until) }
        return trimmed.dropped
    }

    private func noteAge(next: LSN, trimmedUntil: WallTime? = nil) {
        let hasAdvanced = disk.image.nextLSN != next
        let noted = count.written(
            next: next, hasAdvanced: hasAdvanced, trimmedUntil: trimmedUntil, at: world.now)
        if let noted { disk.image.age = noted }
    }

    private func take(_ write: LogWrite, _ now: WallTime) -> Result<LogReceipt, LogRefusal> {
        let result: Result<LogReceipt, LogRefusal>
        if hasRoom(for: write) {
            let before = disk.image.nextLSN
            result = disk.image.take(write, now)
            let from = disk.image.records.count - Int(disk.image.nextLSN.rawValue - before.rawValue)
            for entry in disk.image.records[from...] { world.checker.recordIsDurable(entry, log: self) }
        } else {
            result = .failure(.full)
        }
        world.coverage.hit(.write, write.label)
        if case .failure(let refusal) = result { world.coverage.hit(.refusal, refusal.label) }
        world.note(write.subject, 100, describe(write, result))
        return result
    }

    private func hasRoom(for write: LogWrite) -> Bool {
        guard let left = disk.reserveLeft else { return true }
        if case .begin = write { return false }
        guard left > 0 else { return false }
        disk.reserveLeft = left - 1
        return true
    }

    private func describe(_ write: LogWrite, _ result: Result<LogReceipt, LogRefusal>) -> String {
        switch result {
        case .success: "\(write.label) is durable"
        case .failure(let refusal): "\(write.label) is refused: \(refusal.label)"
        }
    }

    /// The process dies. A batch whose sync is under way is on the disk as a whole, or not at all.
    func crash() {
        if let image = disk.before.first, world.faultsAreOn {
            disk.image = image
            disk.before = []
        }
        guard let steps = batch else { return }
        batch = nil
        guard world.servers.chance(0.5) else { return }
        let now = wall()
        for step in steps {
            if case .step(let write, _) = step.work { _ = take(write, now) }
        }
    }
}

extension LogWrite {
    /// The transaction that it is about.
    var subject: TransactionID? {
        switch self {
        case .begin(let record): record.transaction
        case .commit(let record): record.transaction
        case .abort(let record): record.transaction
        case .acknowledged(let record): record.transaction
        case .end(let record): record.transaction
        case .park(let record): record.transaction
        case .reversalRefused(let record): record.transaction
        case .closeReversal(let record): record.transaction
        case .parkReversal(let record): record.transaction
        case .resolve(let record, _): record.transaction
        case .adopt(let record): record.transaction
        case .reopen(let state, _): state.transaction
        case .releaseReversal(let record): record.transaction
        case .fenceAttempted, .fenceConfirmed, .databaseSeen, .releaseQuarantined, .reconcile: nil
        }
    }
}
