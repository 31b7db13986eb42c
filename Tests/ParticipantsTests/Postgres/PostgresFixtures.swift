import Foundation
import Payments
import Synchronization
import Testing

@testable import Coordinator
@testable import PostgresParticipant

/// All tests that need a server, one after the other: they share a cluster and its prepared slots.
@Suite("PostgreSQL", .serialized, .timeLimit(.minutes(2)))
struct PostgresTests {}

/// A log in memory: says that everything is durable, on a thread of its own, and keeps what it was told.
final class RememberingLog: TransactionLog {
    private let writes = Mutex<[LogWrite]>([])
    private let queue = DispatchQueue(label: "log")
    private let before: @Sendable (LogWrite) -> Void

    /// - Parameter before: called before a write is said to be durable.
    init(before: @escaping @Sendable (LogWrite) -> Void = { _ in }) { self.before = before }

    var all: [LogWrite] { writes.withLock { $0 } }

    func append(
        _ write: LogWrite, urgency: LogUrgency, completion: @escaping @Sendable (Result<LogReceipt, LogRefusal>) -> Void
    ) {
        queue.async { [self] in
            before(write)
            writes.withLock { $0.append(write) }
            completion(.success(.noted))
        }
    }

    func lookUp(_ request: RequestID) throws -> RequestEntry? { nil }

    func snapshot() throws -> LogSnapshot {
        LogSnapshot(
            log: LogID(high: 0, low: 0), owner: pair(1), nextLSN: LSN(rawValue: 1), active: [], reversals: [],
            fences: [],
            quarantined: 0)
    }
}

func pair(_ epoch: UInt64, _ incarnation: UInt64 = 7) -> FencePair {
    FencePair(epoch: Epoch(rawValue: epoch), incarnation: Incarnation(rawValue: incarnation))
}

func randomLogID() -> LogID {
    LogID(high: UInt64.random(in: 0...UInt64.max), low: UInt64.random(in: 0...UInt64.max))
}

/// A server's view of one database, with its events kept.
final class TestServer: Sendable {
    static let index = DatabaseIndex(rawValue: 1)

    let log: LogID
    let epoch: Epoch
    let records: RememberingLog
    let database: PostgresDatabase
    private let eventTexts = Mutex<[String]>([])

    /// - Parameter fence: what the log remembers; by default it has never seen the database.
    init(
        _ target: PostgresCluster.Database, uri: String? = nil, log: LogID = randomLogID(), owner: FencePair = pair(1),
        fence: DatabaseFence? = nil, poolSize: Int = 4, lockTimeout: Milliseconds = Milliseconds(300),
        resolveTimeout: Milliseconds = .seconds(2), records: RememberingLog = RememberingLog()
    ) throws {
        self.log = log
        epoch = owner.epoch
        self.records = records
        let box = EventBox()
        let configuration = try PostgresConfiguration(
            uri: uri ?? target.uri, poolSize: poolSize, lockTimeout: lockTimeout, resolveTimeout: resolveTimeout)
        database = try PostgresDatabase(
            index: fence?.database ?? Self.index, configuration: configuration, log: log,
            role: .owner(
                owner,
                fence: fence ?? DatabaseFence(database: Self.index, identity: nil, confirmed: nil, attempted: []),
                log: records), events: box.events)
        events = box
        try database.start()
    }

    private let events: EventBox

    /// Waits until it is available with all of its connections, which are made one after the other.
    convenience init(ready target: PostgresCluster.Database, lockTimeout: Milliseconds = Milliseconds(300)) throws {
        try self.init(target, lockTimeout: lockTimeout)
        try #require(firstAttempt() == .available)
        try eventually { try statistics().connectionsReady == 4 }
    }

    var fatal: [String] { events.fatal.withLock { $0 } }
    var fencedOut: [String] { events.fencedOut.withLock { $0 } }
    var regressions: [DatabaseRegression] { events.regressions.withLock { $0 } }
    var notes: [String] { events.notes.withLock { $0 } }

    final class EventBox: Sendable {
        let fatal = Mutex<[String]>([])
        let fencedOut = Mutex<[String]>([])
        let notes = Mutex<[String]>([])
        let regressions = Mutex<[DatabaseRegression]>([])

        var events: PostgresEvents {
            PostgresEvents(
                stateChanged: { [self] state in notes.withLock { $0.append("state: \(state)") } },
                fencedOut: { [self] text in fencedOut.withLock { $0.append(text) } },
                fatal: { [self] text in fatal.withLock { $0.append(text) } },
                wentBack: { [self] regression in regressions.withLock { $0.append(regression) } },
                note: { [self] level, text in notes.withLock { $0.append("\(level): \(text)") } })
        }
    }

    func firstAttempt() throws -> PostgresDatabase.FirstAttempt {
        let result = Awaited<PostgresDatabase.FirstAttempt>()
        database.firstAttempt { result.set($0) }
        return try result.get()
    }

    func close() throws {
        let closed = Awaited<Bool>()
        database.close { closed.set(true) }
        _ = try closed.get()
    }

    // MARK: Orders

    func gid(_ transaction: TransactionID) -> String {
        GlobalBranchID(log: log, epoch: epoch, transaction: transaction, database: database.index).description
    }

    func startPrepare(_ begin: Durable<BeginRecord>, within timeout: Milliseconds = .seconds(10)) -> Awaited<Vote> {
        let vote = Awaited<Vote>()
        let order = PrepareOrder(
            allowedBy: begin, branch: begin.record.branches[0], authorizationCode: "A12345",
            deadline: PostgresDatabase.now() + timeout)
        database.prepare(order) { vote.set($0) }
        return vote
    }

    func prepare(_ begin: Durable<BeginRecord>, within timeout: Milliseconds = .seconds(10)) throws -> Vote {
        try startPrepare(begin, within: timeout).get()
    }

    func startResolve(_ begin: Durable<BeginRecord>, _ decision: Outcome) -> Awaited<Resolution> {
        let resolution = Awaited<Resolution>()
        database.resolve(Self.order(begin, decision)) { resolution.set($0) }
        return resolution
    }

    func resolve(_ begin: Durable<BeginRecord>, _ decision: Outcome) throws -> Resolution {
        try startResolve(begin, decision).get()
    }

    func lookUp(_ begin: Durable<BeginRecord>) throws -> PriorPayment {
        let prior = Awaited<PriorPayment>()
        database.lookUp(LookUpOrder(allowedBy: begin)) { prior.set($0) }
        return try prior.get()
    }

    /// Asks again while it is open, as a coordinator does.
    func resolveToTheEnd(_ begin: Durable<BeginRecord>, _ decision: Outcome) throws -> Resolution {
        var last = Resolution.open("")
        try eventually {
            last = try resolve(begin, decision)
            if case .open = last { return false }
            return true
        }
        return last
    }

    static func order(_ begin: Durable<BeginRecord>, _ decision: Outcome) -> ResolveOrder {
        let transaction = begin.record.transaction
        let branch = begin.record.branches[0]
        switch decision {
        case .committed:
            return ResolveOrder(
                allowedBy: durable(CommitRecord(transaction: transaction, authorizationCode: "A12345")),
                begin: begin.record, branch: branch)
        case .aborted:
            let record = AbortRecord(transaction: transaction, reason: .databaseError, claim: .declined, reversal: nil)
            return ResolveOrder(allowedBy: durable(record), begin: begin.record, branch: branch)
        }
    }

    /// A payment that this server begins.
    func begin(
        _ intent: PaymentIntent = makeIntent(), role: BranchRole = [.payment, .merchantEntry], epoch: Epoch? = nil
    ) -> Durable<BeginRecord> {
        let transaction = TransactionID(high: UInt64.random(in: 0...UInt64.max), low: UInt64.random(in: 0...UInt64.max))
        return durable(
            BeginRecord(
                transaction: transaction, epoch: epoch ?? self.epoch, intent: intent,
                branches: [Branch(participant: .database(database.index), role: role)],
                deadline: WallTime(microseconds: 0)))
    }

    func observe(_ transactions: [TransactionID]) throws -> DatabaseObservation.State {
        let observation = Awaited<DatabaseObservation>()
        database.observe(witnessesOf: transactions) { observation.set($0) }
        return try observation.get().state
    }

    func ownPrepared() throws -> [String] {
        let list = Awaited<Result<[PreparedTransaction], PostgresReadError>>()
        database.listOwnPrepared { list.set($0) }
        return try list.get().get().map(\.gid)
    }

    func statistics() throws -> PostgresStatistics {
        let statistics = Awaited<PostgresStatistics?>()
        database.statistics { statistics.set($0) }
        return try #require(try statistics.get())
    }
}

func durable<Record: Sendable & Hashable>(_ record: Record) -> Durable<Record> {
    Durable(attestedByLog: record, lsn: LSN(rawValue: 1), writtenAt: WallTime(microseconds: 0))
}

func makeIntent(
    request: String = "req-\(UInt64.random(in: 0...UInt64.max))", minorUnits: Int64 = 1230, hashKey: UInt32 = 1,
    hash: UInt8 = 1
) -> PaymentIntent {
    guard let requestID = RequestID(request), let merchant = MerchantID("MERCHANT001"),
        let masked = MaskedPAN(masked: "411111******1111")
    else { preconditionFailure("a fixture is malformed") }
    return PaymentIntent(
        requestID: requestID, kind: .authorization, amount: Money(minorUnits: minorUnits, currency: .usDollar),
        merchant: merchant, maskedPAN: masked, panToken: KeyedDigest(keyID: 3, bytes: [UInt8](0..<32)),
        requestHash: KeyedDigest(keyID: hashKey, bytes: [UInt8](repeating: hash, count: 32)), reference: nil)
}
