import Coordinator
import Runtime

/// What may go wrong in a simulated world. Each kind can be switched off, to find out what a failure needs.
public enum FaultKind: String, CaseIterable, Sendable {
    /// The server's process dies between two steps; the written half of its log survives.
    case crashes
    /// Likewise while it recovers, again and again.
    case startCrashes = "start-crashes"
    /// Connections break with a request or a reply on its way.
    case lostMessages = "lost-messages"
    /// Messages come late, after whoever sent them has given up or died.
    case lateMessages = "late-messages"
    /// The network hears a request twice, the second time much later.
    case duplicatedMessages = "duplicated-messages"
    /// A database dies and comes back: what is prepared survives.
    case databaseCrashes = "database-crashes"
    /// A database refuses single statements, for want of memory for instance.
    case databaseErrors = "database-errors"
    /// Backends outlive their client, and their termination for a while.
    case lingeringBackends = "lingering-backends"
    /// Few places for prepared transactions, shared with strangers.
    case scarceSlots = "scarce-slots"
    case clearingDeclines = "clearing-declines"
    /// The network says that it failed, having done the work or not.
    case clearingErrors = "clearing-errors"
    case clearingOutages = "clearing-outages"
    /// The network gives a hold back by itself.
    case expiringHolds = "expiring-holds"
    /// The network refuses to undo, for a while or for ever.
    case refusedReversals = "refused-reversals"
    /// Somebody commits or rolls a prepared branch back by hand.
    case meddling
    /// An operator gives orders to a live server.
    case orders
    /// Prepared branches of other programs.
    case strangers
    /// No room in the log but its reserve, and at times not even that.
    case fullLog = "full-log"
    /// Syncs that take long.
    case slowLog = "slow-log"
    /// The wall clock is set, by hours.
    case clockJumps = "clock-jumps"
    /// A second server with a log of its own works on the same databases.
    case secondServer = "second-server"
    /// Clients send a request_id again.
    case repeats
    /// Clients send a request_id with other content.
    case conflicts
    /// A short retention, so that history is trimmed under way.
    case trimming
    /// The server's log is lost, and restored from a backup or made anew.
    case lostLogs = "lost-logs"
    /// A database is restored to what it was a while ago.
    case rewinds
}

/// One world's measures, drawn from its seed: every seed has its own mixture of faults, sizes and times.
struct Scenario {
    let seed: UInt64
    /// Faults of these kinds happen in this world.
    let faults: Set<FaultKind>
    let databases: Int
    let servers: Int
    let payments: Int
    let merchants: Int
    let cards: Int
    let poolSize: Int
    let preparedMax: Int
    /// Between two payments, milliseconds on average.
    let pace: Double
    /// Of an ordinary message, milliseconds.
    let latency: ClosedRange<Double>
    let lockTimeout: UInt64
    let syncTime: ClosedRange<Double>
    let recoveryInterval: UInt64
    let tidyInterval: UInt64
    let settings: CoordinatorSettings
    let hold: HoldAttempts.Settings
    let needsTwoPersons: Bool
    /// How much of the damage each kind does: 0 to 1, drawn anew for each kind.
    private let strengths: [FaultKind: Double]

    init(seed: UInt64, without: Set<FaultKind>) {
        var random = Randomness(seed: seed, stream: 1)
        self.seed = seed
        // Two of three worlds have about half of the faults, the others a few.
        let share = random.chance(0.65) ? random.between(0.35, 0.65) : random.between(0.05, 0.3)
        var faults: Set<FaultKind> = []
        var strengths: [FaultKind: Double] = [:]
        for kind in FaultKind.allCases {
            // Rare ones, because little else can be judged in a world that has them.
            let probability =
                switch kind {
                case .rewinds: 0.12
                case .lostLogs: 0.15
                case .meddling, .expiringHolds: share * 0.6
                case .crashes, .lostMessages, .repeats: min(1, share + 0.3)
                default: share
                }
            if random.chance(probability) { faults.insert(kind) }
            strengths[kind] = random.between(0.05, 1)
        }
        databases = random.pick([1, 1, 2, 2, 3])
        payments = random.between(6, 90)
        merchants = random.between(1, 4)
        cards = random.between(1, 12)
        poolSize = random.between(1, 6)
        pace = random.pick([2, 20, 200, 1000])
        latency = random.pick([0.05...0.5, 0.2...3, 1...40])
        lockTimeout = .milliseconds(random.pick([50, 300, 2000]))
        syncTime = random.pick([0.1...1, 1...8])
        recoveryInterval = .milliseconds(random.pick([500, 2000, 10000]))
        tidyInterval = .seconds(random.pick([2, 10, 60]))
        needsTwoPersons = random.chance(0.3)
        let preparedMax = random.between(2, 6)
        var settings = CoordinatorSettings()
        settings.inFlightMax = random.pick([1, 3, 16, 512])
        settings.queueMax = random.pick([1, 8, 1024])
        settings.undeliveredMax = random.pick([3, 1000])
        settings.prepareTimeout = Milliseconds(Int64(random.pick([300, 2000, 8000, 30_000])))
        settings.commitTimeout = Milliseconds(Int64(random.pick([300, 2000, 30_000])))
        settings.breaker = CircuitBreaker.Settings(
            window: .seconds(30), failuresToOpen: random.pick([1, 2, 5]),
            openFor: .milliseconds(random.pick([200, 3000, 20_000])))
        settings.reversals = ReversalQueue.Settings(
            refusalsMax: random.between(1, 6),
            backoff: Backoff(base: Milliseconds(Int64(random.pick([20, 250]))), ceiling: .seconds(60)),
            inFlightMax: random.pick([1, 4, 64]))
        settings.velocity = random.chance(0.3) ? (random.between(1, 6), .seconds(60)) : nil
        settings.retention = .seconds(random.pick([10, 60]))
        hold = HoldAttempts.Settings(
            attemptTimeout: Milliseconds(Int64(random.pick([100, 1000, 30_000]))), attemptTimeoutMin: Milliseconds(5),
            retryMax: random.between(0, 3), backoffBase: Milliseconds(50), backoffMax: .seconds(2),
            databaseShareDivisor: 5)
        // What needs no number to be switched off.
        faults.subtract(without)
        servers = faults.contains(.secondServer) ? 2 : 1
        self.preparedMax = faults.contains(.scarceSlots) ? preparedMax : 64
        if !faults.contains(.trimming) { settings.retention = .seconds(24 * 3600) }
        self.settings = settings
        self.faults = faults
        self.strengths = strengths
    }

    func has(_ kind: FaultKind) -> Bool { faults.contains(kind) }

    /// How likely something of a kind is, at most `most`.
    func probability(_ kind: FaultKind, atMost most: Double) -> Double {
        faults.contains(kind) ? most * (strengths[kind] ?? 0) : 0
    }
}

extension Milliseconds {
    static func milliseconds(_ count: Int) -> Milliseconds { Milliseconds(Int64(count)) }
}
