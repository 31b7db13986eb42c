import Foundation
import Synchronization

/// Clients that pay while a process is made to fail. Each writes down what it was told before it goes on, and none is kept by anything:
/// who finds nobody to pay at gives up.
final class CrashLoad: Sendable {
    /// Clients at the same time, and payments in all.
    static let connections = 4
    static let payments = 24

    private let world: LoadTarget
    private let prefix: String
    private let next = Atomic<Int>(0)
    private let answered = Atomic<Int>(0)
    private let running: Atomic<Int>
    private let sent = Mutex<[String: Payment]>([:])
    private let limit: Int
    private let isPersistent: Bool
    private let pause: Duration
    private let isStopping = Atomic<Bool>(false)

    /// Where the clients pay, and where they write it down.
    struct LoadTarget: Sendable {
        let port: UInt16
        let ledger: Ledger
    }

    /// Starts at once.
    ///
    /// - Parameters:
    ///   - isPersistent: whether a client that finds nobody to pay at tries again until ``stop()``.
    ///   - pause: of a client between two payments.
    init(
        _ target: LoadTarget, prefix: String, connections: Int = connections, payments: Int = payments,
        isPersistent: Bool = false, pause: Duration = .zero
    ) {
        self.isPersistent = isPersistent
        self.pause = pause
        world = target
        self.prefix = prefix
        limit = payments
        running = Atomic(connections)
        for _ in 0..<connections {
            Thread { [self] in
                pay()
                running.subtract(1, ordering: .sequentiallyConsistent)
            }.start()
        }
    }

    var isDone: Bool { running.load(ordering: .sequentiallyConsistent) == 0 }

    /// Answers so far.
    var answers: Int { answered.load(ordering: .relaxed) }

    /// Everything that was sent, by request_id.
    var requests: [String: Payment] { sent.withLock { $0 } }

    func finish() throws {
        try Wait.until("the clients are done", within: Limits.answer + .seconds(5)) { isDone }
    }

    /// No further payments.
    func stop() { isStopping.store(true, ordering: .relaxed) }

    private func connected() -> LineClient? {
        while !isStopping.load(ordering: .relaxed) {
            if let client = try? LineClient(port: world.port) { return client }
            guard isPersistent else { return nil }
            Wait.sleep(.milliseconds(20))
        }
        return nil
    }

    private func pay() {
        var client: LineClient?
        while !isStopping.load(ordering: .relaxed) {
            if pause > .zero { Wait.sleep(pause) }
            let number = next.add(1, ordering: .relaxed).oldValue
            guard number < limit else { return }
            let request = "\(prefix)-\(number)"
            let payment = Payment(
                requestID: request, amount: "\(1 + number).\(10 + number)", merchant: "M-\(number % 10)")
            guard let connected = client ?? connected() else { return }
            client = connected
            // Before it is sent: the server may act on it and nobody may ever hear of that.
            sent.withLock { $0[request] = payment }
            do {
                world.ledger.note(payment, .answer(try connected.pay(payment)))
                answered.add(1, ordering: .relaxed)
            } catch is ConnectionError {
                world.ledger.note(payment, .lost)
                client = nil
            } catch {
                world.ledger.note(payment, .broken("\(error)"))
                client = nil
            }
        }
    }
}
