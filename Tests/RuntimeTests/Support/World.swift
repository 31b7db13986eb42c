import Coordinator
import Glibc
import NIOCore
import NIOPosix
import Payments
import Runtime
import Synchronization
import Telemetry
import Testing

/// A coordinator with everything around it scripted. Times are short, so that what is retried is retried within the test.
final class World: Sendable {
    static let logID = LogID(high: 0xA, low: 0xB)
    static let earlierEpoch = Epoch(rawValue: 1)
    static let pair = FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 3))
    /// Takes the lines that no test reads.
    static let silence = LineSink(descriptor: open("/dev/null", O_WRONLY | O_CLOEXEC))
    /// More than the hops between loops that one payment needs, several times over.
    private static let hopsToSettle = 24

    let trace = Trace()
    let counters = Counters()
    let log: MemoryLog
    let databases: [ScriptedDatabase]
    let clearing: ScriptedNetwork
    let coordinator: PaymentCoordinator
    /// Whether the log says that it has room for new payments.
    let logHasRoom = Switch(true)
    let loop: any EventLoop
    /// Participants answer from here.
    private let participantLoop: any EventLoop

    init(
        databases count: Int = 1, sink: LineSink = World.silence, time: TimeSource = .system,
        _ change: (inout CoordinatorSettings) -> Void = { _ in }
    ) {
        loop = MultiThreadedEventLoopGroup.singleton.next()
        participantLoop = MultiThreadedEventLoopGroup.singleton.next()
        log = MemoryLog(loop: loop, trace: trace)
        clearing = ScriptedNetwork(loop: participantLoop, trace: trace)
        databases = (1...count).map { [participantLoop, trace] in
            ScriptedDatabase(index: DatabaseIndex(rawValue: UInt8($0)), loop: participantLoop, trace: trace)
        }
        var settings = CoordinatorSettings()
        settings.prepareTimeout = .seconds(5)
        settings.commitTimeout = .seconds(5)
        settings.delivery = Backoff(base: Milliseconds(4), ceiling: Milliseconds(8))
        settings.logRetry = Backoff(base: Milliseconds(4), ceiling: Milliseconds(8))
        settings.breaker = .init(window: .seconds(5), failuresToOpen: 1000, openFor: .seconds(5))
        settings.reversals = .init(
            refusalsMax: 3, backoff: Backoff(base: Milliseconds(4), ceiling: Milliseconds(8)), inFlightMax: 4)
        settings.velocity = nil
        change(&settings)
        coordinator = PaymentCoordinator(
            loop: loop, log: log, epoch: Self.pair.epoch, databases: databases, clearing: clearing,
            settings: settings, events: EventLog(sink: sink, now: { SystemClock.wall().microseconds }),
            counters: counters, faults: .off, logAdmits: { [logHasRoom] in logHasRoom.isOn }, time: time)
    }

    /// The payment's database in a world of one.
    var database: ScriptedDatabase { databases[0] }

    // MARK: - Payments

    /// Sends a request and goes on.
    func submit(_ payment: Payment) -> Ticket {
        let ticket = Ticket()
        coordinator.submit(payment.submission) { [trace] reply in
            trace.note("answer \(reply.answer.text)")
            ticket.take(reply)
        }
        return ticket
    }

    func submit(_ request: String) -> Ticket { submit(Payment(request)) }

    /// Sends a request and waits for its answer.
    @discardableResult
    func pay(_ payment: Payment, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Reply {
        try await submit(payment).reply(sourceLocation: sourceLocation)
    }

    @discardableResult
    func pay(_ request: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> Reply {
        try await pay(Payment(request), sourceLocation: sourceLocation)
    }

    // MARK: - Looking

    /// Returns when everything that can go on without a timer or an answer held back has gone on.
    func settle() async throws {
        for _ in 0..<Self.hopsToSettle {
            try await loop.submit {}.get()
            try await participantLoop.submit {}.get()
        }
    }

    /// Waits until nothing is left to deliver, and what was written lazily is durable.
    func idle(includingReversals: Bool = true, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let isIdle = Switch(false)
        coordinator.whenIdle(includingReversals: includingReversals) { isIdle.turn(true) }
        try await eventually("nothing is left to deliver", sourceLocation: sourceLocation) { isIdle.isOn }
        try await settle()
    }

    func gauges() async -> Gauges {
        await withCheckedContinuation { continuation in
            coordinator.gauges { continuation.resume(returning: $0) }
        }
    }

    func status(_ request: String) async throws -> PaymentStatus? {
        try await withCheckedThrowingContinuation { continuation in
            coordinator.status(of: Payment(request).requestID) { continuation.resume(with: $0) }
        }
    }

    func count(_ counter: Counter) -> Int { counters.snapshot.first { $0.counter == counter }?.count ?? 0 }

    // MARK: - Recovery

    /// The plan of a server that starts on what the log holds.
    ///
    /// - Parameters:
    ///   - observations: what the databases show; by default each is seen, and shows nothing.
    ///   - history: ended transactions whose branches are listed.
    func plan(
        observations: [DatabaseIndex: DatabaseObservation.State] = [:], history: [ActiveTransaction] = []
    ) throws -> RecoveryPlan {
        var states = Dictionary(uniqueKeysWithValues: databases.map { ($0.index, Self.sighting()) })
        states.merge(observations) { $1 }
        let ended = Dictionary(uniqueKeysWithValues: history.map { ($0.transaction, $0) })
        return RecoveryPlan(
            .init(snapshot: try log.snapshot(), liveEpoch: nil, observations: states, history: ended))
    }

    /// - Parameters:
    ///   - prepared: transactions with a branch that is listed as prepared, of database 1.
    ///   - witnessed: transactions whose row is visible.
    static func sighting(
        prepared: [BeginRecord] = [], witnessed: [TransactionID] = []
    ) -> DatabaseObservation.State {
        let listed = prepared.map { begin in
            let gid = GlobalBranchID(
                log: logID, epoch: begin.epoch, transaction: begin.transaction, database: DatabaseIndex(rawValue: 1))
            return PreparedTransaction(
                gid: gid.description, owner: "holdfast", databaseName: "payments",
                preparedAt: WallTime(microseconds: 1))
        }
        return .seen(.init(prepared: listed, witnessed: Set(witnessed), olderBackendsAlive: false))
    }

    /// Hands a plan to the coordinator.
    ///
    /// - Returns: turned on when every decision is in the log.
    func carryOut(_ plan: RecoveryPlan) -> Switch {
        let isDecided = Switch(false)
        coordinator.carryOut(plan) { _ in isDecided.turn(true) }
        return isDecided
    }
}

/// What becomes of a request.
final class Ticket: Sendable {
    private let replies = Mutex<[Reply]>([])

    func take(_ reply: Reply) { replies.withLock { $0.append(reply) } }

    /// What was answered so far: a second reply is a fault of the coordinator.
    var all: [Reply] { replies.withLock { $0 } }

    var isAnswered: Bool { !all.isEmpty }

    func reply(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Reply {
        try await eventually("the request is answered", sourceLocation: sourceLocation) { isAnswered }
        return try #require(all.first, sourceLocation: sourceLocation)
    }
}

/// A truth value that several threads may look at.
final class Switch: Sendable {
    private let value: Mutex<Bool>

    init(_ isOn: Bool) { value = Mutex(isOn) }

    var isOn: Bool { value.withLock { $0 } }

    func turn(_ isOn: Bool) { value.withLock { $0 = isOn } }
}
