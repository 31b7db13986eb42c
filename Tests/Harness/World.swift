import Foundation
import Synchronization

/// Everything that one test needs: databases, a simulator, servers with their state directories, and the record of what
/// the clients saw.
final class World {
    let databases: [Database]
    let simulator: Simulator
    let ledger = Ledger()
    let directory: String
    /// What every server is started with beyond the defaults; may be changed between starts.
    var environment: [String: String]
    /// The proxies between the servers and each database, where a test asked for them.
    let proxies: [TCPProxy]
    private var configurations: [String: ServerConfiguration] = [:]
    private var servers: [String: ServerProcess] = [:]
    /// How often each server was started.
    private var starts: [String: Int] = [:]
    private static let worlds = Atomic<Int>(0)

    /// Makes a world with the simulator running and no server yet, lends it to `body`, and ends all of it.
    static func run(
        databases: Int = 1, environment: [String: String] = [:], behindProxy: Bool = false,
        cluster: PrivateCluster? = nil,
        _ body: (World) throws -> Void
    ) throws {
        let world = try World(
            databases: databases, environment: environment, behindProxy: behindProxy, cluster: cluster)
        do {
            try body(world)
        } catch {
            world.keepFiles(because: "\(error)")
            try? world.end()
            throw error
        }
        try world.end()
    }

    private init(databases count: Int, environment: [String: String], behindProxy: Bool, cluster: PrivateCluster?)
        throws
    {
        let cluster = try cluster ?? PrivateCluster.forRun()
        let number = Self.worlds.add(1, ordering: .relaxed).newValue
        directory = try RunDirectory.shared().make("world-\(number)")
        self.environment = environment
        databases = try (0..<count).map { _ in try cluster.makeDatabase() }
        proxies = behindProxy ? try (0..<count).map { _ in try TCPProxy(upstream: cluster.port) } : []
        simulator = try Simulator(directory: directory, seed: number)
        try simulator.start()
    }

    /// The proxy of the first database, where a test asked for one.
    var proxy: TCPProxy? { proxies.first }

    // MARK: Servers

    /// The server called `name`; fails if it was not started.
    func server(_ name: String = "a") throws -> ServerProcess {
        guard let server = servers[name] else { throw HarnessError("no server \(name) was started") }
        return server
    }

    /// Starts a server, or starts it again on the same port and state directory, without waiting.
    @discardableResult
    func launch(_ name: String = "a", fault: String? = nil, with extra: [String: String] = [:]) throws -> ServerProcess
    {
        if let running = servers[name], running.process.isRunning { throw HarnessError("server \(name) still runs") }
        let number = starts[name, default: 0] + 1
        starts[name] = number
        let server = try ServerProcess(
            configuration(of: name, with: extra), errorsFile: "\(directory)/server-\(name)-\(number).err", fault: fault)
        servers[name] = server
        return server
    }

    /// Starts a server and waits until it takes payments.
    @discardableResult
    func start(_ name: String = "a", fault: String? = nil, with extra: [String: String] = [:]) throws -> ServerProcess {
        let server = try launch(name, fault: fault, with: extra)
        try server.waitUntilReady()
        return server
    }

    /// What a server is started with: the port and the directory of its name, the same at each start.
    func configuration(of name: String, with extra: [String: String] = [:]) throws -> ServerConfiguration {
        let known =
            try configurations[name]
            ?? ServerConfiguration(
                port: Loopback.freePort(), stateDirectory: "\(directory)/state-\(name)",
                environment: ["ADMIN_PORT": "\(Loopback.freePort())"])
        configurations[name] = known
        var complete = known
        complete.environment.merge(programEnvironment) { _, new in new }
        complete.environment.merge(environment) { _, new in new }
        complete.environment.merge(extra) { _, new in new }
        return complete
    }

    /// Changes what a server is started with from its next start on.
    func configure(_ name: String = "a", _ change: (inout ServerConfiguration) throws -> Void) throws {
        // Made if it was not there.
        _ = try configuration(of: name)
        guard var known = configurations[name] else { return }
        try change(&known)
        configurations[name] = known
    }

    func recover(_ name: String = "a") throws -> RecoverTool {
        let configuration = try configuration(of: name)
        return RecoverTool(
            stateDirectory: configuration.stateDirectory, environment: configuration.environment,
            wrapper: configuration.wrapper)
    }

    /// Short deadlines, so that tests are quick; a breaker that stays closed and a velocity check that lets a load through
    /// are the business of the tests that are about them.
    private var programEnvironment: [String: String] {
        [
            "PATH": "/usr/bin:/bin", "HOME": directory, "BIND": "127.0.0.1",
            "DB_URI": databaseURIs(),
            "CLEARING_URL": simulator.url, "TOKEN_KEY_FILE": "\(directory)/token.key", "THREADS": "2",
            "DB_POOL_SIZE": "16", "DISK_RESERVE_MB": "8", "TWOPC_PREPARE_TIMEOUT": "5", "TWOPC_COMMIT_TIMEOUT": "5",
            "CLEARING_TIMEOUT": "2", "CLEARING_CB_FAILS": "10000", "REVERSAL_BASE_DELAY_MS": "50",
            "RECOVERY_INTERVAL": "2",
        ].merging(Settings.sanitizerOptions) { given, _ in given }
    }

    /// As `DB_URI` takes them.
    func databaseURIs(role: String = PrivateCluster.serverRole) -> String {
        databases.enumerated().map { offset, database in
            database.uri(port: proxies.isEmpty ? nil : proxies[offset].port, role: role)
        }.joined(separator: ",")
    }

    // MARK: Payments

    /// Pays on a connection of its own and records the outcome.
    @discardableResult
    func pay(_ payment: Payment, at name: String = "a") throws -> Answer {
        try pay(payment, over: server(name).client())
    }

    @discardableResult
    func pay(_ payment: Payment, over client: LineClient) throws -> Answer {
        do {
            let answer = try client.pay(payment)
            ledger.note(payment, .answer(answer))
            return answer
        } catch ConnectionError.broken(let reason) {
            ledger.note(payment, .lost)
            throw ConnectionError.broken(reason)
        } catch {
            ledger.note(payment, .broken("\(error)"))
            throw error
        }
    }

    /// Pays and hangs up without reading the answer; returns when the payment is committed.
    func payAndLoseTheAnswer(_ payment: Payment, at name: String = "a") throws {
        let client = try server(name).client()
        try client.send(payment)
        client.connection.close()
        ledger.note(payment, .lost)
        guard let requestID = payment.requestID else { throw HarnessError("a payment without a request_id") }
        try Wait.until("payment \(requestID) is committed although its client is gone", within: Limits.answer) {
            try rows().contains { $0.requestID == requestID }
        }
    }

    // MARK: What the participants hold

    func evidence() throws -> Evidence {
        try Evidence.collect(databases: databases, simulator: simulator, exchanges: ledger.evidence())
    }

    func rows() throws -> [PaymentRow] { try evidence().rows }

    func preparedBranches() throws -> [String] { try databases.flatMap { try $0.preparedBranches() } }

    /// Until PostgreSQL has noticed that the connections of servers that were killed are gone, so that what is visible stays
    /// as it is.
    func waitUntilBackendsAreGone(of role: String = PrivateCluster.serverRole) throws {
        try Wait.until("the backends of a server that was killed are gone", within: .seconds(15)) {
            try databases.allSatisfy { try $0.serverConnections(of: role) == 0 }
        }
    }

    // MARK: The end

    /// Ends the faults and waits until nothing is in doubt, then stops every server that runs (each must say that it left
    /// nothing), compares everybody's view, and looks for card numbers.
    ///
    /// - Parameter outcasts: servers whose logs the databases do not know any more: nothing is asked of them.
    /// - Returns: what is wrong, one sentence each; then the files are kept.
    func violationsAtTheEnd(without outcasts: Set<String> = []) throws -> [String] {
        for proxy in proxies { try proxy.set(.forwarding) }
        try simulator.set(.none)
        for server in servers.values where server.process.isRunning { try server.waitUntilReady() }
        var violations = try settle()
        for (name, server) in servers.sorted(by: { $0.key < $1.key }) where !outcasts.contains(name) {
            if server.process.isRunning {
                let status = try server.drain()
                if status != .code(0) {
                    violations.append("server \(name) ended with \(status) although all was settled")
                }
            }
            let (status, plan) = try recover(name).plan()
            if status != RecoverTool.nothingLeft {
                violations.append(
                    "server \(name): recover --dry-run finds something to do (\(status)): \(plan.prefix(2000))")
            }
        }
        violations += Checker.violations(in: try evidence())
        let cards = Set(ledger.all.map(\.payment.pan))
        if !cards.isEmpty {
            violations += try CardScan.filesHolding(cards, in: [directory]).map { "a card number is in \($0)" }
        }
        if !violations.isEmpty { keepFiles(because: "\(violations.count) violations") }
        return violations
    }

    /// Waits until the participants and the servers have nothing left to do. Gives what was still open in the end.
    private func settle() throws -> [String] {
        var open: [String] = []
        let isSettled = try Wait.holds(within: Limits.settle) {
            open = try preparedBranches().map { "prepared transaction \($0) is still there" }
            open += try simulator.book().filter { $0.state == .held }.map { "\($0.transactionID) is still held" }
            for (name, server) in servers where server.process.isRunning {
                let metrics = try server.metrics()
                let enqueued = metrics["reversal_enqueued"] ?? 0
                // One that was parked counts again when it is sent again.
                let done = (metrics["reversal_succeeded"] ?? 0) + (metrics["reversal_parked"] ?? 0)
                // What an earlier start has left is sent by a later one, which may count only the success.
                if let waiting = metrics["reversals_open"], waiting > 0 {
                    open.append("server \(name) has \(waiting) open reversals")
                }
                if starts[name] == 1 ? enqueued != done : enqueued > done {
                    open.append("server \(name) has \(enqueued) reversals, \(done) succeeded")
                }
            }
            return open.isEmpty
        }
        return isSettled ? [] : open.map { "after \(Limits.settle): \($0)" }
    }

    /// Leaves the files of the run and says where they are.
    private func keepFiles(because reason: String) {
        // Without the reaper the files are left behind as well.
        try? RunDirectory.shared().keep()
        print("kept \(directory): \(reason.prefix(500))")
    }

    private func end() throws {
        for server in servers.values { server.crash() }
        simulator.crash()
        for proxy in proxies { try proxy.close() }
        try databases.forEach { try $0.drop() }
    }
}
