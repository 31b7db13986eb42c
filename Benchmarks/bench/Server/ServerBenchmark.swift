import ArgumentParser
import BenchmarkKit

/// The whole path with real processes.
struct ServerBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "The server over TCP with the clearing simulator over HTTP, against pgbench with the same SQL.",
        discussion: """
            Server, simulator (its books in memory), load generator and PostgreSQL (fsync on) share the machine, as do pgbench and \
            PostgreSQL when it is their turn. Each count of payments in flight is a closed loop with so many connections. The \
            processor time a payment is told for each of the programs; for PostgreSQL that of all its processes.
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var stackOptions: StackOptions

    @Option(parsing: .upToNextOption, help: "Payments in flight while the network answers at once.")
    var inFlight = [1, 16, 64, 256]

    @Option(parsing: .upToNextOption, help: "Payments in flight while it takes --latency-ms.")
    var inFlightSlow = [64, 256, 1024]

    @Option(parsing: .upToNextOption, help: "Clients of pgbench that are tried for its best.")
    var clients = [16, 32, 64]

    @Option(help: "What an answer of the slow network takes, milliseconds; 0 leaves the slow network out.")
    var latencyMs = 50.0

    @Option(help: "How long each is measured, seconds.")
    var seconds: Double?

    func validate() throws {
        guard (0.1...600).contains(seconds ?? 1) else { throw ValidationError("--seconds is from 0.1 to 600") }
        guard (inFlight + inFlightSlow).allSatisfy({ (1...10_000).contains($0) }) else {
            throw ValidationError("payments in flight are from 1 to 10000")
        }
        guard clients.allSatisfy({ (1...160).contains($0) }) else {
            throw ValidationError("--clients are from 1 to 160")
        }
        guard (0...10_000).contains(latencyMs) else { throw ValidationError("--latency-ms is from 0 to 10000") }
    }

    func run() throws {
        let workspace = try Workspace(in: common.directory)
        defer { workspace.remove() }
        var report = common.report("server")
        // pgbench empties its tables; the server would miss its payments.
        let segments = common.quick ? 8 : 64
        let reference = try stackOptions.cluster(in: workspace, name: "reference", segments: segments)
        defer { reference.stop() }
        try PaymentStack.makeTables(in: workspace, cluster: reference, databases: reference.uris)
        let cluster = try stackOptions.cluster(in: workspace, segments: segments)
        defer { cluster.stop() }
        let inFlightMax = (inFlight + inFlightSlow).max() ?? 1
        let stack = try PaymentStack(
            in: workspace, cluster: cluster,
            settings: ["MAX_IN_FLIGHT": "\(max(512, inFlightMax))"].merging(stackOptions.server.dictionary) { $1 })
        defer { stack.end() }
        try stack.startServer()
        let course = ServerCourse(
            stack: stack, cells: cells, seconds: seconds ?? (common.quick ? 0.5 : 4),
            pgbench: try Pgbench(reference, folder: workspace.folder("pgbench")),
            clients: common.quick ? Array(clients.prefix(1)) : clients)
        try course.run(&report)
        report.notes += stackOptions.notes
        try common.finish(report)
        try stack.drainServer()
    }

    private var cells: [ServerCell] {
        // A quick run shows the least and the greatest.
        func chosen(_ counts: [Int]) -> [Int] {
            common.quick ? Array(Set([counts.min(), counts.max()].compactMap(\.self))).sorted() : counts
        }
        let fast = chosen(inFlight)
        let slow = latencyMs > 0 ? chosen(inFlightSlow) : []
        return fast.map { ServerCell(latencyMilliseconds: 0, inFlight: $0) }
            + slow.map { ServerCell(latencyMilliseconds: latencyMs, inFlight: $0) }
    }
}

/// One thing that is measured: so many payments in flight with such a network.
struct ServerCell: Hashable {
    let latencyMilliseconds: Double
    let inFlight: Int

    var name: String { "\(inFlight) in flight, network \(Table.number(latencyMilliseconds)) ms" }
    var parameters: [String: String] {
        ["in_flight": "\(inFlight)", "latency_ms": "\(Int(latencyMilliseconds))"]
    }
}

/// The rounds.
private struct ServerCourse {
    let stack: PaymentStack
    let cells: [ServerCell]
    let seconds: Double
    let pgbench: Pgbench
    /// Of pgbench, to be tried.
    let clients: [Int]

    private static let quantiles = ["p50", "p95", "p99", "p99.9"]
    private static let programs = ["server", "postgresql", "simulator", "generator"]
    private static let warmUpSeconds = 2.0

    func run(_ report: inout Report) throws {
        Progress.note("warming up")
        try measure(
            ServerCell(latencyMilliseconds: 0, inFlight: 32), seconds: report.quick ? 0.3 : Self.warmUpSeconds)
        let references = try Pgbench.Form.allCases.map { (form: $0, clients: try bestClients($0)) }
        var contest = Contest(rounds: report.rounds)
        for (form, clients) in references {
            contest.add(form.name) { try pgbench.measure(form, clients: clients, seconds: seconds) }
        }
        for cell in cells { contest.add(cell.name) { try measure(cell, seconds: seconds) } }
        let standings = try contest.run()
        report.series = references.map { form, clients in
            standings.series(
                form.name, "rate", label: "\(form.name) payments", unit: "1/s",
                parameters: ["in_flight": "\(clients)"])
        }
        report.series += series(standings)
        report.ratios = ratios(standings)
        report.notes = [
            "Latencies are those that the load generator saw in closed loops."
        ]
        report.notes += references.map { form, clients in
            "\(form.name) is at its best of those tried with \(clients) clients."
        }
    }

    /// With how many clients pgbench is fastest.
    private func bestClients(_ form: Pgbench.Form) throws -> Int {
        var best = (rate: 0.0, clients: clients.first ?? 1)
        guard clients.count > 1 else { return best.clients }
        for clients in clients {
            let rate = try pgbench.measure(form, clients: clients, seconds: Self.warmUpSeconds)["rate"] ?? 0
            Progress.note("\(form.name) with \(clients) clients: \(Table.number(rate)) a second")
            if rate > best.rate { best = (rate, clients) }
        }
        return best.clients
    }

    /// One closed loop, until everything that it began is finished.
    @discardableResult
    private func measure(_ cell: ServerCell, seconds: Double) throws -> [String: Double] {
        try stack.setClearingLatency(milliseconds: cell.latencyMilliseconds)
        let before = try stack.processorTimes()
        let load = try stack.load(["--connections", "\(cell.inFlight)", "--duration", "\(seconds)"])
        try load.requireAllApproved()
        try stack.waitUntilFinished()
        let after = try stack.processorTimes()
        var values = ["throughput": load.answeredPerSecond]
        for quantile in Self.quantiles { values[quantile] = load.quantile(quantile) }
        let payments = Double(load.answered)
        values["server"] = (after.server - before.server) / payments
        values["postgresql"] = (after.postgresql - before.postgresql) / payments
        values["simulator"] = (after.simulator - before.simulator) / payments
        values["generator"] = load.processorTime / payments
        return values
    }

    private func series(_ standings: Standings) -> [Series] {
        var series: [Series] = []
        for cell in cells {
            func add(_ quantity: String, _ label: String, _ unit: String) {
                series.append(
                    standings.series(cell.name, quantity, label: label, unit: unit, parameters: cell.parameters))
            }
            add("throughput", "holdfast payments", "1/s")
            for quantile in Self.quantiles { add(quantile, "holdfast \(quantile)", "us") }
            for program in Self.programs { add(program, "processor time, \(program)", "us/payment") }
        }
        return series
    }

    private func ratios(_ standings: Standings) -> [Ratio] {
        let fast = cells.filter { $0.latencyMilliseconds == 0 }
        let slow = cells.filter { $0.latencyMilliseconds > 0 }
        guard let best = best(fast, standings) else { return [] }
        let bestValues = standings.values(best.name, "throughput")
        var ratios = [
            Ratio(
                "server at its best (\(best.inFlight) in flight) to pgbench at its best", of: bestValues,
                to: standings.values(Pgbench.Form.separate.name, "rate"), floor: 0.30, goal: 0.50),
            Ratio(
                "the same to pgbench with all up to PREPARE TRANSACTION in one message", of: bestValues,
                to: standings.values(Pgbench.Form.combined.name, "rate")),
            Ratio(
                "p99 to p50 at \(best.inFlight) in flight", of: standings.values(best.name, "p99"),
                to: standings.values(best.name, "p50"), floor: 4, isCeiling: true),
        ]
        if let bestSlow = self.best(slow, standings) {
            ratios.append(
                Ratio(
                    "network of \(Table.number(bestSlow.latencyMilliseconds)) ms (\(bestSlow.inFlight) in flight) to one of 0 ms",
                    of: standings.values(bestSlow.name, "throughput"), to: bestValues, floor: 0.9))
        }
        return ratios
    }

    private func best(_ cells: [ServerCell], _ standings: Standings) -> ServerCell? {
        cells.max {
            Statistics.median(standings.values($0.name, "throughput"))
                < Statistics.median(standings.values($1.name, "throughput"))
        }
    }
}
