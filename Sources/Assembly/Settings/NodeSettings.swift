public import ClearingParticipant
public import Coordinator
import Foundation
public import PostgresParticipant
public import Runtime

/// A checked configuration.
public struct NodeSettings: Sendable {
    public var databases: [PostgresConfiguration]
    public var stateDirectory: String
    public var allowsUnsafeFileSystem: Bool
    public var logMapMegabytes: Int
    public var diskReserveMegabytes: Int
    public var diskFreeMinMegabytes: Int
    public var clearing: ClearingConfiguration
    public var coordinator: CoordinatorSettings
    public var tokenKeyFile: String
    public var amountMaxMajorUnits: Int64
    /// Whether an order to resolve a transaction needs a second person's.
    public var resolveNeedsTwoPersons: Bool
    public var recoveryInterval: Milliseconds
    public var drainTimeout: Milliseconds
    public var listener: Listener
    public var faults: [FaultInjector.Plan]

    /// What the server listens on and for.
    public struct Listener: Sendable {
        public var bind: String
        public var port: Int
        public var adminPort: Int
        /// Whether somebody asked for that admin port, so that it must be had.
        public var isAdminPortExplicit: Bool
        public var threads: Int
        public var connectionsMax: Int
        public var backlog: Int
        public var reusesPort: Bool
        public var idleTimeout: Milliseconds
        public var apiToken: String?
    }

    public init(_ source: SettingSource) throws(SettingError) {
        let read = SettingReader(source)
        databases = try Self.databases(source, read)
        stateDirectory = try read.text("STATE_DIR")
        allowsUnsafeFileSystem = try read.flag("ALLOW_UNSAFE_FILE_SYSTEM")
        logMapMegabytes = try read.integer("LOG_MAP_MB", in: 8...1_048_576)
        diskReserveMegabytes = try read.integer("DISK_RESERVE_MB", in: 1...65_536)
        diskFreeMinMegabytes = try read.integer("DISK_FREE_MIN_MB", in: 0...1_048_576)
        clearing = try Self.clearing(read)
        coordinator = try Self.coordinator(read)
        tokenKeyFile = NSString(string: try read.text("TOKEN_KEY_FILE")).expandingTildeInPath
        amountMaxMajorUnits = Int64(try read.integer("AMOUNT_MAX", in: 1...1_000_000_000))
        resolveNeedsTwoPersons = try read.flag("RESOLVE_TWO_PERSON")
        recoveryInterval = try read.seconds("RECOVERY_INTERVAL", in: 1...86_400)
        drainTimeout = try read.seconds("DRAIN_TIMEOUT", in: 0...3600)
        listener = try Self.listener(source, read)
        faults = try Self.faults(source)
        try refuseKeyInStateDirectory()
    }

    /// STATE_DIR alone, for commands that need nothing else.
    public static func stateDirectory(_ source: SettingSource) throws(SettingError) -> String {
        try SettingReader(source).text("STATE_DIR")
    }

    /// HOLDFAST_FAULT alone.
    public static func faults(_ source: SettingSource) throws(SettingError) -> [FaultInjector.Plan] {
        guard let text = source.text(FaultInjector.variable) else { return [] }
        do {
            return try FaultInjector.parse(text)
        } catch {
            throw SettingError(FaultInjector.variable, "\(error)")
        }
    }

    /// ALLOW_UNSAFE_FILE_SYSTEM alone.
    public static func allowsUnsafeFileSystem(_ source: SettingSource) throws(SettingError) -> Bool {
        try SettingReader(source).flag("ALLOW_UNSAFE_FILE_SYSTEM")
    }

    /// Whether a database is named at all, for commands that ask databases only then.
    public static func hasDatabases(_ source: SettingSource) -> Bool {
        source.text("DB_URI") != nil || !source.numberedDatabases.isEmpty
    }

    private func refuseKeyInStateDirectory() throws(SettingError) {
        let directory = URL(fileURLWithPath: stateDirectory).standardizedFileURL.resolvingSymlinksInPath().path
        let key = URL(fileURLWithPath: tokenKeyFile).standardizedFileURL
        // The key may not be there yet; then its directory tells where it will be.
        let places = [key, key.resolvingSymlinksInPath(), key.deletingLastPathComponent().resolvingSymlinksInPath()]
        guard !places.contains(where: { ($0.path + "/").hasPrefix(directory + "/") }) else {
            throw SettingError(
                "TOKEN_KEY_FILE", "must not lie in STATE_DIR: whoever has the log must not have its key as well")
        }
    }

    // MARK: - Parts

    private static func databases(
        _ source: SettingSource, _ read: SettingReader
    ) throws(SettingError) -> [PostgresConfiguration] {
        let numbered = source.numberedDatabases
        var uris: [(variable: String, text: String)] = []
        if let text = source.text("DB_URI") {
            guard numbered.isEmpty else {
                throw SettingError("DB_URI", "and \(numbered[0]) are both set; use one form")
            }
            uris = text.split(separator: ",", omittingEmptySubsequences: false).map {
                ("DB_URI", $0.trimmingCharacters(in: .whitespaces))
            }
        } else {
            guard !numbered.isEmpty else {
                throw SettingError("DB_URI", "is not set; write postgresql://user@host:5432/database")
            }
            for number in 1...numbered.count {
                guard let text = source.text("DB_URI_\(number)") else {
                    throw SettingError(
                        "DB_URI_\(number)", "is missing: the databases are numbered from 1 without a gap")
                }
                uris.append(("DB_URI_\(number)", text))
            }
        }
        guard uris.count <= 255 else { throw SettingError("DB_URI", "names more than 255 databases") }
        let poolSize = try read.integer("DB_POOL_SIZE", in: PostgresLimits.poolConnections)
        let lockTimeout = try read.integer("LOCK_TIMEOUT_MS", in: 1...600_000)
        var configurations: [PostgresConfiguration] = []
        for uri in uris {
            do {
                configurations.append(
                    try PostgresConfiguration(
                        uri: uri.text, poolSize: poolSize, lockTimeout: Milliseconds(Int64(lockTimeout))))
            } catch {
                throw SettingError(uri.variable, "\(error)")
            }
        }
        return configurations
    }

    private static func clearing(_ read: SettingReader) throws(SettingError) -> ClearingConfiguration {
        let url = try read.text("CLEARING_URL")
        let attemptTimeout = try read.seconds("CLEARING_TIMEOUT", in: 0.001...600)
        let retryMax = try read.integer("CLEARING_RETRY_MAX", in: 0...10)
        do {
            return try ClearingConfiguration(url: url, attemptTimeout: attemptTimeout, retryMax: retryMax)
        } catch {
            throw SettingError("CLEARING_URL", "\(error)")
        }
    }

    private static func coordinator(_ read: SettingReader) throws(SettingError) -> CoordinatorSettings {
        var settings = CoordinatorSettings()
        settings.inFlightMax = try read.integer("MAX_IN_FLIGHT", in: 1...100_000)
        settings.queueMax = try read.integer("QUEUE_CAP", in: 0...1_000_000)
        settings.prepareTimeout = try read.seconds("TWOPC_PREPARE_TIMEOUT", in: 0.001...3600)
        settings.commitTimeout = try read.seconds("TWOPC_COMMIT_TIMEOUT", in: 0.001...3600)
        settings.breaker = CircuitBreaker.Settings(
            window: try read.seconds("CLEARING_CB_WINDOW", in: 0.001...86_400),
            failuresToOpen: try read.integer("CLEARING_CB_FAILS", in: 1...1_000_000),
            openFor: try read.seconds("CLEARING_CB_OPEN_SECS", in: 0.001...86_400))
        let base = Milliseconds(Int64(try read.integer("REVERSAL_BASE_DELAY_MS", in: 1...60_000)))
        settings.reversals = ReversalQueue.Settings(
            refusalsMax: try read.integer("REVERSAL_MAX_ATTEMPTS", in: 1...1_000_000),
            backoff: Backoff(base: base, ceiling: .seconds(60)), inFlightMax: 64)
        settings.retention = try read.seconds("LOG_RETENTION", in: 1...31_536_000)
        let limit = try read.integer("RISK_VEL_LIMIT", in: 1...1_000_000)
        let window = try read.seconds("RISK_VEL_WINDOW_SEC", in: 0.001...86_400)
        settings.velocity = try read.flag("RISK_ENABLED") ? (limit, window) : nil
        return settings
    }

    private static func listener(_ source: SettingSource, _ read: SettingReader) throws(SettingError) -> Listener {
        let bind = try read.text("BIND")
        guard try read.flag("ALLOW_REMOTE_BIND") || isLoopback(bind) else {
            throw SettingError(
                "BIND",
                "is not a loopback address, and the line protocol carries no credential; "
                    + "set ALLOW_REMOTE_BIND=1 if the network around it is closed")
        }
        let threads = source.text("THREADS") == nil && source.text("NUM_THREADS") != nil ? "NUM_THREADS" : "THREADS"
        return Listener(
            bind: bind, port: try read.integer("PORT", in: 1...65_535),
            adminPort: try read.integer("ADMIN_PORT", in: 1...65_535),
            isAdminPortExplicit: source.text("ADMIN_PORT") != nil,
            threads: try read.integer(threads, in: 1...64),
            connectionsMax: try read.integer("MAX_CONNECTIONS", in: 1...100_000),
            backlog: try read.integer("LISTEN_BACKLOG", in: 1...65_535), reusesPort: try read.flag("REUSE_PORT"),
            idleTimeout: try read.seconds("IDLE_TIMEOUT", in: 0.001...86_400),
            apiToken: source.text("API_TOKEN"))
    }
}

extension NodeSettings {
    /// Only what can be nothing else: `127.example.com` is a name that may stand for any address.
    private static func isLoopback(_ address: String) -> Bool {
        if address == "localhost" || address == "::1" { return true }
        let parts = address.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}

/// Reads typed values, each error naming its variable.
struct SettingReader {
    private let source: SettingSource

    init(_ source: SettingSource) { self.source = source }

    func text(_ variable: String) throws(SettingError) -> String {
        if let text = source.text(variable) { return text }
        let setting = NodeSettings.catalogue.first { $0.variable == variable }
        guard let text = setting?.defaultText else { throw SettingError(variable, "is not set") }
        return text
    }

    func integer(_ variable: String, in range: ClosedRange<Int>) throws(SettingError) -> Int {
        let text = try text(variable)
        guard let value = Int(text), range.contains(value) else {
            throw SettingError(
                variable, "must be a whole number from \(range.lowerBound) to \(range.upperBound), not “\(text)”")
        }
        return value
    }

    /// Seconds with an optional fraction.
    func seconds(_ variable: String, in range: ClosedRange<Double>) throws(SettingError) -> Milliseconds {
        let text = try text(variable)
        let isPlain = text.allSatisfy { ($0.isASCII && $0.isNumber) || $0 == "." }
        guard isPlain, let value = Double(text), range.contains(value) else {
            throw SettingError(
                variable, "must be a number of seconds from \(range.lowerBound) to \(range.upperBound), not “\(text)”")
        }
        return Milliseconds(Int64((value * 1000).rounded(.up)))
    }

    func flag(_ variable: String) throws(SettingError) -> Bool {
        switch try text(variable).lowercased() {
        case "1", "true", "yes", "on": return true
        case "0", "false", "no", "off": return false
        case let text: throw SettingError(variable, "must be 1 or 0, not “\(text)”")
        }
    }
}
