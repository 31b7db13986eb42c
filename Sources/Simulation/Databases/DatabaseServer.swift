import Coordinator
import Payments

/// A session of a client at a database.
final class Backend {
    let pid: Int32
    let log: LogID
    let epoch: Epoch
    fileprivate(set) var isAlive = true
    /// What the client sent and this has not read yet.
    fileprivate(set) var unread = 0
    fileprivate(set) var work: PrepareWork?
    /// Whether nobody is at the other end any more; it ends when it has read what was sent.
    fileprivate(set) var isAbandoned = false
    /// Told when it ends.
    fileprivate var whenGone: (() -> Void)?

    fileprivate init(pid: Int32, log: LogID, epoch: Epoch) {
        self.pid = pid
        self.log = log
        self.epoch = epoch
    }
}

/// A PREPARE under way in a backend.
final class PrepareWork {
    let backend: Backend
    let begin: BeginRecord
    let role: BranchRole
    let id: GlobalBranchID
    /// Whether its row is inserted, and others with its key wait.
    fileprivate(set) var isInserted = false
    fileprivate var isOver = false
    fileprivate let reply: (ServerReply) -> Void

    fileprivate init(
        _ backend: Backend, _ order: PrepareOrder, _ id: GlobalBranchID, _ reply: @escaping (ServerReply) -> Void
    ) {
        self.backend = backend
        begin = order.begin
        role = order.branch.role
        self.id = id
        self.reply = reply
    }
}

/// What a database answers.
enum ServerReply {
    case prepared
    /// A committed row has the request_id or the txn_id.
    case uniqueViolation
    /// The wait for another transaction's key was given up.
    case lockWait
    case noSlot
    /// A definite error before anything was prepared.
    case failed(String)
    case done
    /// There is no such prepared transaction.
    case undefinedObject
    case whereabouts(isListed: Bool, hasWitness: Bool)
    case rows([DatabaseServer.Row])
    case backends([Backend])
    case fence(FenceJudgement.Row?)
    case listed([PreparedTransaction])
    case witnessed(Set<TransactionID>)
    case position(DatabasePosition)
    case payments([WitnessRow])
}

/// PostgreSQL as a coordinator meets it: sessions that outlive their clients, prepared transactions that outlive everything, keys that
/// prepared transactions hold, rows that tell who committed.
final class DatabaseServer {
    struct Row: Sendable {
        let begin: BeginRecord
        let log: LogID
        /// By the database's clock.
        let insertedAt: WallTime
        var transaction: TransactionID { begin.transaction }
        var intent: PaymentIntent { begin.intent }
    }

    struct Prepared: Sendable {
        let begin: BeginRecord
        let role: BranchRole
        let preparedAt: WallTime
    }

    /// What survives a crash; what a restoration takes back.
    struct Content: Sendable {
        var rows: [RequestID: Row] = [:]
        var witnesses: [TransactionID: BranchRole] = [:]
        /// Merchants' entries: what was paid.
        var entries: [TransactionID: Money] = [:]
        var prepared: [GlobalBranchID: Prepared] = [:]
        /// Who holds a request_id that is prepared.
        var heldKeys: [RequestID: GlobalBranchID] = [:]
        var strangers: [String: WallTime] = [:]
        var fences: [LogID: FenceJudgement.Row] = [:]
        var timeline: UInt32 = 1
        var walBytes: UInt64 = 1000
    }

    unowned let world: World
    let index: DatabaseIndex
    let identity: DatabaseIdentity
    private(set) var content = Content()
    private(set) var isUp = true
    private var backends: [Int32: Backend] = [:]
    private var nextPID: Int32 = 100
    /// Inserted, not prepared.
    private var inserting: [RequestID: PrepareWork] = [:]
    private var waiting: [RequestID: [PrepareWork]] = [:]

    init(_ world: World, index: DatabaseIndex) {
        self.world = world
        self.index = index
        identity = DatabaseIdentity(systemIdentifier: 7000 + UInt64(index.rawValue), databaseOID: 16_384)
    }

    var isIdle: Bool { backends.values.allSatisfy { $0.work == nil && $0.unread == 0 } }

    // MARK: - Sessions

    func connect(log: LogID, epoch: Epoch, whenGone: @escaping () -> Void) -> Backend? {
        guard isUp else { return nil }
        nextPID += 1
        let backend = Backend(pid: nextPID, log: log, epoch: epoch)
        backend.whenGone = whenGone
        backends[backend.pid] = backend
        return backend
    }

    /// Something is on its way to the session: it will be read before the end of the connection is.
    func expect(on backend: Backend) { backend.unread += 1 }

    /// - Returns: whether the session is there to read it.
    func read(on backend: Backend) -> Bool {
        backend.unread -= 1
        return backend.isAlive && isUp
    }

    /// What was read has been begun: if nothing more comes and nobody is there, the session ends.
    func readOn(_ backend: Backend) { endIfAbandoned(backend) }

    /// The client is gone or has given the connection up. The session ends when it notices.
    func abandon(_ backend: Backend) {
        guard backend.isAlive, !backend.isAbandoned else { return }
        backend.isAbandoned = true
        backend.whenGone = nil
        let lingers = world.strikes(.lingeringBackends, atMost: 0.7)
        let wait: UInt64 = lingers ? .milliseconds(world.servers.between(100, 20_000)) : world.latency()
        world.after(wait) { [self] in endIfAbandoned(backend) }
    }

    private func endIfAbandoned(_ backend: Backend) {
        guard backend.isAlive, backend.isAbandoned, backend.work == nil, backend.unread == 0 else { return }
        end(backend)
    }

    func terminate(_ pid: Int32) {
        guard let backend = backends[pid] else { return }
        let lingers = world.strikes(.lingeringBackends, atMost: 0.4)
        world.after(lingers ? .milliseconds(world.servers.between(50, 8000)) : 20_000) { [self] in end(backend) }
    }

    private func end(_ backend: Backend) {
        guard backend.isAlive else { return }
        backend.isAlive = false
        backends[backend.pid] = nil
        if let work = backend.work { giveUp(work) }
        backend.whenGone?()
        backend.whenGone = nil
    }

    func backends(of log: LogID) -> [Backend] {
        backends.values.filter { $0.log == log }.sorted { $0.pid < $1.pid }
    }

    // MARK: - PREPARE

    func prepare(
        _ order: PrepareOrder, _ id: GlobalBranchID, on backend: Backend, _ reply: @escaping (ServerReply) -> Void
    ) {
        world.checker.prepareArrives(id, order.begin)
        let work = PrepareWork(backend, order, id, reply)
        backend.work = work
        insert(work)
    }

    private func insert(_ work: PrepareWork) {
        guard !work.isOver else { return }
        let request = work.begin.intent.requestID
        if content.witnesses[work.begin.transaction] != nil { return finish(work, .uniqueViolation) }
        if work.role.contains(.payment) {
            if content.rows[request] != nil { return finish(work, .uniqueViolation) }
            if content.heldKeys[request] != nil || inserting[request] != nil {
                waiting[request, default: []].append(work)
                world.after(world.scenario.lockTimeout) { [self, weak work] in
                    guard let work, !work.isOver, !work.isInserted else { return }
                    finish(work, .lockWait)
                }
                return
            }
            inserting[request] = work
        }
        if world.strikes(.databaseErrors, atMost: 0.1) { return finish(work, .failed("out of memory")) }
        work.isInserted = true
        world.after(.milliseconds(world.servers.between(0.05, 1))) { [self] in writeStateFile(work) }
    }

    private func writeStateFile(_ work: PrepareWork) {
        guard !work.isOver else { return }
        guard content.prepared.count + content.strangers.count < world.scenario.preparedMax else {
            return finish(work, .noSlot)
        }
        let request = work.begin.intent.requestID
        content.prepared[work.id] = Prepared(begin: work.begin, role: work.role, preparedAt: world.wall)
        if work.role.contains(.payment) {
            content.heldKeys[request] = work.id
            inserting[request] = nil
        }
        content.walBytes += 64
        world.note(work.begin.transaction, 20 + Int(index.rawValue), "\(index) has prepared the branch")
        world.checker.isPrepared(work.id, work.begin)
        finish(work, .prepared)
    }

    private func finish(_ work: PrepareWork, _ reply: ServerReply) {
        guard !work.isOver else { return }
        giveUp(work)
        work.reply(reply)
        endIfAbandoned(work.backend)
    }

    private func giveUp(_ work: PrepareWork) {
        guard !work.isOver else { return }
        work.isOver = true
        work.backend.work = nil
        let request = work.begin.intent.requestID
        waiting[request]?.removeAll { $0 === work }
        if inserting[request] === work {
            inserting[request] = nil
            wake(request)
        }
    }

    /// The key is free, or taken for good.
    private func wake(_ request: RequestID) {
        guard let works = waiting.removeValue(forKey: request) else { return }
        for work in works { insert(work) }
    }

    // MARK: - Decisions

    func resolve(_ id: GlobalBranchID, _ decision: Outcome, byHand: Bool = false) -> ServerReply {
        guard let prepared = content.prepared[id] else { return .undefinedObject }
        world.checker.willResolve(id, prepared.begin, decision, at: index, byHand: byHand)
        content.prepared[id] = nil
        content.walBytes += 32
        let request = prepared.begin.intent.requestID
        if prepared.role.contains(.payment) { content.heldKeys[request] = nil }
        if decision == .committed {
            content.witnesses[id.transaction] = prepared.role
            if prepared.role.contains(.payment) {
                content.rows[request] = Row(begin: prepared.begin, log: id.log, insertedAt: prepared.preparedAt)
            }
            if prepared.role.contains(.merchantEntry) { content.entries[id.transaction] = prepared.begin.intent.amount }
        }
        let how = decision == .committed ? "committed" : "rolled back"
        world.note(
            id.transaction, 30 + Int(index.rawValue), "\(index) has \(how) the branch\(byHand ? ", by hand" : "")")
        if prepared.role.contains(.payment) { wake(request) }
        return .done
    }

    func whereabouts(_ id: GlobalBranchID) -> ServerReply {
        .whereabouts(isListed: content.prepared[id] != nil, hasWitness: content.witnesses[id.transaction] != nil)
    }

    func rows(holding begin: BeginRecord) -> ServerReply {
        let own = content.rows.values.first { $0.transaction == begin.transaction }
        return .rows([content.rows[begin.intent.requestID], own].compactMap(\.self))
    }

    // MARK: - Looks

    func listPrepared() -> [PreparedTransaction] {
        let ours = content.prepared.map { id, prepared in
            PreparedTransaction(
                gid: id.description, owner: "holdfast", databaseName: "payments", preparedAt: prepared.preparedAt)
        }
        let others = content.strangers.map { gid, at in
            PreparedTransaction(gid: gid, owner: "somebody", databaseName: "payments", preparedAt: at)
        }
        return (ours + others).sorted { $0.gid < $1.gid }
    }

    func witnessed(among transactions: [TransactionID]) -> Set<TransactionID> {
        Set(transactions.filter { content.witnesses[$0] != nil })
    }

    func hasRow(of transaction: TransactionID) -> Bool { content.witnesses[transaction] != nil }

    /// The transaction whose row has a request_id.
    func maker(of request: RequestID) -> TransactionID? { content.rows[request]?.transaction }

    func paymentRows(of log: LogID, since epoch: Epoch) -> [WitnessRow] {
        content.rows.values.filter { $0.log == log && $0.begin.epoch >= epoch }
            .map { WitnessRow(transaction: $0.transaction, epoch: $0.begin.epoch, intent: $0.intent) }
            .sorted { $0.transaction < $1.transaction }
    }

    /// The newest rows of a log's payments.
    func newestRows(of log: LogID, within window: Milliseconds) -> [WitnessRow] {
        let oldest = world.wall.microseconds - window.count * 1000
        let recent = content.rows.values.filter { $0.log == log && $0.insertedAt.microseconds >= oldest }
            .sorted { ($0.insertedAt, $0.transaction) > ($1.insertedAt, $1.transaction) }
        return recent.prefix(64).map {
            WitnessRow(transaction: $0.transaction, epoch: $0.begin.epoch, intent: $0.intent)
        }
    }

    var position: DatabasePosition { DatabasePosition(timeline: content.timeline, walBytes: content.walBytes) }

    // MARK: - Fences

    func fence(of log: LogID) -> FenceJudgement.Row? { content.fences[log] }

    /// A compare-and-set.
    func swapFence(_ seen: FencePair?, to pair: FencePair, log: LogID, database: DatabaseIndex) {
        guard content.fences[log]?.pair == seen else { return }
        content.fences[log] = FenceJudgement.Row(pair: pair, database: database)
        content.walBytes += 16
    }

    /// The INSERT of the message about a database that was restored behind its first fence: fails if there is a row.
    func insertFence(_ row: FenceJudgement.Row, of log: LogID) {
        guard isUp, content.fences[log] == nil else { return }
        content.fences[log] = row
        content.walBytes += 16
    }

    // MARK: - Damage

    func crash() {
        guard isUp else { return }
        isUp = false
        world.note(nil, 40 + Int(index.rawValue), "\(index) crashes")
        for pid in backends.keys.sorted() {
            if let backend = backends[pid] { end(backend) }
        }
        if world.control == .forgetfulDatabase { (content.prepared, content.heldKeys) = ([:], [:]) }
    }

    func start() {
        guard !isUp else { return }
        isUp = true
        world.note(nil, 50 + Int(index.rawValue), "\(index) is back")
    }

    func heal() { start() }

    func addStranger(_ gid: String) { content.strangers[gid] = world.wall }

    func removeStranger(_ gid: String) { content.strangers[gid] = nil }

    /// Puts an earlier content in the place of this one, as a restoration from a copy or a failover to a lagging replica does.
    func restore(_ earlier: Content, isFailover: Bool) {
        crash()
        content = earlier
        if isFailover { content.timeline += 1 }
        world.note(nil, 60 + Int(index.rawValue), "\(index) is restored to an earlier state")
        start()
    }
}
