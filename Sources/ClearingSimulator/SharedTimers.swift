import NIOCore

/// Runs things after a time, rounded up to ``SimulatorLimits/timerStepNanoseconds``: what is due in the same step shares a timer of the loop and
/// runs together. With thousands of answers on their way a timer for each takes more of the processor than the answers do.
///
/// `@unchecked Sendable`: everything that changes is touched on the loop only.
final class SharedTimers: @unchecked Sendable {
    private let loop: any EventLoop
    /// By when it is due, in steps of the loop's clock.
    private var work: [UInt64: [@Sendable () -> Void]] = [:]

    init(loop: any EventLoop) { self.loop = loop }

    /// - Parameter nanoseconds: no earlier than after so many. From any thread.
    func schedule(after nanoseconds: Int64, _ body: @escaping @Sendable () -> Void) {
        let due = loop.now + .nanoseconds(nanoseconds)
        if loop.inEventLoop { add(due, body) } else { loop.execute { self.add(due, body) } }
    }

    private func add(_ due: NIODeadline, _ body: @escaping @Sendable () -> Void) {
        let length = SimulatorLimits.timerStepNanoseconds
        let (whole, rest) = due.uptimeNanoseconds.quotientAndRemainder(dividingBy: length)
        let step = whole + (rest > 0 ? 1 : 0)
        work[step, default: []].append(body)
        guard work[step]?.count == 1 else { return }
        loop.scheduleTask(deadline: .uptimeNanoseconds(step * length)) { [self] in
            for body in work.removeValue(forKey: step) ?? [] { body() }
        }
    }
}
