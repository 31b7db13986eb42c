import Foundation

/// Carries out what is drawn, and keeps a server running beside it.
final class SoakCourse {
    private let world: World
    private let network: TCPProxy
    private let points: [FaultPointName]
    private var random: SeededRandom
    private(set) var steps: [String] = []
    private var backups = 0
    private var recoveries = 0
    /// When the server that stands still by a fault of its own is to go on or to die.
    private var stillUntil: Deadline?

    init(_ world: World, _ network: TCPProxy, _ points: [FaultPointName], _ random: SeededRandom) {
        self.world = world
        self.network = network
        self.points = points
        self.random = random
    }

    private var cluster: PrivateCluster { world.databases[0].cluster }

    /// - Returns: the server's port.
    func startServer() throws -> UInt16 {
        let faults = SoakPlan.faults(points, &random)
        steps.append("start with \(faults ?? "no fault")")
        return try world.launch(fault: faults).configuration.port
    }

    /// Lets time pass; a server that died is started again, one that stands still goes on or is killed.
    func wait(milliseconds: Int) throws {
        let deadline = Deadline(in: .milliseconds(milliseconds))
        while !deadline.hasPassed {
            try tend()
            Wait.sleep(.milliseconds(5))
        }
    }

    private func tend() throws {
        let server = try world.server()
        if !server.process.isRunning {
            steps.append("the server ended: \(server.process.status().map { "\($0)" } ?? "")")
            if random.chance(40) { try runRecover() }
            _ = try startServer()
        } else if server.process.isStopped {
            guard let until = stillUntil else {
                stillUntil = Deadline(in: .milliseconds(random.number(in: 20...1500)))
                return
            }
            guard until.hasPassed else { return }
            stillUntil = nil
            if random.chance(60) {
                server.process.send(SIGCONT)
                steps.append("the server goes on")
            } else {
                server.crash()
            }
        } else {
            stillUntil = nil
        }
    }

    /// Runs `recover`, often with faults of its own, and not to its end where something is away.
    private func runRecover() throws {
        let faults = SoakPlan.faults(points, &random)
        recoveries += 1
        let recover = try world.recover()
        var environment = recover.environment
        environment["HOLDFAST_FAULT"] = faults
        let process = try ChildProcess(
            name: "recover", executable: recover.program,
            arguments: ["--wait", "2", "--state-dir", recover.stateDirectory], environment: environment,
            output: world.directory + "/recover-\(recoveries).out",
            errors: world.directory + "/recover-\(recoveries).err")
        defer { process.kill() }
        let deadline = Deadline(in: .seconds(30))
        while process.isRunning {
            guard !deadline.hasPassed else { throw HarnessError("recover --wait 2 does not end") }
            if process.isStopped {
                Wait.sleep(.milliseconds(random.number(in: 10...500)))
                process.send(random.chance(50) ? SIGCONT : SIGKILL)
            }
            Wait.sleep(.milliseconds(5))
        }
        steps.append("recover with \(faults ?? "no fault") ended: \(process.status().map { "\($0)" } ?? "")")
    }

    // MARK: - Events

    func carryOut(_ event: SoakEvent) throws {
        steps.append("\(event)")
        switch event {
        case .killServer: try world.server().crash()
        case .stopServer(let time):
            let server = try world.server()
            server.process.send(SIGSTOP)
            Wait.sleep(.milliseconds(time))
            server.process.send(SIGCONT)
        case .stopSimulator(let time):
            world.simulator.send(SIGSTOP)
            try wait(milliseconds: time)
            world.simulator.send(SIGCONT)
        case .killSimulator(let time):
            world.simulator.crash()
            try wait(milliseconds: time)
            try world.simulator.start()
        case .outage(let time):
            try world.simulator.set(Faults(isOut: true))
            try wait(milliseconds: time)
            try world.simulator.set(.none)
        case .badNetwork(let percent):
            let rate = Double(percent) / 100
            try world.simulator.set(
                Faults(
                    errorRate: rate / 3, lostReplyRate: rate, declineRate: rate / 4, latencyMilliseconds: percent / 5))
        case .cut(let road, let time): try set(.cut, road, milliseconds: time)
        case .silence(let road, let time): try set(.silent, road, milliseconds: time)
        case .killBackend: for pid in try backend() { kill(pid, SIGKILL) }
        case .stopBackend(let time):
            let pids = try backend()
            for pid in pids { kill(pid, SIGSTOP) }
            try wait(milliseconds: time)
            // The fence of a later server may have ended it, and its pid may be another's: a signal to go on does no harm.
            for pid in pids { kill(pid, SIGCONT) }
        case .killPostmaster(let time):
            try cluster.killPostmaster()
            try wait(milliseconds: time)
            try cluster.startAgain()
        case .dryRun: _ = try world.recover().run("--dry-run")
        case .backup:
            backups += 1
            _ = try world.recover().run("backup", world.directory + "/backup-\(backups)")
        }
    }

    private func set(_ mode: TCPProxy.Mode, _ road: SoakEvent.Road, milliseconds: Int) throws {
        let proxies = road == .database ? [random.pick(world.proxies)] : [network]
        for proxy in proxies { try proxy.set(mode) }
        try wait(milliseconds: milliseconds)
        for proxy in proxies { try proxy.set(.forwarding) }
    }

    /// A server process of one of our connections, if there is any; none while PostgreSQL recovers.
    private func backend() throws -> [pid_t] {
        let names = world.databases.map { "'\($0.name)'" }.joined(separator: ",")
        let rows = try? cluster.query(
            "SELECT pid FROM pg_stat_activity WHERE datname IN (\(names)) AND application_name LIKE 'holdfast/%'")
        let pids = (rows ?? []).compactMap { $0.first.flatMap { Int32($0) } }.filter { $0 > 1 }
        return pids.isEmpty ? [] : [random.pick(pids)]
    }

    // MARK: - The end

    /// Takes every fault back; a server without any runs then.
    func restoreOrder() throws {
        for proxy in world.proxies + [network] { try proxy.set(.forwarding) }
        try world.simulator.set(.none)
        try Wait.until("PostgreSQL is there", within: Limits.clusterStart, every: .milliseconds(100)) {
            (try? cluster.query("SELECT 1")) != nil
        }
        let server = try world.server()
        if server.process.isRunning {
            if server.process.isStopped || random.chance(50) {
                server.crash()
                steps.append("kill server in the end")
            } else {
                // With the faults that have not struck yet: they may in what follows, so it ends by itself.
                server.process.send(SIGTERM)
                steps.append("drain server in the end")
                _ = Wait.holds(within: Limits.drain + .seconds(15)) {
                    !server.process.isRunning || server.process.isStopped
                }
                if server.process.isRunning, !server.process.isStopped {
                    throw HarnessError("the server does not end although it was told to")
                }
                server.crash()
            }
        }
        try world.start()
        steps.append("a server without faults")
    }
}
