import Foundation

/// How a process is brought to the plan's point.
extension CrashIteration {
    func act() throws {
        switch plan.scene {
        case .load, .idle, .drain: try serve()
        case .start:
            try crashUnderLoad()
            try strikeStart()
        case .recover:
            try crashUnderLoad()
            try strikeRecover([])
        case .trim: try trim()
        case .backup: try backUp()
        case .lostLog: try loseLog()
        case .rolledBack, .resolution: try resolveByHand()
        case .refusedReversal: try refuseReversal()
        }
    }

    // MARK: - Servers

    private func serve() throws {
        try world.simulator.set(Self.badNetwork)
        let server = try world.launch(fault: faults)
        // It may come to its point before it serves.
        guard waitUntilReady(server) else {
            awaitStrike(in: server.process, errors: server.errorsFile) { false }
            try attend(to: server.process)
            return try goOn(server)
        }
        let load = startLoad(at: server)
        switch plan.scene {
        case .load: awaitStrike(in: server.process, errors: server.errorsFile) { load.isDone }
        case .drain:
            try Wait.until("the load is done", within: Limits.answer) { load.isDone || load.answers >= 12 }
            server.process.send(SIGTERM)
            awaitStrike(in: server.process, errors: server.errorsFile) { false }
        default:
            try Wait.until("the load is done", within: Limits.answer) { load.isDone || !server.process.isRunning }
            awaitStrike(in: server.process, errors: server.errorsFile) { true }
        }
        try attend(to: server.process)
        // A process that was stopped and killed leaves its clients without an answer, one that goes on gives it.
        try take(load)
        try world.simulator.set(.none)
        try goOn(server)
    }

    /// Whether a server came to serve; it may die or stand still on the way there, but nothing else.
    @discardableResult
    func waitUntilReady(_ server: ServerProcess) -> Bool {
        let came = Wait.holds(within: Limits.programStart) {
            !server.process.isRunning || server.process.isStopped || isReady(server)
        }
        if !came { outcome.violations.append("a start neither served nor ended within \(Limits.programStart)") }
        return server.process.isRunning && !server.process.isStopped
    }

    /// One that stands still does not answer, and may do so after it was looked at.
    private func isReady(_ server: ServerProcess) -> Bool {
        guard !server.process.isStopped, let client = try? server.client() else { return false }
        return (try? client.ask("GET /readyz", within: .milliseconds(500))) == "OK"
    }

    /// A start with the plan's fault; it may come to its end, or to the fault.
    private func strikeStart() throws {
        let server = try world.launch(fault: faults)
        var isReady = false
        awaitStrike(in: server.process, errors: server.errorsFile) {
            isReady = isReady || self.isReady(server)
            return isReady
        }
        try attend(to: server.process)
        try goOn(server)
    }

    /// Leaves a server that survived, or kills it, and brings to its end what it left.
    func goOn(_ server: ServerProcess) throws {
        if plan.fault.action == .error || plan.fault.action == .delay || plan.goesOn {
            // One that is on its way out ends first.
            if plan.scene == .drain || plan.fault.point == "port-opening" {
                _ = Wait.holds(within: Limits.drain) { !server.process.isRunning }
            }
        }
        if server.process.isRunning, !plan.isKilledAfterwards {
            waitUntilReady(server)
            if server.process.isRunning { return note("the server goes on") }
        }
        if server.process.isRunning {
            server.crash()
            note("the server was killed")
        }
        try takeOver()
    }

    // MARK: - Taking over

    func takeOver() throws {
        note("then \(plan.takeOver)")
        switch plan.takeOver {
        case .restart: break
        case .recover: try recoverAll()
        case .recoverKilled(let fault):
            var recover = try world.recover()
            recover.environment["HOLDFAST_FAULT"] = fault.variable
            let status = try recover.run().status
            note("recover ended with \(status)")
            try recoverAll()
        case .restartKilled(let fault):
            let dying = try world.launch(fault: fault.variable)
            waitUntilReady(dying)
            note("the start \(dying.process.isRunning ? "served" : "died")")
            dying.crash()
        }
        try world.start()
    }

    private func recoverAll() throws {
        let result = try world.recover().run()
        // What the network refuses is left to an operator.
        guard result.status != (excused.isEmpty ? RecoverTool.nothingLeft : RecoverTool.somethingLeft) else { return }
        outcome.violations.append("recover left something: \(result)")
    }

    /// Runs `recover` with the plan's fault.
    func strikeRecover(_ arguments: [String]) throws {
        let recover = try world.recover()
        var environment = recover.environment
        environment["HOLDFAST_FAULT"] = faults
        let errors = world.directory + "/recover.err"
        let process = try ChildProcess(
            name: "recover", executable: recover.program,
            arguments: arguments + ["--state-dir", recover.stateDirectory], environment: environment,
            output: world.directory + "/recover.out", errors: errors)
        defer { process.kill() }
        awaitStrike(in: process, errors: errors) { false }
        try attend(to: process)
        let status = try process.wait(within: Limits.tool)
        note("recover \(arguments.first ?? "") ended with \(status)")
        guard plan.scene == .recover || plan.scene == .lostLog else { return }
        try takeOver()
    }

    // MARK: - Trims and backups

    private func trim() throws {
        let first = try world.start()
        try world.simulator.set(Faults(lostReplyRate: 0.3))
        let load = startLoad(at: first)
        try take(load)
        try world.simulator.set(.none)
        try waitUntilSettled()
        // Everything is older than the retention then; only the time for which the log is at work counts.
        Wait.sleep(.milliseconds(1300))
        guard try first.drain() == .code(0) else { throw HarnessError("the first server left something") }
        let server = try world.start(fault: faults)
        let second = startLoad(at: server)
        awaitStrike(in: server.process, errors: server.errorsFile) { second.isDone }
        try attend(to: server.process)
        try take(second)
        try goOn(server)
    }

    private func backUp() throws {
        let server = try world.start()
        try world.simulator.set(Self.badNetwork)
        let load = startLoad(at: server)
        let copy = world.directory + "/backup"
        try Wait.until("there is something to copy", within: Limits.answer) { load.isDone || load.answers >= 4 }
        try strikeRecover(["backup", copy])
        try take(load)
        try world.simulator.set(.none)
        // Whole or not there: the next one into the same place is refused, or is made. Nothing else stays behind.
        let recover = try world.recover()
        let isThere = FileManager.default.fileExists(atPath: copy + "/data.mdb")
        let again = try recover.run("backup", copy)
        if again.status != .code(isThere ? 1 : 0) { outcome.violations.append("the next backup: \(again)") }
        let left = try FileManager.default.contentsOfDirectory(atPath: copy).filter { $0.hasPrefix("partial") }
        if !left.isEmpty { outcome.violations.append("left of a backup: \(left)") }
        let there = RecoverTool(stateDirectory: copy, environment: recover.environment)
        for (arguments, expected) in [(["verify"], RecoverTool.nothingLeft), ([], RecoverTool.refused)] {
            let result = try there.run(arguments)
            if result.status != expected { outcome.violations.append("the backup, \(arguments): \(result)") }
        }
        try goOn(server)
    }

    // MARK: - Losses and orders

    private func loseLog() throws {
        try crashUnderLoad()
        try world.waitUntilBackendsAreGone()
        try FileManager.default.removeItem(atPath: world.stateDirectory(of: "a"))
        let made = try world.recover().run("restore", "--lost-log")
        guard made.status == .code(0) else { throw HarnessError("recover restore: \(made)") }
        try strikeRecover([])
    }

    /// A payment that was decided to commit, rolled back by hand, parked, and resolved by an order.
    private func resolveByHand() throws {
        let payment = Payment(requestID: "rolled-back", amount: "3.33")
        try world.start(fault: "decision-durable:1:kill")
        requests["rolled-back"] = payment
        try world.payIntoTheCrash(payment)
        try world.waitUntilBackendsAreGone()
        let transaction = try world.onlyTransaction()
        try Operator(world: world).finishByHand(.rollback)
        if plan.scene == .rolledBack { try strikeRecover([]) }
        let parked = try world.recover().run()
        if parked.status != RecoverTool.somethingLeft {
            outcome.violations.append("recover did not park what was rolled back by hand: \(parked)")
        }
        let order = [
            "resolve", transaction, "--abort", "--force-heuristic", "--actor", "alice", "--reason",
            "rolled back by hand",
        ]
        if plan.scene == .resolution { try strikeRecover(order) }
        let result = try world.recover().run(order)
        // It may have been taken before.
        let wasTaken = result.said.contains("unfinished") || result.said.contains("goes on by itself")
        guard result.status == RecoverTool.nothingLeft || wasTaken else { throw HarnessError("the order: \(result)") }
        let rest = try world.recover().run()
        if rest.status != RecoverTool.nothingLeft { outcome.violations.append("after the order: \(rest)") }
        try world.start()
        let load = startLoad(at: try world.server(), payments: 4)
        try take(load)
    }

    private func refuseReversal() throws {
        let payment = Payment(requestID: "refused", amount: "4.44")
        let first = try world.start(fault: "reversal-durable:1:stop", with: ["CLEARING_RETRY_MAX": "0"])
        try world.simulator.set(Faults(lostReplyRate: 1))
        let client = try first.client()
        requests["refused"] = payment
        try client.send(payment)
        world.ledger.note(payment, .lost)
        try first.process.waitUntilStopped()
        try world.simulator.set(.none)
        let transaction = try world.onlyTransaction()
        try world.simulator.commit(transaction)
        excused.insert(transaction)
        first.crash()
        try strikeStart()
    }
}
