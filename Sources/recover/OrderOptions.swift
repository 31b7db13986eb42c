import ArgumentParser
import Assembly
import Coordinator
import Foundation
import Runtime
import Telemetry

/// What every command that orders something takes.
struct OrderOptions: ParsableArguments {
    @Option(help: "Who orders it; goes into the log.")
    var actor: String

    @Option(help: "Why; goes into the log.")
    var reason: String

    @Flag(help: "Send the order to the running server instead of taking its place.")
    var online = false

    @Option(
        help: ArgumentHelp(
            "How long to wait for what comes of it: seconds, or with a unit (90s, 5m, 2h), up to a day.",
            valueName: "duration"))
    var wait = Span(.seconds(30))

    @Flag(help: "Print the result as JSON.")
    var json = false

    func validate() throws {
        guard wait.milliseconds <= Milliseconds.seconds(86_400) else {
            throw ValidationError("--wait takes at most a day")
        }
        _ = try signature
    }

    var signature: Signature {
        get throws {
            do throws(OrderFault) {
                return try Signature(actor: actor, reason: reason)
            } catch {
                throw ValidationError("\(error)")
            }
        }
    }
}

/// Which outcome is ordered.
enum OutcomeFlag: String, EnumerableFlag {
    case commit, abort

    var outcome: Outcome {
        switch self {
        case .commit: .committed
        case .abort: .aborted
        }
    }

    static func help(for value: OutcomeFlag) -> ArgumentHelp? {
        switch value {
        case .commit: "The payment is made."
        case .abort: "The payment is not made; the network releases what it holds."
        }
    }
}

/// Carries an order out, or has the running server do it, and tells what came of it.
struct OrderRun {
    let order: OperatorOrder
    let options: OrderOptions
    let location: Location

    func run() async throws {
        let result = try await options.online ? online() : offline()
        if options.json {
            Output.line(String(decoding: try result.line.dropLast(), as: UTF8.self).printableJSON)
        } else if result.isAccepted {
            Output.line(result.message.printable)
        } else {
            Self.say(result.message)
        }
        if result.exitCode != ProgramExit.clean { throw ExitCode(result.exitCode) }
    }

    private func online() async throws -> OrderResult {
        let directory = try location.stateDirectory
        let result = try ControlClient.send(order, to: directory)
        guard result.isUnderWay else { return result }
        if !options.json { Self.say(result.message) }
        return try await Observer.aftermath(of: order, stateDirectory: directory, atMost: options.wait.milliseconds)
    }

    /// Takes the log over for as long as it takes. What can be refused from the log alone is refused before that, so that a mistake
    /// does not even raise the epoch.
    private func offline() async throws -> OrderResult {
        let settings = try NodeSettings(location.source)
        if !Observer.isInUse(stateDirectory: settings.stateDirectory) {
            let snapshot = try Observer.snapshot(stateDirectory: settings.stateDirectory)
            if let refusal = OrderResult.refusal(of: order, in: snapshot, now: SystemClock.wall()) { return refusal }
        }
        let sink = LineSink(descriptor: STDERR_FILENO)
        let events = EventLog(sink: sink, now: { SystemClock.wall().microseconds })
        defer { sink.flush() }
        let node = try Node.open(settings, events: events, sink: sink) { why in
            events.emit(.error, .fencedOut, .message(why))
            sink.flush()
            _exit(ProgramExit.failure)
        }
        do {
            let result = try await carryOut(on: node)
            await node.flushLog()
            await node.close()
            return result
        } catch {
            await node.close()
            throw error
        }
    }

    private func carryOut(on node: Node) async throws -> OrderResult {
        if order.needsDatabases { try await node.startDatabases(waitingAtMost: .seconds(10)) }
        let result = await node.carryOut(order)
        guard result.isUnderWay else { return result }
        return try await node.aftermath(of: order, atMost: options.wait.milliseconds)
    }

    private static func say(_ text: String) { Output.talk("recover: \(text)") }
}
