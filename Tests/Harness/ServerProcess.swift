import Foundation

/// What a server of a test is started with.
struct ServerConfiguration: Sendable {
    var port: UInt16
    var stateDirectory: String
    /// Its environment but for the two above.
    var environment: [String: String]
    /// What its programs are started through: a program with its arguments; empty for nothing.
    var wrapper: [String] = []
    /// Where its standard error goes; `nil`: to a file of its own for each start.
    var errorsFile: String?
}

/// A running server.
final class ServerProcess {
    let configuration: ServerConfiguration
    let process: ChildProcess
    /// Its standard error of this start.
    let errorsFile: String

    static var program: String { Settings.programDirectory + "/server" }

    /// Starts it and does not wait.
    ///
    /// - Parameter fault: as `HOLDFAST_FAULT` takes it.
    init(_ configuration: ServerConfiguration, errorsFile: String, fault: String? = nil) throws {
        self.configuration = configuration
        self.errorsFile = errorsFile
        var environment = configuration.environment
        environment["PORT"] = "\(configuration.port)"
        if let fault { environment["HOLDFAST_FAULT"] = fault }
        let command = configuration.wrapper + [Self.program, "--state-dir", configuration.stateDirectory]
        process = try ChildProcess(
            name: "server", executable: command[0], arguments: Array(command.dropFirst()),
            environment: environment, output: errorsFile + ".out", errors: configuration.errorsFile ?? errorsFile)
    }

    var errors: String { (try? Files.text(errorsFile)) ?? "" }

    func client() throws -> LineClient { try LineClient(port: configuration.port) }

    /// One bare line on a connection of its own.
    func ask(_ command: String) throws -> String { try client().ask(command) }

    /// Until the port answers. Gives the time since the start of the process.
    @discardableResult
    func waitUntilListening(within limit: Duration = Limits.programStart) throws -> Duration {
        try waitFor("GET /healthz", within: limit)
    }

    /// Until it takes payments. Gives the time since the start of the process.
    @discardableResult
    func waitUntilReady(within limit: Duration = Limits.programStart) throws -> Duration {
        try waitFor("GET /readyz", within: limit)
    }

    private func waitFor(_ command: String, within limit: Duration) throws -> Duration {
        try Wait.until(
            "the server answers \(command) with OK; it says: \(errors.suffix(3000))", within: limit,
            every: .milliseconds(4)
        ) {
            if let status = process.status() {
                throw HarnessError("the server ended with \(status) at its start; it says: \(errors.suffix(3000))")
            }
            do {
                return try ask(command) == "OK"
            } catch is ConnectionError {
                return false
            }
        }
        return ContinuousClock.now - process.startedAt
    }

    /// SIGKILL.
    func crash() { process.kill() }

    /// SIGTERM; gives how it ended.
    func drain(within limit: Duration = Limits.drain) throws -> ExitStatus {
        process.send(SIGTERM)
        return try process.wait(within: limit)
    }

    /// The counters of `GET /metrics`, those that are whole numbers.
    func metrics() throws -> [String: Int] {
        let text = try ask("GET /metrics")
        guard let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
            throw HarnessError("GET /metrics is not a JSON object: \(text)")
        }
        return object.compactMapValues { $0 as? Int }
    }

    /// The answer of `GET /tx`.
    func transaction(_ requestID: String) throws -> [String: String] {
        let text = try ask("GET /tx?request_id=\(requestID)")
        guard let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
            throw HarnessError("GET /tx is not a JSON object: \(text)")
        }
        return object.compactMapValues { $0 as? String }
    }
}
