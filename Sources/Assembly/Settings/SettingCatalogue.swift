extension NodeSettings {
    /// Every variable, in the order in which people are shown them.
    public static let catalogue: [Setting] = [
        Setting(
            variable: "DB_URI", defaultText: nil,
            help: "PostgreSQL, as a libpq URI; several, comma-separated or DB_URI_1 to DB_URI_n, make several shards"),
        Setting(variable: "STATE_DIR", defaultText: "./state", help: "directory of the log and the lock"),
        Setting(variable: "PORT", defaultText: "9090", help: "TCP port for payments, 1 to 65535"),
        Setting(variable: "ADMIN_PORT", defaultText: "9091", help: "TCP port for HTTP alone, 1 to 65535"),
        Setting(variable: "BIND", defaultText: "127.0.0.1", help: "address to listen on"),
        Setting(
            variable: "ALLOW_REMOTE_BIND", defaultText: "0",
            help: "1 allows an address other than loopback: the line protocol carries no credential"),
        Setting(variable: "THREADS", defaultText: "4", help: "event loops, 1 to 64 (NUM_THREADS is the same)"),
        Setting(variable: "NUM_THREADS", defaultText: nil, help: "see THREADS"),
        Setting(variable: "MAX_CONNECTIONS", defaultText: "4096", help: "client connections, 1 to 100000"),
        Setting(variable: "LISTEN_BACKLOG", defaultText: "512", help: "connections waiting to be accepted"),
        Setting(variable: "REUSE_PORT", defaultText: "0", help: "1 lets several processes share the port"),
        Setting(
            variable: "IDLE_TIMEOUT", defaultText: "300", help: "seconds after which a silent connection is closed"),
        Setting(
            variable: "MAX_IN_FLIGHT", defaultText: "512", help: "payments between begin and decision, 1 to 100000"),
        Setting(
            variable: "QUEUE_CAP", defaultText: "1024", help: "payments waiting for a place in flight, 0 to 1000000"),
        Setting(variable: "DB_POOL_SIZE", defaultText: "32", help: "connections to each database, 1 to 512"),
        Setting(variable: "LOCK_TIMEOUT_MS", defaultText: "2000", help: "milliseconds a statement waits for a lock"),
        Setting(
            variable: "TWOPC_PREPARE_TIMEOUT", defaultText: "30",
            help: "seconds from begin to decision; fractions allowed"),
        Setting(
            variable: "TWOPC_COMMIT_TIMEOUT", defaultText: "30",
            help: "seconds from decision to the answer PENDING; fractions allowed"),
        Setting(
            variable: "CLEARING_URL", defaultText: "http://127.0.0.1:8082", help: "base URL of the clearing network"),
        Setting(
            variable: "CLEARING_TIMEOUT", defaultText: "30", help: "seconds for one attempt at most; fractions allowed"),
        Setting(variable: "CLEARING_RETRY_MAX", defaultText: "2", help: "repeats of a hold request, 0 to 10"),
        Setting(
            variable: "CLEARING_CB_WINDOW", defaultText: "30", help: "seconds in which failures in a row are counted"),
        Setting(
            variable: "CLEARING_CB_FAILS", defaultText: "5", help: "failures in a row that open the circuit breaker"),
        Setting(variable: "CLEARING_CB_OPEN_SECS", defaultText: "20", help: "seconds for which it stays open"),
        Setting(
            variable: "REVERSAL_MAX_ATTEMPTS", defaultText: "6",
            help: "definite refusals after which a reversal is parked for an operator"),
        Setting(
            variable: "REVERSAL_BASE_DELAY_MS", defaultText: "250",
            help: "milliseconds before the first repeat of a reversal"),
        Setting(
            variable: "RESOLVE_TWO_PERSON", defaultText: "0",
            help: "1: an order to resolve a payment counts when a second person has given it too"),
        Setting(variable: "RISK_ENABLED", defaultText: "1", help: "1 or 0: card velocity"),
        Setting(variable: "RISK_VEL_LIMIT", defaultText: "20", help: "payments of a card in the window"),
        Setting(variable: "RISK_VEL_WINDOW_SEC", defaultText: "60", help: "the window, seconds"),
        Setting(variable: "AMOUNT_MAX", defaultText: "10000", help: "largest amount, major units of any currency"),
        Setting(
            variable: "TOKEN_KEY_FILE", defaultText: "~/.config/holdfast/token.key",
            help:
                "secret for card tokens and request hashes, made if missing; the same for all servers of a deployment, never in STATE_DIR"
        ),
        Setting(variable: "API_TOKEN", defaultText: nil, help: "bearer token of /secure; unset: refused"),
        Setting(
            variable: "LOG_RETENTION", defaultText: "86400",
            help: "seconds for which finished payments are kept: the idempotency window"),
        Setting(variable: "LOG_MAP_MB", defaultText: "16384", help: "upper bound of the log file, megabytes"),
        Setting(
            variable: "DISK_RESERVE_MB", defaultText: "64",
            help: "disk allocated for decisions and reversals, megabytes"),
        Setting(
            variable: "DISK_FREE_MIN_MB", defaultText: "256",
            help: "free disk below which no payment is taken, megabytes"),
        Setting(
            variable: "ALLOW_UNSAFE_FILE_SYSTEM", defaultText: "0",
            help: "1 allows STATE_DIR on a network or memory file system, where nothing is durable"),
        Setting(
            variable: "RECOVERY_INTERVAL", defaultText: "5",
            help: "seconds between two looks for branches that nobody explains"),
        Setting(
            variable: "DRAIN_TIMEOUT", defaultText: "30",
            help: "seconds that a stopping server gives to what it has begun"),
        Setting(variable: "CONFIG_FILE", defaultText: nil, help: "JSON file with these variables as keys"),
        Setting(
            variable: "HOLDFAST_FAULT", defaultText: nil,
            help: "for tests: <point>:<nth>:<kill|stop|exit|error|delay=MS>,...; --list-faults prints the points"),
    ]

    /// The text of `--help`.
    public static func help(program: String) -> String {
        let width = catalogue.map(\.flag.count).max() ?? 0
        let lines = catalogue.map { setting in
            let padding = String(repeating: " ", count: width - setting.flag.count + 2)
            let byDefault = setting.defaultText.map { " (default \($0))" } ?? ""
            return "  \(setting.flag)\(padding)\(setting.help)\(byDefault)"
        }
        return """
            usage: \(program) [--version] [--list-faults] [--name value]...

            Every flag is also a variable of the environment (--state-dir is STATE_DIR) and a key of CONFIG_FILE;
            a flag beats the environment, which beats the file.

            \(lines.joined(separator: "\n"))

            """
    }
}
