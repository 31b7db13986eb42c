import ArgumentParser
import FoundationEssentials
import Glibc
import HTTPService
import NIOCore
import NIOPosix
import UnixSignals

/// The program: reads its flags, opens the books, serves until it is told to stop.
@main
struct ClearingSimulatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clearing-sim",
        abstract: "A card network to test and demonstrate against: it keeps books, and fails when told to.",
        discussion: """
            It speaks the clearing API on http://BIND:PORT/clearing and shows its books at /clearing/book. Faults are set \
            by flags and, while it runs, by POST /clearing/faults. SIGTERM and SIGINT end it.
            """)

    @Option(help: "The port to listen on; 0 for any free one. (default: $CLEARING_PORT, else 8082)")
    var port: Int?

    @Option(help: "The address to listen on. (default: $BIND, else 127.0.0.1)")
    var bind: String?

    @Option(help: "The file that the books are kept in; 'none' keeps them in memory alone.")
    var books = "clearing-books.txt"

    @Flag(help: "Flush the books to the disk before each reply. Without it they survive the simulator's own death.")
    var sync = false

    @Option(help: "The share of requests that do nothing and are answered with an error, 0 to 1.")
    var errorRate = 0.0

    @Option(help: "The share of requests that do their work and drop the connection, 0 to 1.")
    var lostReplyRate = 0.0

    @Option(help: "The share of new holds that are declined, 0 to 1.")
    var declineRate = 0.0

    @Option(help: "The median of the time that an answer takes, milliseconds; up to 2 ms are added.")
    var latencyMs = 0.0

    @Option(name: .customLong("latency-p99-ms"), help: "Its 99th percentile; 0 makes the latency constant.")
    var latencyP99Ms = 0.0

    @Flag(help: "Refuse every request about a transaction until faults say otherwise.")
    var outage = false

    @Option(help: "The seed of all randomness. (default: a random one, printed at start)")
    var seed: UInt64?

    var faults: Faults {
        Faults(
            errorRate: errorRate, lostReplyRate: lostReplyRate, declineRate: declineRate,
            latencyMilliseconds: latencyMs, latencyP99Milliseconds: latencyP99Ms, isOutage: outage)
    }

    /// The port that flag, environment or default say, in this order.
    func effectivePort(environment: [String: String]) throws -> Int {
        if let port {
            guard (0...65535).contains(port) else { throw ValidationError("--port must be from 0 to 65535.") }
            return port
        }
        guard let text = environment["CLEARING_PORT"], !text.isEmpty else { return 8082 }
        guard let value = Int(text), (0...65535).contains(value) else {
            throw ValidationError("CLEARING_PORT must be a number from 0 to 65535.")
        }
        return value
    }

    func effectiveAddress(environment: [String: String]) -> String {
        bind ?? environment["BIND"].flatMap { $0.isEmpty ? nil : $0 } ?? "127.0.0.1"
    }

    func validate() throws {
        if let problem = faults.problem {
            throw ValidationError("--\(problem.replacing("_", with: "-")).")
        }
        if books.isEmpty { throw ValidationError("--books must name a file, or be 'none'.") }
        if sync, books == "none" { throw ValidationError("--sync needs --books FILE.") }
    }

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let port = try effectivePort(environment: environment)
        let address = effectiveAddress(environment: environment)
        // Trapped before the port opens, so that whoever sees it open can end the process cleanly.
        let signals = await UnixSignalsSequence(trapping: [.sigterm, .sigint])
        // One loop: the books are one, and requests need little of a processor.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        // Not the library's own, which nobody ends: what looks for leaks takes it for one.
        let pool = NIOThreadPool(numberOfThreads: SimulatorLimits.threads)
        let seed = seed ?? UInt64.random(in: 0...UInt64.max)

        let service = try makeService(group: group, pool: pool, seed: seed)
        pool.start()
        var limits = HTTPServiceLimits()
        limits.bodyBytesMax = SimulatorLimits.bodyBytesMax
        limits.requestTimeMax = SimulatorLimits.idleTimeMax
        let listener: Listener
        do {
            listener = try await Listener.start(host: address, port: port, group: group, limits: limits) {
                service.respond(to: $0, answer: $1)
            }
        } catch {
            throw StartFailure(message: "cannot listen on \(address):\(port): \(error)")
        }
        Self.note("listening on \(address):\(listener.port), books \(books), seed \(seed)")
        for await _ in signals { break }
        try await listener.close()
        try await group.shutdownGracefully()
        try await pool.shutdownGracefully()
    }

    private func makeService(
        group: any EventLoopGroup, pool: NIOThreadPool, seed: UInt64
    ) throws -> ClearingService {
        let timers = SharedTimers(loop: group.next())
        let environment = ClearingService.Environment(
            schedule: { nanoseconds, work in timers.schedule(after: nanoseconds, work) },
            offload: { work in pool.submit { _ in work() } },
            giveUp: { reason in
                Self.note("\(reason); ended, so that a new start finds out what is on the disk")
                Glibc.exit(EXIT_FAILURE)
            })
        let random = SeededRandom(seed: seed)
        guard books != "none" else {
            return ClearingService(
                book: ClearingBook(), journal: nil, faults: faults, random: random, environment: environment)
        }
        do {
            let (journal, opening) = try BookJournal.open(path: books, isSynchronous: sync)
            if opening.droppedTornLine { Self.note("dropped an unfinished last line of \(books)") }
            return ClearingService(
                book: opening.book, journal: journal, faults: faults, random: random, environment: environment)
        } catch let error as BookJournalError {
            throw StartFailure(message: error.description)
        }
    }

    private static func note(_ text: String) {
        let line = Array("clearing-sim: \(text)\n".utf8)
        // One write, so that lines of several processes on one terminal stay whole. If nobody reads them, so be it.
        _ = write(STDERR_FILENO, line, line.count)
    }
}

/// Why the program cannot start. Printed by the argument parser, which ends the process with status 1.
struct StartFailure: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
}
