import Coordinator
import Foundation
import Payments
import Synchronization

@testable import WAL

/// A directory of the test's own, removed with it.
final class TestDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "holdfast-wal-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A clock that moves when the test says so.
final class ManualClock: Sendable {
    private let timeOfDay: Mutex<Int64>
    private let passed = Mutex<UInt64>(1_000_000_000)

    init(_ start: WallTime = Sample.startedAt) { timeOfDay = Mutex(start.microseconds) }

    var now: WallTime { WallTime(microseconds: timeOfDay.withLock { $0 }) }
    var monotonicNanoseconds: UInt64 { passed.withLock { $0 } }

    /// Lets time pass.
    func advance(seconds: Int64) {
        set(forward: seconds)
        passed.withLock { $0 += UInt64(seconds) * 1_000_000_000 }
    }

    /// Sets the time of day, as somebody does or a time server; no time passes by it.
    func set(forward seconds: Int64) { timeOfDay.withLock { $0 += seconds * 1_000_000 } }
}

/// Holds the writer's thread back while it is shut, so that a test decides what comes together in a batch.
final class Gate: Sendable {
    /// Who shut it; a refused call is answered on its caller's thread, and that one must come to open it again.
    private let shutBy = Mutex<pthread_t?>(nil)
    private let arrived = Mutex(0)

    func shut() { shutBy.withLock { $0 = pthread_self() } }
    func open() { shutBy.withLock { $0 = nil } }
    /// How often somebody else came to the gate.
    var arrivals: Int { arrived.withLock { $0 } }

    func pass() {
        let here = pthread_self()
        guard shutBy.withLock({ $0 != here }) else { return }
        arrived.withLock { $0 += 1 }
        while shutBy.withLock({ $0 != nil }) { usleep(200) }
    }
}

/// A log in a directory of its own, with a clock and a gate for the test.
final class TestLog: Sendable {
    typealias Answer = Result<LogReceipt, LogRefusal>

    /// Small files, and no demands on the disk of the machine that runs the tests.
    static let small = LogConfiguration(mapBytes: 64 << 20, reserveBytes: 0, freeBytesMin: 0)

    let directory: TestDirectory
    let clock: ManualClock
    let gate = Gate()
    let log: LMDBLog

    init(
        in directory: TestDirectory? = nil, configuration: LogConfiguration = small, clock: ManualClock = ManualClock(),
        incarnation: UInt64 = 0xABCD, freeBytes: @escaping @Sendable (Int32) -> Int? = { FileSystem.freeBytes(of: $0) }
    ) throws {
        let directory = try directory ?? TestDirectory()
        self.directory = directory
        self.clock = clock
        let gate = gate
        log = try LMDBLog.open(
            in: try StateDirectory.acquire(path: directory.path, allowUnsafeFileSystem: true),
            configuration: configuration, incarnation: Incarnation(rawValue: incarnation), newLogID: Sample.log,
            freeBytes: freeBytes, clock: { clock.now }, monotonic: { clock.monotonicNanoseconds },
            deliver: { completions in
                gate.pass()
                completions()
            },
            failure: { message in fatalError(message) })
    }

    func take(_ write: LogWrite, _ urgency: LogUrgency = .forced) async -> Answer {
        await withCheckedContinuation { continuation in
            log.append(write, urgency: urgency) { continuation.resume(returning: $0) }
        }
    }

    /// Takes steps that must all be taken.
    func takeAll(_ writes: LogWrite...) async throws {
        for write in writes { _ = try await take(write).get() }
    }

    /// Gives all of `writes` to one batch.
    func takeTogether(_ writes: [LogWrite], urgency: LogUrgency = .forced) async -> [Answer] {
        let answers = Mutex<[Int: Answer]>([:])
        gate.shut()
        // The writer stops at the gate with this batch of nothing, and gathers the rest meanwhile.
        let arrived = gate.arrivals
        log.flush {}
        while gate.arrivals == arrived { usleep(200) }
        await withCheckedContinuation { continuation in
            for (index, write) in writes.enumerated() {
                log.append(write, urgency: urgency) { answer in
                    let count = answers.withLock { answers in
                        answers[index] = answer
                        return answers.count
                    }
                    if count == writes.count { continuation.resume() }
                }
            }
            gate.open()
        }
        let collected = answers.withLock { $0 }
        return writes.indices.compactMap { collected[$0] }
    }

    func flush() async { await withCheckedContinuation { continuation in log.flush { continuation.resume() } } }

    func trim(retention: Milliseconds = .seconds(5), stepsMax: Int = 1_000_000) async -> Int {
        await withCheckedContinuation { continuation in
            log.trim(retention: retention, stepsMax: stepsMax) { continuation.resume(returning: $0) }
        }
    }

    /// Changes the stored bytes behind the log's back.
    func rewrite(_ name: KeyPath<LogStore, Database>, _ key: [UInt8], _ change: ([UInt8]) -> [UInt8]) throws {
        guard let store = log.access.withLock({ $0?.store }) else { return }
        let txn = try WriteTransaction(store.environment)
        guard let bytes = try txn.reading.get(store[keyPath: name], key).map(Array.init) else {
            throw LogError(.missing, "there is nothing under the key to rewrite")
        }
        try txn.put(store[keyPath: name], key, change(bytes))
        try txn.commit()
    }

    /// Takes a value away behind the log's back.
    func remove(_ name: KeyPath<LogStore, Database>, _ key: [UInt8]) throws {
        guard let store = log.access.withLock({ $0?.store }) else { return }
        let txn = try WriteTransaction(store.environment)
        guard try txn.delete(store[keyPath: name], key) else {
            throw LogError(.missing, "there is nothing under the key to remove")
        }
        try txn.commit()
    }

    /// Puts a value in behind the log's back.
    func insert(_ name: KeyPath<LogStore, Database>, _ key: [UInt8], _ bytes: [UInt8]) throws {
        guard let store = log.access.withLock({ $0?.store }) else { return }
        let txn = try WriteTransaction(store.environment)
        try txn.put(store[keyPath: name], key, bytes)
        try txn.commit()
    }

    /// Drops the head of the history as trimming does, behind the log's back.
    ///
    /// - Returns: how many records were dropped.
    func trimByHand(before horizon: LSN) throws -> Int {
        guard let store = log.access.withLock({ $0?.store }) else { return 0 }
        let txn = try WriteTransaction(store.environment)
        var context = StepContext(now: clock.now, nextLSN: LSN(rawValue: 1))
        let slice = try store.trim(
            from: LSN(rawValue: 1), before: horizon, examineMax: .max, keeping: [], txn, &context)
        try txn.commit()
        return slice.dropped
    }

    /// Changes a transaction's state behind the log's back.
    func rewriteActive(_ number: UInt64, _ change: (inout ActiveTransaction) -> Void) throws {
        let id = Sample.transaction(number)
        try rewrite(\.active, Keys.transaction(id)) { bytes in
            guard var state = bytes.withUnsafeBytes({ try? StateCodec.decodeActive($0, of: id) }) else { return bytes }
            change(&state)
            return StateCodec.encode(state)
        }
    }

    /// Changes what is answered about a request_id behind the log's back.
    func rewriteRequest(_ number: UInt64, _ status: RequestEntry.Status) throws {
        let entry = RequestEntry(
            transaction: Sample.transaction(number), intent: Sample.intent(number), status: status)
        try rewrite(\.requests, Keys.request(Sample.intent(number).requestID)) { _ in StateCodec.encode(entry) }
    }

    /// Verifies the log as it is while it is open: what a reader in another process would see.
    func verifyCopy() async throws -> LogVerification {
        guard let store = log.access.withLock({ $0?.store }) else {
            throw LogError(.closed, "the log of the test is closed")
        }
        return try LogReader(beside: store, path: directory.path).verify()
    }

    /// Flips a bit of the stored value.
    func damage(_ name: KeyPath<LogStore, Database>, _ key: [UInt8]) throws {
        try rewrite(name, key) { bytes in
            var bytes = bytes
            bytes[bytes.count - 1] ^= 0x10
            return bytes
        }
    }
}

extension Result where Success == LogReceipt, Failure == LogRefusal {
    var refusal: LogRefusal? {
        if case .failure(let refusal) = self { refusal } else { nil }
    }
    var isTaken: Bool { refusal == nil }
}
