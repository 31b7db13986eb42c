import Foundation

/// What the environment may change of a run.
enum Settings {
    /// How many payments the fault test makes.
    static let loadPayments = number("HOLDFAST_LOAD", default: 10_000)
    /// How often the server is killed under load.
    static let kills = number("HOLDFAST_KILLS", default: 10)
    /// How many payments are sent to two servers at once.
    static let contendedRounds = number("HOLDFAST_ROUNDS", default: 200)
    /// How many payments are made beside an operator's orders, at least.
    static let besidePayments = number("HOLDFAST_BESIDE", default: 3000)
    /// Whether the measurements of recovery are carried out, with how many rounds, and where the log with a long past is.
    static let measuresScale = ProcessInfo.processInfo.environment["HOLDFAST_SCALE"] == "1"
    static let scaleRounds = number("HOLDFAST_SCALE_ROUNDS", default: 3)
    static let historyDirectory = ProcessInfo.processInfo.environment["HOLDFAST_HISTORY"]
    /// Whether the files of every test are left behind; those of a failed one always are.
    static let keepsFiles = ProcessInfo.processInfo.environment["HOLDFAST_KEEP"] == "1"

    /// What programs built with a sanitizer are told (scripts/sanitize).
    static let sanitizerOptions: [String: String] = {
        let environment = ProcessInfo.processInfo.environment
        var options = environment.filter { ["TSAN_OPTIONS", "ASAN_OPTIONS"].contains($0.key) }
        if let own = environment["HOLDFAST_PROGRAM_ASAN_OPTIONS"] { options["ASAN_OPTIONS"] = own }
        return options
    }()

    /// Where the programs under test are: `HOLDFAST_BIN_DIR`, or the directory of the test bundle itself.
    static let programDirectory: String = {
        if let given = ProcessInfo.processInfo.environment["HOLDFAST_BIN_DIR"] { return given }
        let bundle = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return bundle.deletingLastPathComponent().path
    }()

    /// Below this every file of the run is made. Not /tmp: a log is refused on a memory file system, which /tmp may be.
    static let baseDirectory = ProcessInfo.processInfo.environment["HOLDFAST_TEST_DIR"] ?? "/var/tmp"

    private static func number(_ name: String, default value: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init) ?? value
    }
}

/// The limits of the harness. Every wait has one of them: a test ends, whatever the programs do.
enum Limits {
    /// A TCP connection to loopback.
    static let connect = Duration.seconds(5)
    /// Any answer of a server that is alive: longer than every deadline that the tests configure.
    static let answer = Duration.seconds(20)
    /// From the start of a program until it serves, where the test does not measure it.
    static let programStart = Duration.seconds(20)
    /// From SIGTERM until the end of a program.
    static let drain = Duration.seconds(30)
    /// From the last fault until nothing is in doubt and nothing is held.
    static let settle = Duration.seconds(45)
    /// A tool that runs to its end (psql, recover, pg_dump, grep).
    static let tool = Duration.seconds(60)
    /// Creating and starting a PostgreSQL cluster.
    static let clusterStart = Duration.seconds(90)
    /// Until a client has reached a server that is being started again.
    static let reconnect = Duration.seconds(40)
    /// Until an answer that was PENDING must have become a final one.
    static let pending = Duration.seconds(30)
    /// Between two looks at something that is waited for.
    static let pollInterval = Duration.milliseconds(10)
    /// The longest line or body that is read.
    static let replyBytesMax = 64 << 20

    /// The promise: a start (the recovery of what a crash left included) serves within this time.
    static let promisedStart = Duration.seconds(2)

    /// What the tests assert of ``promisedStart``. The promise is one of a release build on a machine of its own; a debug
    /// build runs several times slower, and here it shares its cores with the load, PostgreSQL and the simulator.
    static var assertedStart: Duration {
        #if DEBUG
            promisedStart * 3
        #else
            promisedStart
        #endif
    }
}
