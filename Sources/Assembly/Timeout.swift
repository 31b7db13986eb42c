import Coordinator
import NIOCore
import Synchronization

/// Waits for a callback, but not for ever: after `limit` the answer is `otherwise`. Whichever comes second is dropped.
func withTimeout<Value: Sendable>(
    _ limit: Milliseconds, on loop: any EventLoop, otherwise: Value,
    _ start: (@escaping @Sendable (Value) -> Void) -> Void
) async -> Value {
    await withCheckedContinuation { continuation in
        let once = Once { continuation.resume(returning: $0) }
        let timer = loop.scheduleTask(in: .milliseconds(limit.count)) { once.call(otherwise) }
        start { value in
            timer.cancel()
            once.call(value)
        }
    }
}

private final class Once<Value: Sendable>: Sendable {
    private let body: Mutex<(@Sendable (Value) -> Void)?>

    init(_ body: @escaping @Sendable (Value) -> Void) { self.body = Mutex(body) }

    func call(_ value: Value) {
        let body = body.withLock { body in
            defer { body = nil }
            return body
        }
        body?(value)
    }
}

/// What forbids a start, as the databases report it from their threads.
final class StartProblems: Sendable {
    private let texts = Mutex<[String]>([])
    func add(_ text: String) { texts.withLock { $0.append(text) } }
    var all: [String] { texts.withLock { $0 } }
}
