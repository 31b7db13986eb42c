import Assembly
import Coordinator
import Foundation
import NIOCore
import Runtime
import Telemetry
import UnixSignals

/// `server`: takes payments until it is told to stop.
@main
enum ServerProgram {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if let code = answerQuestion(arguments) { exit(code) }
        StandardStreams.reserve()
        // A reader of the log lines that goes away is no reason to end, nor is a limit on the size of the file that they go to.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        let sink = LineSink(descriptor: STDERR_FILENO)
        let events = EventLog(sink: sink, now: { SystemClock.wall().microseconds })
        let code: Int32
        do {
            let source = try SettingSource(
                arguments: arguments, environment: ProcessInfo.processInfo.environment)
            code = try await ServerRun(NodeSettings(source), events: events, sink: sink).run()
        } catch let error as SettingError {
            code = error.variable.hasPrefix("--") ? ProgramExit.usage : ProgramExit.configuration
            complain("\(error)", sink)
        } catch let refusal as StartRefusal {
            code = refusal.exitCode
            complain(refusal.message, sink)
        } catch {
            code = ProgramExit.failure
            complain("\(error)", sink)
        }
        sink.flush()
        exit(code)
    }

    /// By way of the sink: whoever reads standard error, or does not, the exit code is what was meant.
    private static func complain(_ message: String, _ sink: LineSink) { sink.write("server: \(message)\n") }

    /// Flags that ask for a text and nothing else.
    private static func answerQuestion(_ arguments: [String]) -> Int32? {
        switch arguments {
        case ["--help"], ["-h"]: print(NodeSettings.help(program: "server"), terminator: "")
        case ["--version"]: print("holdfast \(Release.version)")
        case ["--list-faults"]:
            let width = FaultInjector.points.map(\.name.count).max() ?? 0
            for point in FaultInjector.points {
                let failure = point.failure.map { " (error: \($0))" } ?? ""
                print(point.name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + point.meaning + failure)
            }
        default: return nil
        }
        return ProgramExit.clean
    }
}

/// One run of the server, from the lock to the drain.
struct ServerRun {
    let settings: NodeSettings
    let events: EventLog
    let sink: LineSink
    let pidFile: PIDFile
    private let room: ConnectionRoom

    init(_ settings: NodeSettings, events: EventLog, sink: LineSink) throws(StartRefusal) {
        self.settings = settings
        self.events = events
        self.sink = sink
        pidFile = PIDFile(settings.stateDirectory, events)
        room = try ConnectionRoom(settings)
        guard let limit = room.limit else { return }
        events.emit(
            .warning, .configuration,
            .message(
                "\(limit) files may be open (ulimit -n), which leaves room for \(room.connectionsMax) client connections, "
                    + "not MAX_CONNECTIONS \(settings.listener.connectionsMax)"))
    }

    /// - Returns: the exit code.
    func run() async throws -> Int32 {
        let (key, isNew) = try loadKey()
        if isNew {
            events.emit(.warning, .starting, .message("made a new token key in \(settings.tokenKeyFile); back it up"))
        }
        // From here on a signal waits for its turn instead of ending the process.
        let stop = StopRequest(await UnixSignalsSequence(trapping: .sigterm, .sigint))
        let node = try await openNode(key, stop) { [events, sink] in
            try Node.open(settings, events: events, sink: sink) { why in
                events.emit(.error, .fencedOut, .message(why))
                sink.flush()
                _exit(ProgramExit.failure)
            }
        }
        guard let node else {
            events.emit(
                .warning, .stopped,
                .message("while the log waited for room; what is in doubt was not looked at: see recover"))
            return ProgramExit.inDoubt
        }
        for fault in settings.faults {
            events.emit(
                .warning, .fault, .message("a fault is to be injected at \(fault.point), hit \(fault.hit)"))
        }
        events.emit(.info, .starting, .message("epoch \(node.pair.epoch), state in \(settings.stateDirectory)"))
        let server: PaymentServer
        let control = ControlServer(node: node)
        do {
            server = try await start(node, key, control)
        } catch {
            await control.close()
            await node.close()
            throw error
        }

        let periodic = Task { await repeatPeriodicPass(node) }
        events.emit(.info, .draining, .message(await stop.signal))
        node.faults.hit(.draining)
        periodic.cancel()
        return await drain(node, server, control)
    }

    /// Everything that comes before and with the opening of the port.
    private func start(_ node: Node, _ key: TokenKey, _ control: ControlServer) async throws -> PaymentServer {
        try await node.startDatabases(waitingAtMost: Milliseconds(ServerLimits.databaseStartWaitMax))
        let plan = try await node.plan(isServing: false)
        let refused = await node.carryOut(plan)
        await node.settleContinuity(after: plan, refused: refused)
        node.faults.hit(.decisionsSettled)
        report(plan)
        await node.verifyCommits(atMost: Milliseconds(ServerLimits.verificationStartWaitMax))
        try await control.listen()
        node.faults.hit(.ordersOpen)

        if node.faults.fails(StartPoint.portOpening) {
            throw StartRefusal("PORT cannot be opened: injected", exitCode: ProgramExit.failure)
        }
        let server = try await serve(node, key, node.faults)
        pidFile.write()
        node.faults.hit(.listening)
        events.emit(
            .info, .ready, .message("listening on \(settings.listener.bind):\(settings.listener.port)"))
        return server
    }

    /// Opens the ports.
    func serve(_ desk: any PaymentDesk, _ key: TokenKey, _ faults: FaultInjector = .off) async throws -> PaymentServer {
        let front = PaymentFront(
            desk: desk, key: key, amountMaxMajorUnits: settings.amountMaxMajorUnits,
            apiToken: settings.listener.apiToken, faults: faults)
        let server = PaymentServer(front: front, settings: settings.listener, room: room, events: events)
        do {
            try await server.listen()
        } catch {
            await server.close()
            throw error
        }
        return server
    }

    private func loadKey() throws -> (key: TokenKey, isNew: Bool) {
        do {
            return try TokenKey.load(from: settings.tokenKeyFile)
        } catch {
            throw SettingError("TOKEN_KEY_FILE", "cannot be used: \(error)")
        }
    }

    private func report(_ plan: RecoveryPlan) {
        let unfinished = plan.transactions.count
        guard unfinished + plan.reversals.count + plan.strays.count + plan.adoptions.count > 0 else { return }
        events.emit(
            .info, .recovery, .count("unfinished", unfinished), .count("reversals", plan.reversals.count),
            .count("strays", plan.strays.count), .count("adopted", plan.adoptions.count { $0.isWork }),
            .message("taking up what was left; see recover --dry-run for the reasons"))
    }

    private func repeatPeriodicPass(_ node: Node) async {
        var tidyDue = ContinuousClock.now
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: .milliseconds(settings.recoveryInterval.count))
            } catch { return }
            await node.periodicPass()
            node.noteLogAdmission()
            pidFile.writeIfMissing()
            let now = ContinuousClock.now
            guard now >= tidyDue else { continue }
            await node.tidyLog()
            tidyDue = now + ServerLimits.tidyInterval
        }
    }

    /// Finishes what was begun, within the grace time.
    private func drain(_ node: Node, _ server: PaymentServer, _ control: ControlServer) async -> Int32 {
        await control.close()
        await server.stopListening()
        node.coordinator.beginDraining()
        let isDone = await node.waitUntilIdle(atMost: settings.drainTimeout, includingReversals: false)
        node.faults.hit(.drained)
        let left = await node.preparedBranchesLeft()
        await server.close()
        await node.close()
        pidFile.remove()
        switch left {
        case 0?:
            events.emit(
                .info, .stopped, .message(isDone ? "nothing is left prepared" : "deliveries are left to the next start")
            )
            return ProgramExit.clean
        case let count?:
            events.emit(
                .warning, .stopped, .count("prepared", count), .message("branches are left prepared; see recover"))
        case nil:
            events.emit(
                .warning, .stopped, .message("a database could not be asked what is left prepared; see recover"))
        }
        return ProgramExit.inDoubt
    }
}
