import NIOCore
import Synchronization

/// Takes the orders of one kind that a participant is given. A script answers them, from another thread than the coordinator's; what
/// it has no answer for waits until the test gives one.
final class Desk<Order: Sendable, Reply: Sendable>: Sendable {
    /// - Parameters:
    ///   - order: what is asked.
    ///   - number: which order it is, 1 for the first.
    typealias Script = @Sendable (_ order: Order, _ number: Int) -> Reply?

    private struct State {
        var script: Script
        var orders: [Order] = []
        var waiting: [@Sendable (Reply) -> Void] = []
    }

    private let loop: any EventLoop
    private let state: Mutex<State>

    init(loop: any EventLoop, reply: Reply) {
        self.loop = loop
        state = Mutex(State(script: { _, _ in reply }))
    }

    func take(_ order: Order, _ completion: @escaping @Sendable (Reply) -> Void) {
        let reply = state.withLock { state -> Reply? in
            state.orders.append(order)
            let reply = state.script(order, state.orders.count)
            if reply == nil { state.waiting.append(completion) }
            return reply
        }
        if let reply { loop.execute { completion(reply) } }
    }

    /// Everything asked so far.
    var orders: [Order] { state.withLock { $0.orders } }

    /// Questions that have no answer yet.
    var waiting: Int { state.withLock { $0.waiting.count } }

    func answer(_ script: @escaping Script) { state.withLock { $0.script = script } }

    func answer(_ reply: Reply) { answer { _, _ in reply } }

    /// Answers what comes from now on with these, one after the other, and with the last of them for ever.
    func answer(inTurn replies: [Reply]) {
        let taken = orders.count
        answer { _, number in replies[min(number - taken, replies.count) - 1] }
    }

    /// Lets everything that comes from now on wait for ``release(_:)``.
    func hold() { answer { _, _ in nil } }

    /// Answers what waits. What comes later still waits if it was told to.
    func release(_ reply: Reply) {
        let waiting = state.withLock { state in
            let waiting = state.waiting
            state.waiting = []
            return waiting
        }
        for completion in waiting { loop.execute { completion(reply) } }
    }
}
