import Foundation
import Testing

@testable import Assembly

/// What the texts mean, and which of them are refused.
@Suite struct NodeSettingsTests {
    /// Goal: every default is the documented one.
    @Test func defaultsAreTheDocumentedOnes() throws {
        let all = try settings()
        #expect(all.databases.map { "\($0)" } == ["pay@db.example:5433/payments"])
        #expect(all.databases[0].poolSize == 32 && all.databases[0].lockTimeout.count == 2000)
        #expect(all.stateDirectory == "./state" && !all.allowsUnsafeFileSystem)
        #expect(all.logMapMegabytes == 16384 && all.diskReserveMegabytes == 64)
        #expect(all.tokenKeyFile == NSHomeDirectory() + "/.config/holdfast/token.key")
        #expect(all.amountMaxMajorUnits == 10_000 && all.faults.isEmpty)
        #expect(all.recoveryInterval.count == 5000 && all.drainTimeout.count == 30_000)
        let clearing = "\(all.clearing)"
        #expect(clearing.contains(#""http://127.0.0.1:8082""#))
        #expect(clearing.contains("attemptTimeout: 30000 ms") && clearing.contains("retryMax: 2"))
    }

    /// Goal: the listener's defaults are the documented ones: loopback, and no way in for writes.
    @Test func theListenersDefaults() throws {
        let listener = try settings().listener
        #expect(listener.bind == "127.0.0.1" && listener.port == 9090 && listener.adminPort == 9091)
        #expect(!listener.isAdminPortExplicit && listener.threads == 4 && listener.connectionsMax == 4096)
        #expect(listener.backlog == 512 && !listener.reusesPort && listener.idleTimeout.count == 300_000)
        #expect(listener.apiToken == nil)
    }

    /// Goal: the coordinator's defaults are the documented ones.
    @Test func theCoordinatorsDefaults() throws {
        let coordinator = try settings().coordinator
        #expect(coordinator.inFlightMax == 512 && coordinator.queueMax == 1024)
        #expect(coordinator.prepareTimeout.count == 30_000 && coordinator.commitTimeout.count == 30_000)
        #expect(coordinator.breaker.window.count == 30_000 && coordinator.breaker.failuresToOpen == 5)
        #expect(coordinator.breaker.openFor.count == 20_000)
        #expect(coordinator.reversals.refusalsMax == 6 && coordinator.reversals.backoff.base.count == 250)
        #expect(coordinator.reversals.backoff.ceiling.count == 60_000)
        #expect(coordinator.retention.count == 86_400_000)
        #expect(coordinator.velocity?.limit == 20 && coordinator.velocity?.window.count == 60_000)
    }

    /// A variable, a text that is not its default, and whether the settings show it.
    struct Effect: Sendable, CustomTestStringConvertible {
        let variable: String
        let text: String
        let isShown: @Sendable (NodeSettings) -> Bool
        var testDescription: String { "\(variable)=\(text)" }

        init(_ variable: String, _ text: String, _ isShown: @escaping @Sendable (NodeSettings) -> Bool) {
            self.variable = variable
            self.text = text
            self.isShown = isShown
        }
    }

    static let effects = [
        Effect("STATE_DIR", "/var/lib/x") { $0.stateDirectory == "/var/lib/x" },
        Effect("PORT", "7001") { $0.listener.port == 7001 },
        Effect("ADMIN_PORT", "7002") { $0.listener.adminPort == 7002 && $0.listener.isAdminPortExplicit },
        Effect("BIND", "127.0.0.9") { $0.listener.bind == "127.0.0.9" },
        Effect("THREADS", "7") { $0.listener.threads == 7 },
        Effect("NUM_THREADS", "7") { $0.listener.threads == 7 },
        Effect("MAX_CONNECTIONS", "7") { $0.listener.connectionsMax == 7 },
        Effect("LISTEN_BACKLOG", "7") { $0.listener.backlog == 7 },
        Effect("REUSE_PORT", "1") { $0.listener.reusesPort },
        Effect("IDLE_TIMEOUT", "0.5") { $0.listener.idleTimeout.count == 500 },
        Effect("MAX_IN_FLIGHT", "7") { $0.coordinator.inFlightMax == 7 },
        Effect("QUEUE_CAP", "0") { $0.coordinator.queueMax == 0 },
        Effect("DB_POOL_SIZE", "7") { $0.databases[0].poolSize == 7 },
        Effect("LOCK_TIMEOUT_MS", "7") { $0.databases[0].lockTimeout.count == 7 },
        Effect("TWOPC_PREPARE_TIMEOUT", "1.25") { $0.coordinator.prepareTimeout.count == 1250 },
        Effect("TWOPC_COMMIT_TIMEOUT", "2") { $0.coordinator.commitTimeout.count == 2000 },
        Effect("CLEARING_URL", "https://clearing.example/api") {
            "\($0.clearing)".contains(#""https://clearing.example/api""#)
        },
        Effect("CLEARING_TIMEOUT", "1") { "\($0.clearing)".contains("attemptTimeout: 1000 ms") },
        Effect("CLEARING_RETRY_MAX", "0") { "\($0.clearing)".contains("retryMax: 0") },
        Effect("CLEARING_CB_WINDOW", "7") { $0.coordinator.breaker.window.count == 7000 },
        Effect("CLEARING_CB_FAILS", "7") { $0.coordinator.breaker.failuresToOpen == 7 },
        Effect("CLEARING_CB_OPEN_SECS", "7") { $0.coordinator.breaker.openFor.count == 7000 },
        Effect("REVERSAL_MAX_ATTEMPTS", "7") { $0.coordinator.reversals.refusalsMax == 7 },
        Effect("REVERSAL_BASE_DELAY_MS", "7") { $0.coordinator.reversals.backoff.base.count == 7 },
        Effect("RESOLVE_TWO_PERSON", "1") { $0.resolveNeedsTwoPersons },
        Effect("RISK_ENABLED", "off") { $0.coordinator.velocity == nil },
        Effect("RISK_VEL_LIMIT", "7") { $0.coordinator.velocity?.limit == 7 },
        Effect("RISK_VEL_WINDOW_SEC", "7") { $0.coordinator.velocity?.window.count == 7000 },
        Effect("AMOUNT_MAX", "7") { $0.amountMaxMajorUnits == 7 },
        Effect("TOKEN_KEY_FILE", "/etc/k") { $0.tokenKeyFile == "/etc/k" },
        Effect("API_TOKEN", "sesame") { $0.listener.apiToken == "sesame" },
        Effect("LOG_RETENTION", "7") { $0.coordinator.retention.count == 7000 },
        Effect("LOG_MAP_MB", "8") { $0.logMapMegabytes == 8 },
        Effect("DISK_RESERVE_MB", "7") { $0.diskReserveMegabytes == 7 },
        Effect("DISK_FREE_MIN_MB", "7") { $0.diskFreeMinMegabytes == 7 },
        Effect("ALLOW_UNSAFE_FILE_SYSTEM", "yes") { $0.allowsUnsafeFileSystem },
        Effect("RECOVERY_INTERVAL", "7") { $0.recoveryInterval.count == 7000 },
        Effect("DRAIN_TIMEOUT", "0") { $0.drainTimeout.count == 0 },
        Effect("HOLDFAST_FAULT", "prepared:3:kill") { $0.faults.first?.hit == 3 },
    ]

    /// Goal: every variable has its effect, from the environment and as the flag of its name, and no other default shows it.
    @Test(arguments: effects)
    func everyVariableHasItsEffect(effect: Effect) throws {
        let flag = try #require(NodeSettings.catalogue.first { $0.variable == effect.variable }).flag
        #expect(effect.isShown(try settings([effect.variable: effect.text])))
        #expect(effect.isShown(try settings(flags: [flag, effect.text])))
        #expect(!effect.isShown(try settings()))
    }

    /// Goal: no variable of the catalogue is without a test of its effect.
    @Test func everyVariableIsTested() {
        let testedElsewhere: Set = ["DB_URI", "CONFIG_FILE", "ALLOW_REMOTE_BIND"]
        let tested = Set(Self.effects.map(\.variable)).union(testedElsewhere)
        #expect(Set(NodeSettings.catalogue.map(\.variable)) == tested)
    }

    /// The whole numbers, and the least and the most that each may be.
    static let integers: [(String, Int, Int)] = [
        ("PORT", 1, 65_535), ("ADMIN_PORT", 1, 65_535), ("THREADS", 1, 64), ("NUM_THREADS", 1, 64),
        ("MAX_CONNECTIONS", 1, 100_000), ("LISTEN_BACKLOG", 1, 65_535), ("MAX_IN_FLIGHT", 1, 100_000),
        ("QUEUE_CAP", 0, 1_000_000), ("DB_POOL_SIZE", 1, 512), ("LOCK_TIMEOUT_MS", 1, 600_000),
        ("CLEARING_RETRY_MAX", 0, 10), ("CLEARING_CB_FAILS", 1, 1_000_000), ("REVERSAL_MAX_ATTEMPTS", 1, 1_000_000),
        ("REVERSAL_BASE_DELAY_MS", 1, 60_000), ("RISK_VEL_LIMIT", 1, 1_000_000), ("AMOUNT_MAX", 1, 1_000_000_000),
        ("LOG_MAP_MB", 8, 1_048_576), ("DISK_RESERVE_MB", 1, 65_536),
        ("DISK_FREE_MIN_MB", 0, 1_048_576),
    ]

    /// Goal: a whole number is taken from its least to its most, and whatever else is refused by name, with the range.
    @Test(arguments: integers)
    func wholeNumbersHaveTheirRange(variable: String, least: Int, most: Int) throws {
        #expect(fault([variable: "\(least)"]) == nil && fault([variable: "\(most)"]) == nil)
        for text in [
            "\(least - 1)", "\(most + 1)", "-1", "1.5", "1e3", "0x10", "ten", " 10", "10 ", "99999999999999999999",
        ] {
            let error = try #require(fault([variable: text]), "\(variable)=\(text)")
            #expect(error.variable == variable)
            #expect(error.problem.contains("\(least) to \(most)") && error.problem.contains("“\(text)”"))
        }
    }

    /// The seconds, and texts just within and just outside of what each may be.
    static let seconds: [(String, [String], [String])] = [
        ("IDLE_TIMEOUT", ["0.001", "86400"], ["0", "86400.1"]),
        ("TWOPC_PREPARE_TIMEOUT", ["0.001", "3600"], ["0", "3600.1"]),
        ("TWOPC_COMMIT_TIMEOUT", ["0.001", "3600"], ["0", "3600.1"]),
        ("CLEARING_TIMEOUT", ["0.001", "600"], ["0", "600.1"]),
        ("CLEARING_CB_WINDOW", ["0.001", "86400"], ["0", "86400.1"]),
        ("CLEARING_CB_OPEN_SECS", ["0.001", "86400"], ["0", "86400.1"]),
        ("RISK_VEL_WINDOW_SEC", ["0.001", "86400"], ["0", "86400.1"]),
        ("LOG_RETENTION", ["1", "31536000"], ["0.999", "31536001"]),
        ("RECOVERY_INTERVAL", ["1", "86400"], ["0.5", "86400.1"]),
        ("DRAIN_TIMEOUT", ["0", "3600"], ["3600.1"]),
    ]

    /// Goal: seconds are taken within their range, with a fraction; whatever else is refused by name.
    @Test(arguments: seconds)
    func secondsHaveTheirRange(variable: String, taken: [String], refused: [String]) throws {
        for text in taken { #expect(fault([variable: text]) == nil, "\(variable)=\(text)") }
        for text in refused + ["-1", "1e3", "nan", "inf", "1,5", "30s", " 1", "1.2.3", "."] {
            let error = try #require(fault([variable: text]), "\(variable)=\(text)")
            #expect(error.variable == variable && error.problem.contains("“\(text)”"))
        }
    }

    /// Goal: a fraction of a millisecond never becomes a time of zero.
    @Test func fractionsAreRoundedUp() throws {
        #expect(try settings(["TWOPC_PREPARE_TIMEOUT": "0.0011"]).coordinator.prepareTimeout.count == 2)
    }

    /// Goal: flags take the usual words in any case, and refuse others by name.
    @Test(arguments: ["REUSE_PORT", "RISK_ENABLED", "ALLOW_UNSAFE_FILE_SYSTEM", "ALLOW_REMOTE_BIND"])
    func switchesTakeTheUsualWords(variable: String) throws {
        for text in ["1", "0", "true", "FALSE", "Yes", "no", "on", "Off"] { #expect(fault([variable: text]) == nil) }
        for text in ["2", "-1", "y", "enabled", "01"] {
            #expect(try #require(fault([variable: text])).variable == variable)
        }
        #expect(try settings(["REUSE_PORT": "oN"]).listener.reusesPort)
        #expect(try !settings(["REUSE_PORT": "No"]).listener.reusesPort)
    }

    /// Goal: texts with a form of their own are refused by name where they have another.
    @Test(arguments: [
        ("CLEARING_URL", "clearing.example"), ("CLEARING_URL", "ftp://h"), ("CLEARING_URL", "http://"),
        ("CLEARING_URL", "http://h/?q=1"), ("CLEARING_URL", "http://user:sesame@h"),
        ("DB_URI", "mysql://h/db"), ("DB_URI", "postgresql://[::1/db"), ("DB_URI", "nonsense"),
        ("HOLDFAST_FAULT", "prepared"), ("HOLDFAST_FAULT", "prepared:0:kill"), ("HOLDFAST_FAULT", "nowhere:1:kill"),
        ("HOLDFAST_FAULT", "prepared:1:error"), ("HOLDFAST_FAULT", "prepared:1:kill,"),
    ])
    func malformedTextsAreRefused(variable: String, text: String) throws {
        let error = try #require(fault([variable: text]), "\(variable)=\(text)")
        #expect(error.variable == variable && !error.description.contains("sesame"))
    }

    /// Goal: THREADS is the name that counts where both are set.
    @Test func threadsBeatsItsOtherName() throws {
        #expect(try settings(["THREADS": "3", "NUM_THREADS": "5"]).listener.threads == 3)
    }

    /// Goal: STATE_DIR can be had without the rest being right, for commands that only read the log.
    @Test func theStateDirectoryAlone() throws {
        let source = try SettingSource(arguments: ["--state-dir", "/x"], environment: ["PORT": "nonsense"])
        #expect(try NodeSettings.stateDirectory(source) == "/x")
        let bare = try SettingSource(arguments: [], environment: [:])
        #expect(try NodeSettings.stateDirectory(bare) == "./state")
    }
}
