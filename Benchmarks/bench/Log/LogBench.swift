import BenchmarkKit
import Coordinator
import Dispatch
import Foundation
import NIOCore
import Payments
import Runtime
import Synchronization
import WAL

/// The real log, opened and fed as a node does it: its completions come on an event loop, which takes the next steps.
final class LogBench: Sendable {
    /// What a commit was, on average.
    struct BatchShape: Sendable {
        var steps: Double
        var bytes: Double
    }

    private let opened: BenchLog
    /// What the log refused, if anything.
    private let failures = Mutex<String?>(nil)

    init(directory path: String) throws { opened = try BenchLog(directory: path, threads: 1) }

    private var log: LMDBLog { opened.log }
    private var loop: any EventLoop { opened.loop }

    func close() { opened.close() }

    // MARK: Filling

    /// Payments that were begun, committed and ended, many in a commit; their request_ids come in order, which is faster, and are
    /// spread evenly among all that may come.
    func fill(_ count: Int) throws {
        var source = PaymentSource(seed: 7)
        let epoch = log.owner.epoch
        // As many as the queue and two batches of the writer hold comfortably.
        let chunk = 2000
        for first in stride(from: 0, to: count, by: chunk) {
            let begins = (first..<min(first + chunk, count)).map { number in
                source.begin(epoch: epoch, at: Double(number) / Double(count))
            }
            for begin in begins { append(.begin(begin)) }
            finish(begins)
            // The next chunk is made while this one is written; two of them fit into the queue.
            if first / chunk % 2 == 1 { try flush() }
        }
        try flush()
    }

    private func append(_ write: LogWrite) {
        log.append(write, urgency: .forced) { [self] result in
            if case .failure(let refusal) = result { failures.withLock { $0 = "\(refusal)" } }
        }
    }

    /// Decides and ends what was begun.
    private func finish(_ begins: [BeginRecord]) {
        for begin in begins {
            append(.commit(CommitRecord(transaction: begin.transaction, authorizationCode: "A1B2C3")))
            append(
                .end(
                    EndRecord(
                        transaction: begin.transaction, requestID: begin.intent.requestID, outcome: .committed)))
        }
    }

    private func flush() throws {
        let done = DispatchSemaphore(value: 0)
        log.flush { done.signal() }
        done.wait()
        if let failure = failures.withLock({ $0 }) { throw BenchmarkFailure("the log refused a step: \(failure)") }
    }

    // MARK: Measuring

    func measureBegins(waiting: Int, seconds: Double) throws -> (values: [String: Double], shape: BatchShape) {
        let epoch = log.owner.epoch
        let seed = UInt64.random(in: 0 ... .max)
        let begun = try run(waiting: waiting, seconds: seconds, source: PaymentSource(seed: seed)) { source, _ in
            .begin(source.begin(epoch: epoch))
        }
        // Not measured: so that the next measurement finds as few unfinished payments as this one.
        let begins = begun.writes.compactMap { write in if case .begin(let begin) = write { begin } else { nil } }
        for first in stride(from: 0, to: begins.count, by: 4000) {
            finish(Array(begins[first..<min(first + 4000, begins.count)]))
            try flush()
        }
        return (begun.values, begun.shape)
    }

    func measureAppends(waiting: Int, seconds: Double) throws -> (values: [String: Double], shape: BatchShape) {
        var source = PaymentSource(seed: UInt64.random(in: 0 ... .max))
        let begins = (0..<waiting).map { _ in source.begin(epoch: log.owner.epoch) }
        for begin in begins {
            append(.begin(begin))
            append(.commit(CommitRecord(transaction: begin.transaction, authorizationCode: "A1B2C3")))
        }
        try flush()
        let acknowledgements = begins.map {
            AcknowledgedRecord(transaction: $0.transaction, participant: .clearing, proof: .acknowledgement)
        }
        let measured = try run(waiting: waiting, seconds: seconds, source: source, keepsWrites: false) { _, waiter in
            .acknowledged(acknowledgements[waiter])
        }
        for begin in begins {
            append(
                .end(
                    EndRecord(
                        transaction: begin.transaction, requestID: begin.intent.requestID, outcome: .committed)))
        }
        try flush()
        return (measured.values, measured.shape)
    }

    private struct Measured: Sendable {
        var values: [String: Double]
        var shape: BatchShape
        var writes: [LogWrite]
    }

    private func run(
        waiting: Int, seconds: Double, source: PaymentSource, keepsWrites: Bool = true,
        next: @escaping @Sendable (inout PaymentSource, Int) -> LogWrite
    ) throws -> Measured {
        let done = DispatchSemaphore(value: 0)
        let course = LogCourse(
            log, source: source, waiting: waiting, nanoseconds: UInt64(seconds * 1e9), keepsWrites: keepsWrites,
            next: next, done: { done.signal() })
        let (before, bytesBefore) = (log.statistics, Self.bytesWritten())
        loop.execute { course.begin() }
        done.wait()
        let (after, bytes) = (log.statistics, Self.bytesWritten() - bytesBefore)
        let commits = Double(max(1, after.commits - before.commits))
        if let failure = course.failure { throw BenchmarkFailure("the log refused a step: \(failure)") }
        return Measured(
            values: [
                "rate": course.perSecond, "p50": course.latencies.percentile(50),
                "p99": course.latencies.percentile(99),
            ], shape: BatchShape(steps: Double(after.steps - before.steps) / commits, bytes: bytes / commits),
            writes: course.writes)
    }

    /// What this process has given to write(2) and its like so far.
    private static func bytesWritten() -> Double {
        let text = (try? String(contentsOfFile: "/proc/self/io", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("wchar:") {
            return Double(line.dropFirst(6).trimmingCharacters(in: .whitespaces)) ?? 0
        }
        return 0
    }
}

/// A number of waiters, each of which takes its next step when the last one is durable.
///
/// `@unchecked Sendable`: touched on the loop where the log delivers; read by others after `done`.
private final class LogCourse: @unchecked Sendable {
    private let log: LMDBLog
    private var source: PaymentSource
    private let waiting: Int
    private let nanoseconds: UInt64
    private let keepsWrites: Bool
    private let next: @Sendable (inout PaymentSource, Int) -> LogWrite
    private let done: @Sendable () -> Void

    private var began: UInt64 = 0
    private var underWay = 0
    private var completed = 0
    private(set) var latencies = Latencies()
    private(set) var writes: [LogWrite] = []
    private(set) var failure: LogRefusal?
    private(set) var perSecond = 0.0

    init(
        _ log: LMDBLog, source: PaymentSource, waiting: Int, nanoseconds: UInt64, keepsWrites: Bool,
        next: @escaping @Sendable (inout PaymentSource, Int) -> LogWrite, done: @escaping @Sendable () -> Void
    ) {
        self.log = log
        self.source = source
        self.waiting = waiting
        self.nanoseconds = nanoseconds
        self.keepsWrites = keepsWrites
        self.next = next
        self.done = done
    }

    func begin() {
        began = Monotonic.now()
        underWay = waiting
        for waiter in 0..<waiting { step(waiter) }
    }

    private func step(_ waiter: Int) {
        let write = next(&source, waiter)
        if keepsWrites { writes.append(write) }
        let asked = Monotonic.now()
        log.append(write, urgency: .forced) { [self] result in
            let now = Monotonic.now()
            latencies.record(nanoseconds: now - asked)
            completed += 1
            if case .failure(let refusal) = result { failure = refusal }
            if now - began < nanoseconds, failure == nil { return step(waiter) }
            underWay -= 1
            guard underWay == 0 else { return }
            perSecond = Double(completed) / Double(now - began) * 1e9
            done()
        }
    }
}
