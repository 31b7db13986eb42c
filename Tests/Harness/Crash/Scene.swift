/// What is made to happen so that a process comes to a point.
enum Scene: String, Sendable {
    /// A server under load, at a network that errs.
    case load
    /// A server with nothing to do after a load.
    case idle
    /// A server that is told to stop after a load.
    case drain
    /// The start of a server after another was killed under load.
    case start
    /// `recover` after a server was killed under load.
    case recover
    /// A server's trim of payments that are older than its retention.
    case trim
    /// `recover backup` beside a server under load.
    case backup
    /// `recover` or a start after the state directory of a killed server was lost.
    case lostLog = "lost log"
    /// Branches of a decided payment were rolled back by hand; `recover` parks it.
    case rolledBack = "rolled back by hand"
    /// An operator orders what becomes of such a payment.
    case resolution
    /// The network confirmed what we abort, so that it refuses the reversal.
    case refusedReversal = "refused reversal"

    /// The scenes in which a point is met.
    static func leading(to point: String) -> [Scene] {
        switch point {
        case "directory-locked", "log-opened", "log-taken-over", "fence-append", "fence-durable",
            "fence-confirmed-append", "fence-confirmed-durable", "database-fenced", "databases-tried", "plan-made",
            "decision-recovered":
            [.start, .recover]
        case "decisions-settled", "orders-open", "port-opening", "listening": [.start]
        case "pass-begun", "position-append", "position-durable": [.idle]
        case "draining", "drained": [.drain]
        case "log-closed": [.drain, .recover]
        case "branch-resolved", "confirmed", "reversal-sent", "reversal-acknowledged", "end-durable":
            [.load, .start, .recover]
        case "status-send", "status-reply", "reconciled": [.lostLog]
        case "intervention-append", "intervention-durable": [.resolution, .lostLog]
        case "park-append", "park-durable": [.rolledBack]
        case "reversal-refused-append", "reversal-refused-durable", "reversal-parked-append",
            "reversal-parked-durable":
            [.refusedReversal]
        case "trim-step", "trim-step-durable": [.trim]
        default: point.hasPrefix("backup-") ? [.backup] : [.load]
        }
    }

    /// How often one process comes to a point at least, if much happens: the matrix has no later hits than these.
    static func hitsMax(of point: String) -> Int {
        switch point {
        case "directory-locked", "log-opened", "log-taken-over", "databases-tried", "plan-made", "decisions-settled",
            "orders-open", "port-opening", "listening", "draining", "drained", "log-closed", "reconciled",
            "park-append", "park-durable", "reversal-parked-append", "reversal-parked-durable", "intervention-append",
            "intervention-durable":
            1
        // One for each database.
        case "fence-append", "fence-durable", "fence-confirmed-append", "fence-confirmed-durable", "database-fenced": 2
        case "pass-begun", "status-send", "status-reply", "reversal-refused-append", "reversal-refused-durable",
            "decision-recovered", "rollback-prepared-send", "rollback-prepared-sent", "rollback-prepared-reply":
            2
        default: point.hasPrefix("backup-") ? 1 : point.hasPrefix("trim-") ? 2 : 4
        }
    }

    /// What else is to go wrong in the same process so that it comes there.
    static func preludes(to point: String) -> [PlannedFault] {
        // A database is told to roll back what it may have prepared.
        guard point.hasPrefix("rollback-prepared-") else { return [] }
        return [1, 3, 4].map { PlannedFault("prepare-reply", $0, .error) }
    }
}

/// One iteration: everything that is drawn for it, all from its seed and its fault.
struct CrashPlan: Sendable, CustomStringConvertible {
    let fault: PlannedFault
    let seed: UInt64
    let scene: Scene
    let databases: Int
    let takeOver: TakeOver
    /// What a process that was stopped gets: SIGCONT, or SIGKILL.
    let goesOn: Bool
    /// What is tried while it stands still.
    let meanwhile: Meanwhile
    /// Whether a server that survived its fault is killed all the same.
    let isKilledAfterwards: Bool
    /// How often a hold is asked for again.
    let holdRetries: Int
    /// Where a server is killed that is to leave work to the next.
    let firstDeath: PlannedFault

    /// How what was left is brought to its end.
    enum TakeOver: Sendable, CustomStringConvertible {
        case restart
        case recover
        case recoverKilled(PlannedFault)
        case restartKilled(PlannedFault)

        var description: String {
            switch self {
            case .restart: "a restart"
            case .recover: "recover"
            case .recoverKilled(let fault): "recover that dies at \(fault.point):\(fault.hit), and recover again"
            case .restartKilled(let fault): "a start that dies at \(fault.point):\(fault.hit), and another"
            }
        }
    }

    enum Meanwhile: String, Sendable, CaseIterable {
        case secondServer = "another server is started"
        case recover = "recover is run"
        case dryRun = "recover --dry-run is run"
        case client = "a client pays"
    }

    init(_ fault: PlannedFault, seed: UInt64) {
        var random = SeededRandom(seed: seed, fault.description)
        self.fault = fault
        self.seed = seed
        scene = random.pick(Scene.leading(to: fault.point))
        // Two where the second is what the second hit is about.
        databases = fault.hit > 1 && Scene.hitsMax(of: fault.point) == 2 ? 2 : random.pick([1, 1, 2])
        let deaths = [
            "log-taken-over", "fence-durable", "database-fenced", "plan-made", "decision-recovered",
            "branch-resolved", "confirmed", "reversal-acknowledged", "end-durable", "batch-durable",
            "commit-prepared-sent", "rollback-prepared-reply", "reversal-closed-append", "log-closed",
        ]
        let death = PlannedFault(random.pick(deaths), random.number(in: 1...2), .kill)
        takeOver = random.pick([.restart, .recover, .recoverKilled(death), .restartKilled(death)])
        goesOn = random.chance(60)
        meanwhile = random.pick(Meanwhile.allCases)
        isKilledAfterwards = random.chance(50)
        holdRetries = random.pick([0, 0, 1])
        firstDeath = random.pick([
            PlannedFault("prepared", 3, .kill), PlannedFault("decision-durable", 3, .kill),
            PlannedFault("first-database-committed", 3, .kill), PlannedFault("reversal-durable", 2, .kill),
            PlannedFault("hold-placed", 4, .kill), PlannedFault("batch-durable", 20, .kill),
        ])
    }

    var description: String {
        "\(fault) (\(scene.rawValue), \(databases) db), then \(takeOver)"
    }

    /// The command that makes the same plan again.
    var replay: String { "make crash SEED=\(seed) ONLY=\(fault)" }
}
