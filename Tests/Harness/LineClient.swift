import Synchronization

/// A client of the line protocol.
final class LineClient {
    let connection: TCPConnection

    init(port: UInt16) throws { connection = try TCPConnection(port: port) }

    func send(_ payment: Payment) throws { try connection.send(payment.json + "\n") }

    func send(line: String) throws { try connection.send(line + "\n") }

    /// The next answer.
    func answer(within limit: Duration = Limits.answer) throws -> Answer {
        guard let line = try connection.readLine(within: limit) else {
            throw ConnectionError.broken("closed instead of answering")
        }
        return try Answer(line: line)
    }

    func pay(_ payment: Payment, within limit: Duration = Limits.answer) throws -> Answer {
        try send(payment)
        return try answer(within: limit)
    }

    /// Asks with a bare line (`GET /healthz`) and gives the bare reply.
    func ask(_ command: String, within limit: Duration = Limits.answer) throws -> String {
        try connection.send(command + "\r\n")
        guard let line = try connection.readLine(within: limit) else {
            throw ConnectionError.broken("closed instead of answering")
        }
        return String(decoding: line, as: UTF8.self)
    }
}

/// Everything that happened to one payment request, in order.
struct Exchange: Sendable {
    let payment: Payment
    var outcomes: [Outcome]

    enum Outcome: Sendable {
        case answer(Answer)
        /// The connection broke before an answer: anything may have happened.
        case lost
        /// The server was there and did not answer, or not understandably.
        case broken(String)
    }

    var answers: [Answer] {
        outcomes.compactMap { outcome in
            switch outcome {
            case .answer(let answer): answer
            case .lost, .broken: nil
            }
        }
    }
}

/// What the clients of a test have sent and been told: one side of what the checker compares.
final class Ledger: Sendable {
    private let exchanges = Mutex<[Exchange]>([])
    private let file = Mutex<AckFile?>(nil)

    /// From now on everything is written to a file as well, and read from there by who compares.
    func keep(in file: AckFile) { self.file.withLock { $0 = file } }

    func note(_ payment: Payment, _ outcome: Exchange.Outcome) {
        file.withLock { $0 }?.note(payment, outcome)
        exchanges.withLock { $0.append(Exchange(payment: payment, outcomes: [outcome])) }
    }

    func add(_ more: [Exchange]) {
        for exchange in more { for outcome in exchange.outcomes { note(exchange.payment, outcome) } }
    }

    /// What the clients have on their disk, where they have one.
    func evidence() throws -> [Exchange] { try file.withLock { $0 }?.read() ?? all }

    var all: [Exchange] { exchanges.withLock { $0 } }
}
