/// Something that goes wrong in a soak, or is done beside.
enum SoakEvent: Sendable, CustomStringConvertible {
    case killServer
    case stopServer(milliseconds: Int)
    case stopSimulator(milliseconds: Int)
    case killSimulator(milliseconds: Int)
    case outage(milliseconds: Int)
    case badNetwork(percent: Int)
    case cut(Road, milliseconds: Int)
    case silence(Road, milliseconds: Int)
    case killBackend
    case stopBackend(milliseconds: Int)
    case killPostmaster(milliseconds: Int)
    case dryRun
    case backup

    /// Which connections go through a proxy of ours.
    enum Road: String, Sendable { case database, network }

    init(_ random: inout SeededRandom) {
        let pause = random.number(in: 50...1500)
        let road: Road = random.chance(50) ? .database : .network
        switch random.number(in: 0...99) {
        case 0..<16: self = .killServer
        case 16..<28: self = .stopServer(milliseconds: pause)
        case 28..<35: self = .stopSimulator(milliseconds: pause)
        case 35..<41: self = .killSimulator(milliseconds: pause)
        case 41..<47: self = .outage(milliseconds: pause)
        case 47..<57: self = .badNetwork(percent: random.number(in: 0...50))
        case 57..<67: self = .cut(road, milliseconds: random.number(in: 20...500))
        case 67..<75: self = .silence(road, milliseconds: pause)
        case 75..<82: self = .killBackend
        case 82..<89: self = .stopBackend(milliseconds: pause)
        case 89..<94: self = .killPostmaster(milliseconds: random.number(in: 0...1000))
        case 94..<97: self = .dryRun
        default: self = .backup
        }
    }

    var description: String {
        switch self {
        case .killServer: "kill server"
        case .stopServer(let time): "stop server \(time)"
        case .stopSimulator(let time): "stop simulator \(time)"
        case .killSimulator(let time): "kill simulator \(time)"
        case .outage(let time): "outage \(time)"
        case .badNetwork(let percent): "bad network \(percent)%"
        case .cut(let road, let time): "cut \(road.rawValue) \(time)"
        case .silence(let road, let time): "silence \(road.rawValue) \(time)"
        case .killBackend: "kill backend"
        case .stopBackend(let time): "stop backend \(time)"
        case .killPostmaster(let time): "kill postmaster \(time)"
        case .dryRun: "dry run"
        case .backup: "backup"
        }
    }
}

/// All that is drawn for one iteration of a soak.
struct SoakPlan: Sendable {
    let seed: UInt64
    let number: Int
    let databases: Int
    let events: [(pause: Int, event: SoakEvent)]
    /// Failures of the network in a row that open the breaker.
    let breakerFails: Int
    let holdRetries: Int

    init(seed: UInt64, number: Int) {
        var random = SeededRandom(seed: seed, "soak \(number)")
        self.seed = seed
        self.number = number
        databases = random.pick([1, 2])
        events = (0..<random.number(in: 5...14)).map { _ in
            (random.number(in: 30...700), SoakEvent(&random))
        }
        breakerFails = random.pick([5, 10_000])
        holdRetries = random.pick([0, 1, 2])
    }

    /// The command that makes the same plan again.
    var replay: String { "make crash SOAK=1s SEED=\(seed) ONLY=\(number)" }

    /// What is to go wrong within a process that is started: often nothing.
    static func faults(_ points: [FaultPointName], _ random: inout SeededRandom) -> String? {
        guard random.chance(65) else { return nil }
        return (0..<random.pick([1, 1, 2, 3])).map { _ in
            let point = random.pick(points)
            let hit = random.pick([1, 1, 2, 3, random.number(in: 1...60)])
            switch random.number(in: 0...9) {
            case 0...3: return "\(point.name):\(hit):kill"
            case 4...5: return "\(point.name):\(hit):stop"
            case 6: return "\(point.name):\(hit):exit"
            case 7...8 where point.canFail: return "\(point.name):\(hit):error"
            default: return "\(point.name):\(hit):delay=\(random.number(in: 10...1800))"
            }
        }.joined(separator: ",")
    }
}
