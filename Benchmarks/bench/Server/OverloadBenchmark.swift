import ArgumentParser
import BenchmarkKit
import Foundation
import Synchronization

/// More than the server can do.
struct OverloadBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "overload",
        abstract:
            "Three times as many payments as the server can make: what it accepts, how fast it refuses, what memory it takes.",
        discussion: """
            In each round the capacity is measured in a closed loop, and at once after it payments arrive at a constant rate: first \
            one as high, then one that is --factor times as high. Whether refusals take the time of payments is told by those two; \
            the closed loop asks for the next payment only when one is answered, which costs less. Latencies count from when a \
            payment was due. The generator keeps more connections than the server takes payments, so that no refusal waits behind \
            a payment.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var stackOptions: StackOptions

    @Option(help: "Payments in flight in the closed loop.")
    var inFlight = 256

    @Option(help: "The offered load, in capacities.")
    var factor = 3.0

    @Option(help: "Connections of the open loop.")
    var connections = 3500

    @Option(help: "How long the overload lasts, seconds; what comes before it for half of it.")
    var seconds: Double?

    func validate() throws {
        guard (0.5...3600).contains(seconds ?? 1) else { throw ValidationError("--seconds is from 0.5 to 3600") }
        guard (1...10_000).contains(inFlight), (1...10_000).contains(connections) else {
            throw ValidationError("--in-flight and --connections are from 1 to 10000")
        }
        guard (1...100).contains(factor) else { throw ValidationError("--factor is from 1 to 100") }
    }

    func run() throws {
        let workspace = try Workspace(in: common.directory)
        defer { workspace.remove() }
        let cluster = try stackOptions.cluster(in: workspace, segments: common.quick ? 8 : 64)
        defer { cluster.stop() }
        let stack = try PaymentStack(
            in: workspace, cluster: cluster, settings: stackOptions.server.dictionary)
        defer { stack.end() }
        try stack.startServer()
        Progress.note("warming up")
        _ = try stack.load(["--connections", "\(inFlight)", "--duration", common.quick ? "0.5" : "3"])
        try stack.waitUntilFinished()
        let seconds = seconds ?? (common.quick ? 2 : 10)
        var report = common.report("overload")
        var contest = Contest(rounds: common.roundCount)
        contest.add(Self.contestant) { try measure(stack, seconds: seconds) }
        let standings = try contest.run()
        report.series = Quantity.allCases.map {
            standings.series(Self.contestant, $0.rawValue, label: $0.rawValue, unit: $0.unit)
        }
        report.ratios = ratios(standings)
        report.notes = [
            "The load generator takes its share of the same processors, and more of it in the overload."
        ]
        report.notes += stackOptions.notes
        try common.finish(report)
        try stack.drainServer()
    }

    private static let contestant = "server"

    private enum Quantity: String, CaseIterable {
        case capacity = "capacity, closed loop"
        case acceptedAtCapacity = "accepted, the capacity offered"
        case offered = "offered"
        case sent = "sent"
        case accepted = "accepted"
        case refused = "refused"
        case refusalMedian = "refusals, p50"
        case refusalTail = "refusals, p99"
        case acceptedMedian = "accepted, p50"
        case acceptedTail = "accepted, p99"
        case firstHalf = "memory of the server's own, most in the first half"
        case secondHalf = "memory of the server's own, most in the second half"
        case after = "memory of the server's own, afterwards"
        case resident = "resident memory with the mapped log, afterwards"

        var unit: String {
            switch self {
            case .capacity, .acceptedAtCapacity, .offered, .sent, .accepted, .refused: "1/s"
            case .refusalMedian, .refusalTail, .acceptedMedian, .acceptedTail: "us"
            case .firstHalf, .secondHalf, .after, .resident: "bytes"
            }
        }
    }

    private func measure(_ stack: PaymentStack, seconds: Double) throws -> [String: Double] {
        let closed = try stack.load(["--connections", "\(inFlight)", "--duration", "\(seconds / 2)"])
        try closed.requireAllApproved()
        try stack.waitUntilFinished()
        let capacity = closed.answeredPerSecond
        let even = try offer(capacity, for: seconds / 2, to: stack)
        let pid = try stack.server().pid
        let watch = MemoryWatch(pid: pid)
        let open = try offer(capacity * factor, for: seconds, to: stack)
        let memory = watch.end()
        guard open.count("DECLINED") > 0 else {
            throw BenchmarkFailure("nothing was refused: no overload; raise --factor")
        }
        let after = try MemoryFacts.of(pid)
        let half = memory.count / 2
        let values: [Quantity: Double] = [
            .capacity: capacity, .acceptedAtCapacity: even.approvedPerSecond, .offered: capacity * factor,
            .sent: Double(open.sent) / seconds, .accepted: open.approvedPerSecond,
            .refused: Double(open.count("DECLINED")) / open.seconds,
            .refusalMedian: open.quantile("p50", of: "DECLINED"), .refusalTail: open.quantile("p99", of: "DECLINED"),
            .acceptedMedian: open.quantile("p50", of: "APPROVED"), .acceptedTail: open.quantile("p99", of: "APPROVED"),
            .firstHalf: Double(memory[..<half].max() ?? 0), .secondHalf: Double(memory[half...].max() ?? 0),
            .after: Double(after.anonymous), .resident: Double(after.resident),
        ]
        return Dictionary(uniqueKeysWithValues: values.map { ($0.key.rawValue, $0.value) })
    }

    /// Offers payments at a constant rate, and waits until the server has done with them.
    private func offer(_ perSecond: Double, for seconds: Double, to stack: PaymentStack) throws -> LoadResult {
        let load = try stack.load([
            "--rate", "\(perSecond)", "--connections", "\(connections)", "--duration", "\(seconds)",
        ])
        try requireNothingButRefusals(load)
        try stack.waitUntilFinished()
        return load
    }

    /// Overload is no reason for any other answer, nor to drop a connection.
    private func requireNothingButRefusals(_ load: LoadResult) throws {
        let refused = load.count("DECLINED")
        guard load.approved + refused == load.sent, load.reasons["server_busy", default: 0] == refused,
            load.connectionFailures == 0
        else {
            throw BenchmarkFailure(
                "the overload was answered with \(load.statuses), reasons \(load.reasons), \(load.lost) lost, broken "
                    + "connections: \(load.connectionFailures)")
        }
    }

    private func ratios(_ standings: Standings) -> [Ratio] {
        func values(_ quantity: Quantity) -> [Double] { standings.values(Self.contestant, quantity.rawValue) }
        var ratios = [
            Ratio("accepted to capacity", of: values(.accepted), to: values(.capacity), floor: 0.9),
            Ratio(
                "accepted to accepted at the capacity", of: values(.accepted), to: values(.acceptedAtCapacity),
                floor: 0.9),
            Ratio("sent to offered", of: values(.sent), to: values(.offered)),
            Ratio(
                "refusals, p99 in milliseconds", values: values(.refusalTail).map { $0 / 1000 }, floor: 10,
                isCeiling: true),
            Ratio(
                "memory, second half to first", of: values(.secondHalf), to: values(.firstHalf), floor: 1.1,
                isCeiling: true),
        ]
        // The first overload fills what is kept for the next one.
        let after = values(.after)
        if after.count > 2, let last = after.last {
            ratios.append(
                Ratio(
                    "memory after the last round to after the second", values: [last / after[1]], floor: 1.1,
                    isCeiling: true))
        }
        return ratios
    }
}

/// Looks at a process' own memory in short intervals.
private final class MemoryWatch: Sendable {
    private let isOver = Atomic(false)
    private let done = DispatchSemaphore(value: 0)
    private let seen = Mutex<[Int]>([])
    private static let intervalMicroseconds: UInt32 = 20_000

    init(pid: Int32) {
        Thread.detachNewThread { [self] in
            while !isOver.load(ordering: .relaxed) {
                if let facts = try? MemoryFacts.of(pid) { seen.withLock { $0.append(facts.anonymous) } }
                usleep(Self.intervalMicroseconds)
            }
            done.signal()
        }
    }

    /// What was seen, bytes.
    func end() -> [Int] {
        isOver.store(true, ordering: .relaxed)
        done.wait()
        return seen.withLock { $0 }
    }
}
