import Foundation
import Synchronization

/// What a load consists of.
struct LoadPlan: Sendable {
    var connections = 32
    /// How many payments; `nil`: until ``Load/stop()``.
    var payments: Int?
    /// The first characters of every request_id.
    var prefix: String
    var merchants = 10
    /// Of the requests whose answer was lost, each how-manieth is sent again (0: none). The others stay unknown.
    var resendsLostEvery = 2
    /// Whether a client that finds no server waits for one. If not, its payment counts as lost.
    var awaitsServer = true
}

/// Clients that pay, each on a connection of its own and a thread of its own, through crashes of the server.
///
/// Every request and every answer is recorded. PENDING is asked again until it is final.
final class Load: Sendable {
    private let plan: LoadPlan
    private let port: UInt16
    private let nextNumber = Atomic<Int>(0)
    private let answered = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)
    private let running: Atomic<Int>
    private let exchanges = Mutex<[Exchange]>([])

    /// Starts at once.
    init(_ plan: LoadPlan, port: UInt16) {
        self.plan = plan
        self.port = port
        running = Atomic(plan.connections)
        for _ in 0..<plan.connections {
            Thread { [self] in
                Worker(load: self).run()
                running.subtract(1, ordering: .sequentiallyConsistent)
            }.start()
        }
    }

    /// Answers that have come so far.
    var answers: Int { answered.load(ordering: .relaxed) }

    /// No further payments; those under way are carried to their end.
    func stop() { isStopping.store(true, ordering: .relaxed) }

    /// Waits until every client is done and gives all that happened.
    func finish(within limit: Duration) throws -> [Exchange] {
        try Wait.until(
            "the clients are done (\(running.load(ordering: .relaxed)) are not, \(answers) answers)", within: limit
        ) {
            running.load(ordering: .sequentiallyConsistent) == 0
        }
        return exchanges.withLock { $0 }
    }

    private func next() -> Payment? {
        guard !isStopping.load(ordering: .relaxed) else { return nil }
        let number = nextNumber.add(1, ordering: .relaxed).oldValue
        if let payments = plan.payments, number >= payments { return nil }
        return Payment(
            requestID: "\(plan.prefix)-\(number)", amount: "\(1 + number % 9000).\(10 + number % 90)",
            merchant: "M-\(number % plan.merchants)")
    }

    /// One client.
    private final class Worker {
        private let load: Load
        private var client: LineClient?
        private var lostCount = 0

        init(load: Load) { self.load = load }

        func run() {
            while let payment = load.next() {
                let exchange = carryOut(payment)
                load.exchanges.withLock { $0.append(exchange) }
            }
        }

        private func carryOut(_ payment: Payment) -> Exchange {
            var exchange = Exchange(payment: payment, outcomes: [])
            let deadline = Deadline(in: Limits.reconnect + Limits.pending)
            while true {
                let outcome = attempt(payment)
                exchange.outcomes.append(outcome)
                switch outcome {
                case .answer(let answer):
                    load.answered.add(1, ordering: .relaxed)
                    guard answer.status == .pending, !deadline.hasPassed else { return exchange }
                    Wait.sleep(.milliseconds(50))
                case .lost:
                    lostCount += 1
                    let isResent = load.plan.resendsLostEvery > 0 && lostCount % load.plan.resendsLostEvery == 0
                    guard isResent, !deadline.hasPassed else { return exchange }
                case .broken:
                    return exchange
                }
            }
        }

        private func attempt(_ payment: Payment) -> Exchange.Outcome {
            do {
                return .answer(try connected().pay(payment))
            } catch ConnectionError.broken {
                client = nil
                return .lost
            } catch {
                client = nil
                return .broken("\(error)")
            }
        }

        /// The connection that is there, or a new one as soon as a server listens.
        private func connected() throws -> LineClient {
            if let client { return client }
            let deadline = Deadline(in: Limits.reconnect)
            while true {
                do {
                    let made = try LineClient(port: load.port)
                    client = made
                    return made
                } catch let error as ConnectionError {
                    guard load.plan.awaitsServer else { throw ConnectionError.broken("nobody listens") }
                    guard !deadline.hasPassed else {
                        throw HarnessError("no server within \(Limits.reconnect): \(error)")
                    }
                    Wait.sleep(.milliseconds(20))
                }
            }
        }
    }
}
