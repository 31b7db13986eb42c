import ArgumentParser
import Foundation
import NIOCore
import NIOPosix
import UnixSignals

/// The program: reads its flags, sends the load, says how it went.
@main
struct LoadGeneratorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "loadgen",
        abstract: "Sends payments to a server over the line protocol and measures the answers.",
        usage: """
            loadgen [<options>]
            loadgen <connections> <requests-per-connection> <port>
            """,
        discussion: """
            A closed loop (the default) keeps --depth requests open on each connection: it shows what a server can do. An open \
            loop (--rate) sends at a constant rate whatever the answers do, and a latency counts from the moment when the request \
            was due: it shows what clients would feel. --check asks the server afterwards what it knows of every request.

            Exit codes: 0 done; 1 something contradicted an answer or the server cannot be reached; 64 wrong usage.
            """)

    @Argument(
        help: "Connections, requests of each connection, port: as the first load generator of this protocol took them.")
    var positional: [Int] = []

    @Option(help: "The server's host.")
    var host = "127.0.0.1"

    @Option(help: "The server's port.")
    var port = 9090

    @Option(help: "Connections.")
    var connections = 32

    @Option(help: "Requests that each connection keeps open (closed loop).")
    var depth = 1

    @Option(help: "Requests a second in all (open loop).")
    var rate: Double?

    @Option(help: "How long requests are sent, seconds. (default: 10)")
    var duration: Double?

    @Option(help: "How many requests are sent in all, instead of a duration.")
    var requests: Int?

    @Option(help: "Different cards.")
    var cards = 1_000_000

    @Option(help: "Different merchants.")
    var merchants = 100

    @Option(help: "Shares of the kinds, for instance auth=90,capture=5,refund=3,reversal=2.")
    var mix = "auth=1"

    @Option(help: "The share of requests that repeat an earlier request_id, 0 to 1.")
    var replays = 0.0

    @Option(help: "The first characters of every request_id. (default: made from the time)")
    var prefix: String?

    @Option(help: "The seed of what follows no order.")
    var seed: UInt64 = 1

    @Option(help: "Threads that send.")
    var threads = 1

    @Option(help: "How long answers are waited for after the last request, seconds.")
    var drain = 65.0

    @Flag(help: "Ask the server afterwards what it knows of each request and compare.")
    var check = false

    @Flag(help: "Print a JSON document instead of a table.")
    var json = false

    @Option(help: "Write the latencies' distribution to this file, in HdrHistogram's text form, milliseconds.")
    var hdr: String?

    func validate() throws { _ = try plan() }

    /// The plan that the flags describe.
    func plan(now: Date = Date()) throws -> LoadPlan {
        var plan = LoadPlan()
        plan.host = host
        (plan.port, plan.connections, plan.depth, plan.threads) = (port, connections, depth, threads)
        if !positional.isEmpty {
            guard positional.count == 3, requests == nil, duration == nil else {
                throw ValidationError(
                    "give <connections> <requests-per-connection> <port>, and neither --requests nor --duration.")
            }
            plan.connections = positional[0]
            plan.port = positional[2]
            plan.extent = .requests(try product(positional[0], positional[1]))
        } else if let requests {
            guard duration == nil else { throw ValidationError("--requests and --duration exclude each other.") }
            plan.extent = .requests(requests)
        } else {
            let seconds = try inside(LoadLimits.duration, duration ?? 10, "--duration", "seconds")
            plan.extent = .time(Int64(seconds * 1e9))
        }
        if case .requests(let count) = plan.extent {
            _ = try inside(LoadLimits.requests, count, "the number of requests")
        }
        _ = try inside(1...65_535, plan.port, "the port")
        _ = try inside(LoadLimits.connections, plan.connections, "the number of connections")
        _ = try inside(LoadLimits.depth, depth, "--depth")
        _ = try inside(LoadLimits.threads, threads, "--threads")
        plan.threads = min(threads, plan.connections)
        if let rate { plan.arrival = .open(perSecond: try inside(LoadLimits.rate, rate, "--rate", "a second")) }
        plan.drainMax = Int64(try inside(0.0...3600.0, drain, "--drain", "seconds") * 1e9)
        plan.script.seed = seed
        plan.script.cards = try inside(1...100_000_000_000, cards, "--cards")
        plan.script.merchants = try inside(1...1_000_000, merchants, "--merchants")
        plan.script.replays = try inside(0.0...1.0, replays, "--replays")
        guard let mix = PaymentScript.Mix(mix) else {
            throw ValidationError("--mix must look like auth=90,capture=5,refund=3,reversal=2.")
        }
        plan.script.mix = mix
        plan.script.prefix = try prefix.map(Self.checked) ?? "load-\(UInt64(now.timeIntervalSince1970 * 1000))"
        plan.remembersFates = check || replays > 0
        return plan
    }

    private static func checked(_ prefix: String) throws -> String {
        let isVisible = prefix.utf8.allSatisfy {
            $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
        }
        guard !prefix.isEmpty, prefix.utf8.count <= 48, isVisible else {
            throw ValidationError("--prefix must be 1 to 48 visible ASCII characters without quotes and backslashes.")
        }
        return prefix
    }

    private func product(_ one: Int, _ other: Int) throws -> Int {
        let (product, overflow) = one.multipliedReportingOverflow(by: other)
        guard !overflow, one > 0, other > 0 else {
            throw ValidationError("the numbers of connections and of requests must be positive.")
        }
        return product
    }

    private func inside<Value: Comparable>(
        _ range: ClosedRange<Value>, _ value: Value, _ name: String, _ unit: String = ""
    ) throws -> Value {
        guard range.contains(value) else {
            let suffix = unit.isEmpty ? "" : " \(unit)"
            throw ValidationError("\(name) must be from \(range.lowerBound) to \(range.upperBound)\(suffix).")
        }
        return value
    }

    func run() async throws {
        let plan = try plan()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: plan.threads)
        try await reach(plan, group: group)
        let report = try await LoadRun(plan, group: group, isWatched: isatty(STDERR_FILENO) == 1).run(isChecked: check)
        if let hdr { try writeDistribution(report.tally, to: hdr) }
        print(json ? try report.json() : report.table)
        if !json { print(report.summaryLine) }
        try await group.shutdownGracefully()
        if report.isContradicted { throw ExitCode(1) }
    }

    /// A server that is not there is told at once, before anything is measured.
    private func reach(_ plan: LoadPlan, group: any EventLoopGroup) async throws {
        do {
            let channel = try await ClientBootstrap(group: group)
                .connectTimeout(.nanoseconds(LoadLimits.connectMax))
                .connect(host: plan.host, port: plan.port).get()
            try await channel.close()
        } catch {
            throw LoadFailure(description: "no server on \(plan.host):\(plan.port): \(error)")
        }
    }

    private func writeDistribution(_ tally: Tally, to path: String) throws {
        var text = ""
        tally.latencies.outputPercentileDistribution(to: &text, outputValueUnitScalingRatio: 1000)
        do {
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw LoadFailure(description: "cannot write \(path): \(error.localizedDescription)")
        }
    }
}

/// What kept the load from being sent or told. Printed by the argument parser, which ends the process with status 1.
struct LoadFailure: Error, CustomStringConvertible {
    let description: String
}
