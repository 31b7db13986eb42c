import Coordinator
import Payments
import Runtime

/// A seeded world: virtual time, databases, the card network, servers, clients and an operator, and somebody who sees everything.
final class World: @unchecked Sendable {
    // @unchecked: a simulation runs on one thread.

    let scenario: Scenario
    let control: SimulationOptions.Control?
    let scheduler = Scheduler()
    let trace: Trace
    let coverage = Coverage()
    let checker: Checker
    private(set) var databases: [DatabaseServer] = []
    private(set) var network: CardNetwork!
    private(set) var nodes: [Node] = []
    private(set) var clients: Clients!
    private(set) var saboteur: Saboteur!
    private(set) var operators: Operators!

    /// One for each purpose, so that what one draws does not change what another does.
    var messages: Randomness
    var servers: Randomness
    var identifiers: Randomness
    /// Whether anything goes wrong at present.
    private(set) var faultsAreOn = true
    /// Nothing prevents progress any more from here on; `nil` while faults are on.
    private(set) var healedAt: UInt64?

    /// Wall time at the beginning: 2026-01-01T00:00:00Z.
    static let epochMicroseconds: Int64 = 1_767_225_600_000_000

    init(_ options: SimulationOptions) {
        scenario = Scenario(seed: options.seed, without: options.without)
        control = options.control
        trace = Trace(isKept: options.keepsTrace)
        checker = Checker()
        messages = Randomness(seed: options.seed, stream: 2)
        servers = Randomness(seed: options.seed, stream: 3)
        identifiers = Randomness(seed: options.seed, stream: 4)
        checker.world = self
        databases = (1...scenario.databases).map { DatabaseServer(self, index: DatabaseIndex(rawValue: UInt8($0))) }
        network = CardNetwork(self)
        nodes = (0..<scenario.servers).map { Node(self, number: $0) }
        clients = Clients(self, only: options.payments)
        saboteur = Saboteur(self)
        operators = Operators(self)
    }

    var now: UInt64 { scheduler.now }
    var monotonic: MonotonicTime { MonotonicTime(nanoseconds: scheduler.now) }

    /// True time; servers may have another.
    var wall: WallTime { WallTime(microseconds: Self.epochMicroseconds + Int64(scheduler.now / 1000)) }

    func database(_ index: DatabaseIndex) -> DatabaseServer { databases[Int(index.rawValue) - 1] }

    func note(_ transaction: TransactionID?, _ number: Int, _ text: @autoclosure () -> String) {
        trace.note(scheduler.now, transaction, number, text())
    }

    func after(_ delay: UInt64, _ body: @escaping () -> Void) { scheduler.after(delay, for: nil, body) }

    /// Whether a fault of a kind strikes now.
    func strikes(_ kind: FaultKind, atMost most: Double) -> Bool {
        faultsAreOn && messages.chance(scenario.probability(kind, atMost: most))
    }

    /// How long an ordinary message takes.
    func latency() -> UInt64 {
        .milliseconds(messages.between(scenario.latency.lowerBound, scenario.latency.upperBound))
    }

    /// Everything begins.
    func begin() {
        for node in nodes { node.begin() }
        clients.begin()
        saboteur.begin()
        operators.begin()
    }

    /// From here on nothing goes wrong any more, and what was broken is mended.
    func heal() {
        guard faultsAreOn else { return }
        faultsAreOn = false
        healedAt = scheduler.now
        note(nil, 90, "the faults end")
        for database in databases { database.heal() }
        network.heal()
        for node in nodes { node.heal() }
    }

    /// Lets go of everything, so that nothing of this world is kept in memory.
    func dismantle() {
        for node in nodes { node.vanish() }
        scheduler.removeAll()
    }

    var isEverybodyAtRest: Bool {
        clients.isDone && nodes.allSatisfy(\.isAtRest) && network.isIdle
            && databases.allSatisfy(\.isIdle)
    }
}
