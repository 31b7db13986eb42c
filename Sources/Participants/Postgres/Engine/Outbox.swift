/// The completions of one round of the loop, handed over together: who asked lives on another thread, and waking it once for all of
/// them costs a fraction of waking it for each. Used on the loop's thread only.
final class Outbox {
    typealias Delivery = @Sendable (@escaping @Sendable () -> Void) -> Void

    private let deliver: Delivery
    private var calls: [@Sendable () -> Void] = []

    init(_ deliver: @escaping Delivery) { self.deliver = deliver }

    func add(_ call: @escaping @Sendable () -> Void) { calls.append(call) }

    func send() {
        guard !calls.isEmpty else { return }
        var sent: [@Sendable () -> Void] = []
        sent.reserveCapacity(calls.count)
        swap(&sent, &calls)
        let handed = sent
        deliver { for call in handed { call() } }
    }
}
