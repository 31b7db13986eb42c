public import Coordinator

/// A setting that cannot be used. The message fits behind the name of the variable that holds it, and quotes no secret.
public struct PostgresConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong and what to do, as the rest of a sentence that begins with the variable's name.
    public let message: String

    init(_ message: String) { self.message = message }

    public var description: String { message }
}

/// How one database is reached, and its limits.
///
/// The role's own `search_path` is kept: the tables live where the operator's role puts and finds them. Nobody else should be
/// allowed to create anything in a schema of that path. The catalog's names are always qualified.
public struct PostgresConfiguration: Sendable, CustomStringConvertible, CustomReflectable {
    /// Connections of the pool, one job each at a time; one more is kept for control.
    public let poolSize: Int
    /// The longest wait for a lock, a request_id held by a prepared transaction included.
    public let lockTimeout: Milliseconds
    /// The longest that the server works on one statement. It does not bound the wait for a synchronous standby; the orders'
    /// deadlines do.
    public let statementTimeout: Milliseconds
    /// The longest that one ``PostgresDatabase/resolve(_:completion:)`` or read takes, the wait for a connection included.
    public let resolveTimeout: Milliseconds
    /// The longest that one attempt to connect takes.
    public let connectTimeout: Milliseconds
    /// How often the server checks, while it works, whether we are still there; zero leaves it off. From PostgreSQL 14 on, and on
    /// Linux servers.
    public let clientCheckInterval: Milliseconds
    /// What `max_prepared_transactions` is advised to be where it is 0.
    public let preparedTransactionsAdvised: Int

    private let parameters: [ConnectionParameter]

    /// - Parameters:
    ///   - uri: a URI (`postgresql://...`) or `key=value` text; what it leaves out comes from libpq's environment variables.
    /// - Throws: ``PostgresConfigurationError`` for a text that libpq does not take, or a number out of range.
    public init(
        uri: String, poolSize: Int = 32, lockTimeout: Milliseconds = Milliseconds(2000),
        statementTimeout: Milliseconds = .seconds(15), resolveTimeout: Milliseconds = .seconds(10),
        connectTimeout: Milliseconds = .seconds(5), clientCheckInterval: Milliseconds = .seconds(5),
        preparedTransactionsAdvised: Int = 256
    ) throws(PostgresConfigurationError) {
        guard PostgresLimits.poolConnections.contains(poolSize) else {
            throw PostgresConfigurationError(
                "must be a number of connections from \(PostgresLimits.poolConnections.lowerBound) to "
                    + "\(PostgresLimits.poolConnections.upperBound), not \(poolSize)")
        }
        for (name, value) in [
            ("lock timeout", lockTimeout), ("statement timeout", statementTimeout), ("resolve timeout", resolveTimeout),
            ("connect timeout", connectTimeout),
        ] where !PostgresLimits.settingMilliseconds.contains(value.count) {
            throw PostgresConfigurationError(
                "must give a \(name) from \(PostgresLimits.settingMilliseconds.lowerBound) to "
                    + "\(PostgresLimits.settingMilliseconds.upperBound) ms, not \(value)")
        }
        guard clientCheckInterval.count <= PostgresLimits.settingMilliseconds.upperBound, clientCheckInterval >= .zero
        else {
            throw PostgresConfigurationError(
                "must give a client check interval of 0 to \(PostgresLimits.settingMilliseconds.upperBound) ms, "
                    + "not \(clientCheckInterval)")
        }
        guard !uri.isEmpty else {
            throw PostgresConfigurationError("is empty; write postgresql://user@host:port/database")
        }
        parameters = try ConnectionText.parse(uri)
        self.poolSize = poolSize
        self.lockTimeout = lockTimeout
        self.statementTimeout = statementTimeout
        self.resolveTimeout = resolveTimeout
        self.connectTimeout = connectTimeout
        self.clientCheckInterval = clientCheckInterval
        self.preparedTransactionsAdvised = preparedTransactionsAdvised
    }

    /// Where the database is: `user@host:port/database`, as far as it is set. Never the password.
    public var description: String {
        func value(_ keyword: String) -> String? { parameters.first { $0.keyword == keyword }?.value }
        let user = value("user").map { $0 + "@" } ?? ""
        let host = value("host") ?? value("hostaddr") ?? value("service").map { "service " + $0 } ?? "local"
        let port = value("port").map { ":" + $0 } ?? ""
        return user + host + port + (value("dbname").map { "/" + $0 } ?? "")
    }

    public var customMirror: Mirror { Mirror(self, children: ["target": description, "poolSize": poolSize]) }

    /// What a connection is made with: the operator's text; our settings for the network where it says nothing; our name.
    func connectionParameters(applicationName: String) -> [ConnectionParameter] {
        let forced = [
            ConnectionParameter(keyword: "application_name", value: applicationName),
            ConnectionParameter(keyword: "client_encoding", value: "UTF8"),
        ]
        let forcedKeywords = Set(forced.map(\.keyword))
        let given = parameters.filter { !forcedKeywords.contains($0.keyword) }
        let givenKeywords = Set(given.map(\.keyword))
        // A peer that went away without a word is noticed within half a minute.
        let network = [
            ("connect_timeout", String(max(2, connectTimeout.count / 1000))), ("tcp_user_timeout", "15000"),
            ("keepalives", "1"), ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
        ]
        return given
            + network.filter { !givenKeywords.contains($0.0) }.map { ConnectionParameter(keyword: $0.0, value: $0.1) }
            + forced
    }
}
