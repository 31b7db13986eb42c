import Dispatch
import NIOCore

/// The event loop of a simulated process: what is given to it becomes steps of the world's one queue, so that a crash may come between any
/// two of them.
final class SimulatedLoop: EventLoop, @unchecked Sendable {
    // @unchecked: a simulation runs on one thread.

    private let scheduler: Scheduler
    private let life: Life
    /// Whether a task of this loop is running.
    fileprivate(set) var inEventLoop = false

    init(_ scheduler: Scheduler, _ life: Life) {
        self.scheduler = scheduler
        self.life = life
    }

    var now: NIODeadline { .uptimeNanoseconds(scheduler.now) }

    func execute(_ task: @escaping @Sendable () -> Void) {
        scheduler.after(0, for: life) { [self] in run(task) }
    }

    private func run(_ task: () -> Void) {
        inEventLoop = true
        task()
        inEventLoop = false
    }

    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        schedule(at: deadline.uptimeNanoseconds, task)
    }

    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        schedule(at: scheduler.now &+ UInt64(max(0, delay.nanoseconds)), task)
    }

    private func schedule<T>(at time: UInt64, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let due = Due(makePromise(of: T.self), self)
        let ticket = Scheduler.Ticket()
        scheduler.at(time, for: life, ticket: ticket) { [self] in
            run {
                do {
                    due.promise.assumeIsolated().succeed(try task())
                } catch {
                    due.promise.fail(error)
                }
            }
        }
        return Scheduled(promise: due.promise, cancellationTask: { ticket.cancel() })
    }

    /// A promise that is broken when nobody can keep it any more: what was scheduled for a dead process is dropped, and NIO wants every
    /// promise to come to an end.
    private final class Due<T>: @unchecked Sendable {
        // @unchecked: a simulation runs on one thread.
        let promise: EventLoopPromise<T>
        private let loop: SimulatedLoop

        init(_ promise: EventLoopPromise<T>, _ loop: SimulatedLoop) {
            self.promise = promise
            self.loop = loop
        }

        deinit {
            // One that was kept takes no notice.
            let wasIn = loop.inEventLoop
            loop.inEventLoop = true
            promise.fail(EventLoopError.shutdown)
            loop.inEventLoop = wasIn
        }
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        callback(nil)
    }
}
