import Foundation

/// What the clearing simulator remembers of one transaction.
struct BookEntry: Sendable, Decodable, Hashable {
    let transactionID: String
    let state: State
    let amount: String
    let prepares: Int
    let commits: Int
    let aborts: Int

    enum State: String, Sendable, Decodable {
        case held, settled, released, declined, tombstone
    }

    private enum CodingKeys: String, CodingKey {
        case transactionID = "transaction_id"
        case state, amount, prepares, commits, aborts
    }

    init(transactionID: String, state: State, amount: String, prepares: Int = 1, commits: Int = 0, aborts: Int = 0) {
        self.transactionID = transactionID
        self.state = state
        self.amount = amount
        self.prepares = prepares
        self.commits = commits
        self.aborts = aborts
    }
}

/// What the simulator is told to do wrong.
struct Faults: Sendable {
    var errorRate = 0.0
    var lostReplyRate = 0.0
    var declineRate = 0.0
    var latencyMilliseconds = 0
    var isOut = false

    static let none = Faults()

    var json: String {
        """
        {"error_rate":\(errorRate),"lost_reply_rate":\(lostReplyRate),"decline_rate":\(declineRate),\
        "latency_ms":\(latencyMilliseconds),"outage":\(isOut)}
        """
    }
}

/// The clearing simulator as a process. Its books outlive it.
final class Simulator {
    let port: UInt16
    let booksFile: String
    let errorsFile: String
    private let seed: Int
    private var process: ChildProcess?

    init(directory: String, seed: Int) throws {
        port = try Loopback.freePort()
        booksFile = directory + "/clearing.book"
        errorsFile = directory + "/clearing.err"
        self.seed = seed
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// Starts it, with the books of the last time if there are any.
    func start() throws {
        let started = try ChildProcess(
            name: "clearing-sim", executable: Settings.programDirectory + "/clearing-sim",
            arguments: ["--port", "\(port)", "--books", booksFile, "--seed", "\(seed)"],
            environment: ["PATH": "/usr/bin:/bin"], errors: errorsFile)
        process = started
        try Wait.until("the simulator listens: \(lastErrors)", within: Limits.programStart) {
            guard started.isRunning else { throw HarnessError("clearing-sim ended at its start: \(lastErrors)") }
            return (try? TCPConnection(port: port)) != nil
        }
    }

    /// SIGKILL.
    func crash() {
        process?.kill()
        process = nil
    }

    /// SIGSTOP or SIGCONT.
    func send(_ signal: Int32) { process?.send(signal) }

    func set(_ faults: Faults) throws {
        let reply = try HTTPConnection.once(
            port: port, "POST", "/clearing/faults", headers: ["Content-Type": "application/json"], body: faults.json)
        guard reply.status == 200 else { throw HarnessError("the simulator refused the faults: \(reply)") }
    }

    func book() throws -> [BookEntry] {
        let reply = try HTTPConnection.once(port: port, "GET", "/clearing/book")
        guard reply.status == 200 else { throw HarnessError("the simulator refused to show its book: \(reply)") }
        return try JSONDecoder().decode([BookEntry].self, from: Data(reply.body))
    }

    /// Confirms a hold behind everybody's back.
    func commit(_ transaction: String) throws {
        let body = #"{"action":"commit","transaction_id":"\#(transaction)"}"#
        let reply = try HTTPConnection.once(
            port: port, "POST", "/clearing/commit", headers: ["Content-Type": "application/json"], body: body)
        guard reply.status == 200 else { throw HarnessError("the simulator refused to confirm: \(reply)") }
    }

    private var lastErrors: String { (try? Files.text(errorsFile)).map { String($0.suffix(2000)) } ?? "" }
}
