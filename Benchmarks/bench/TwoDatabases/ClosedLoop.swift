import BenchmarkKit
import Coordinator
import Dispatch
import Payments
import Runtime
import Synchronization

/// Makes payments through a coordinator, always so many at once, for a time.
///
/// It lives on the coordinator's own thread, where the answers come.
final class ClosedLoop: @unchecked Sendable {
    // @unchecked: after `run` has given the first payments, everything mutable is touched where the coordinator calls back, on
    // its loop; the semaphore brings it back.

    /// From the end of the time to the last delivery.
    private static let deliveryTimeMax = 60

    private let node: InProcessNode
    private var payments: PaymentsApart
    private let endsAt: MonotonicTime
    private var open = 0
    private var latencies: [UInt32] = []
    private var failure: String?
    private let finished = DispatchSemaphore(value: 0)

    private init(_ node: InProcessNode, _ payments: PaymentsApart, endsAt: MonotonicTime) {
        self.node = node
        self.payments = payments
        self.endsAt = endsAt
    }

    /// Blocks until the last payment is carried out in both databases, told to the network, and ended in the log. The time counts to
    /// the last answer, and further if deliveries lag behind by more than an END may wait. A payment's latency ends with its answer.
    static func run(_ node: InProcessNode, inFlight: Int, seconds: Double) throws -> Throughput {
        let start = SystemClock.monotonic()
        let loop = ClosedLoop(
            node, try PaymentsApart(),
            endsAt: MonotonicTime(nanoseconds: start.nanoseconds + UInt64(seconds * 1e9)))
        node.onLoop { for _ in 0..<inFlight { loop.submitNext() } }
        let limit = DispatchTime.now() + seconds + .seconds(deliveryTimeMax)
        let isAnswered = loop.finished.wait(timeout: limit) == .success
        let answered = SystemClock.monotonic()
        guard isAnswered, node.waitUntilIdle(.seconds(deliveryTimeMax)) else {
            throw BenchmarkFailure("payments were open \(deliveryTimeMax) s after the end")
        }
        if let failure = loop.failure { throw BenchmarkFailure(failure) }
        let lazyDelay = UInt64(LogTiming.lazyDelayMax.count) * 1_000_000
        let end = max(answered.nanoseconds, SystemClock.monotonic().nanoseconds - lazyDelay)
        let elapsed = Double(end - start.nanoseconds) / 1e9
        return Throughput(transactions: loop.latencies.count, seconds: elapsed, latencies: loop.latencies)
    }

    private func submitNext() {
        let now = SystemClock.monotonic()
        guard failure == nil, now < endsAt else { return endIfDone() }
        let intent: PaymentIntent
        do {
            intent = try payments.next()
        } catch {
            failure = "\(error)"
            return endIfDone()
        }
        open += 1
        let submission = Submission(
            requestID: intent.requestID, isNamedByClient: true, requestHash: intent.requestHash,
            intent: .success(intent))
        node.coordinator.submit(submission) { [self] reply in answered(reply, since: now) }
    }

    private func answered(_ reply: Reply, since start: MonotonicTime) {
        open -= 1
        if case .approved = reply.answer {
            latencies.append(UInt32((SystemClock.monotonic().nanoseconds - start.nanoseconds) / 1000))
        } else if failure == nil {
            failure = "a payment was not approved: \(reply.answer)"
        }
        submitNext()
    }

    private func endIfDone() {
        if open == 0 { finished.signal() }
    }
}
