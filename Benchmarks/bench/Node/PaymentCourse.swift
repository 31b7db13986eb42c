import Coordinator
import Runtime

/// A number of clients, each of which sends its next payment when it is told of the last.
///
/// `@unchecked Sendable`: touched on the coordinator's loop; read by others after `done`.
final class PaymentCourse: @unchecked Sendable {
    private let coordinator: PaymentCoordinator
    private let inFlight: Int
    private let nanoseconds: UInt64
    private let done: @Sendable () -> Void
    private var source: PaymentSource

    private var began: UInt64 = 0
    private var underWay = 0
    private(set) var payments = 0
    /// Until the last was answered; or delivered, if deliveries lag behind by more than an END may wait.
    private(set) var perSecond = 0.0
    private(set) var latencies = Latencies()
    /// The first answer that was not APPROVED.
    private(set) var wrong: String?

    init(
        _ coordinator: PaymentCoordinator, _ source: PaymentSource, inFlight: Int, nanoseconds: UInt64,
        done: @escaping @Sendable () -> Void
    ) {
        self.coordinator = coordinator
        self.source = source
        self.inFlight = inFlight
        self.nanoseconds = nanoseconds
        self.done = done
    }

    func begin() {
        began = Monotonic.now()
        underWay = inFlight
        for _ in 0..<inFlight { send() }
    }

    private func send() {
        let submission = source.submission()
        let asked = Monotonic.now()
        coordinator.submit(submission) { [self] reply in
            let now = Monotonic.now()
            latencies.record(nanoseconds: now - asked)
            payments += 1
            if case .approved = reply.answer {} else if wrong == nil { wrong = "\(reply.answer)" }
            if now - began < nanoseconds, wrong == nil { return send() }
            underWay -= 1
            guard underWay == 0 else { return }
            // What is answered is not delivered yet.
            coordinator.whenIdle(includingReversals: false) { [self] in end(answered: now) }
        }
    }

    private func end(answered: UInt64) {
        let delivered = Monotonic.now() - UInt64(LogTiming.lazyDelayMax.count) * 1_000_000
        perSecond = Double(payments) / Double(max(answered, delivered) - began) * 1e9
        done()
    }
}
