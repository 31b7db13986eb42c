import Coordinator
import Payments

/// The card network: a book of transactions that it is told of one at a time, in whatever order messages arrive.
final class CardNetwork {
    enum State: Sendable { case held, settled, released, declined, tombstone }

    struct Entry: Sendable {
        var state: State
        /// Zero as long as no hold was asked for.
        var amount: Int64 = 0
        /// Whether it was ever held.
        var wasHeld = false
        /// Whether it gave the hold back by itself.
        var hasExpired = false
        var prepares = 0
        var commits = 0
        var aborts = 0
        /// How often it refuses to undo before it does; `Int.max` for never.
        var refusalsLeft = 0
    }

    enum Reply {
        case placed(String)
        case declined(String)
        case error
        case settled
        case released
        case status(ClearingStatus)
    }

    unowned let world: World
    private(set) var book: [TransactionID: Entry] = [:]
    private(set) var isOut = false
    private var underWay = 0

    init(_ world: World) { self.world = world }

    var isIdle: Bool { underWay == 0 }

    /// Something is on its way to the network.
    func expect() { underWay += 1 }
    func arrived() { underWay -= 1 }

    func heal() { isOut = false }

    func setOutage(_ isOut: Bool) {
        self.isOut = isOut
        world.note(nil, isOut ? 80 : 81, isOut ? "the network is out" : "the network is back")
    }

    /// Whether it has to do with a transaction at all.
    func entry(_ transaction: TransactionID) -> Entry? { book[transaction] }

    /// - Parameter isRepeat: whether the client says that it has asked before: it may be told that this is a duplicate.
    func prepare(_ order: PrepareOrder, isRepeat: Bool) -> Reply {
        let transaction = order.begin.transaction
        world.checker.holdArrives(order)
        if world.strikes(.clearingErrors, atMost: 0.15), world.servers.chance(0.6) { return .error }
        var entry = book[transaction] ?? Entry(state: .held)
        let isNew = book[transaction] == nil
        entry.prepares += 1
        defer { book[transaction] = entry }
        guard isNew else {
            switch entry.state {
            case .held where isRepeat && world.strikes(.clearingDeclines, atMost: 0.3): return .declined("duplicate")
            case .held, .settled: return .placed("A\(transaction.low % 1_000_000)")
            case .released: return .declined("released")
            case .declined: return .declined("do not honor")
            case .tombstone: return .declined("aborted")
            }
        }
        entry.amount = order.begin.intent.amount.minorUnits
        if world.strikes(.clearingDeclines, atMost: 0.3) {
            entry.state = .declined
            world.note(transaction, 1, "the network declines the hold")
            return .declined("do not honor")
        }
        entry.wasHeld = true
        if world.strikes(.refusedReversals, atMost: 0.4) {
            entry.refusalsLeft = world.servers.chance(0.4) ? .max : world.servers.between(1, 4)
        }
        world.note(transaction, 2, "the network places the hold")
        if world.strikes(.expiringHolds, atMost: 0.15) {
            world.after(.milliseconds(world.servers.between(1, 30_000))) { [self] in expire(transaction) }
        }
        if world.strikes(.clearingErrors, atMost: 0.05) { return .error }
        return .placed("A\(transaction.low % 1_000_000)")
    }

    private func expire(_ transaction: TransactionID) {
        guard var entry = book[transaction], entry.state == .held else { return }
        entry.state = .released
        entry.hasExpired = true
        book[transaction] = entry
        world.note(transaction, 3, "the hold expires")
        world.checker.holdExpired(transaction)
    }

    func confirm(_ transaction: TransactionID) -> Reply {
        world.checker.confirmArrives(transaction)
        if world.strikes(.clearingErrors, atMost: 0.15), world.servers.chance(0.6) { return .error }
        var entry = book[transaction] ?? Entry(state: .declined)
        entry.commits += 1
        defer { book[transaction] = entry }
        switch entry.state {
        case .held:
            entry.state = .settled
            world.note(transaction, 4, "the network confirms")
        case .settled: break
        case .released: return .declined("released")
        case .declined: return .declined("do not honor")
        case .tombstone: return .declined("aborted")
        }
        return world.strikes(.clearingErrors, atMost: 0.1) ? .error : .settled
    }

    func reverse(_ transaction: TransactionID) -> Reply {
        world.checker.reversalArrives(transaction)
        if world.strikes(.clearingErrors, atMost: 0.15), world.servers.chance(0.6) { return .error }
        var entry = book[transaction] ?? Entry(state: .tombstone)
        entry.aborts += 1
        defer { book[transaction] = entry }
        switch entry.state {
        case .held:
            guard entry.refusalsLeft == 0 else {
                if entry.refusalsLeft != .max { entry.refusalsLeft -= 1 }
                return .declined("not now")
            }
            entry.state = .released
            world.note(transaction, 5, "the network releases the hold")
        case .settled: return .declined("already settled")
        case .released, .declined: break
        case .tombstone: world.note(transaction, 6, "the network notes the abort of what it has not seen")
        }
        return world.strikes(.clearingErrors, atMost: 0.1) ? .error : .released
    }

    func status(_ transaction: TransactionID) -> Reply {
        let status: ClearingStatus =
            switch book[transaction]?.state {
            case nil: .unknown
            case .held: .held
            case .settled: .settled
            case .released: .released
            case .declined: .declined
            case .tombstone: .tombstone
            }
        return .status(status)
    }

    /// The network agrees at last to undo.
    func relent() {
        for transaction in book.keys.sorted() where book[transaction]?.refusalsLeft != 0 {
            book[transaction]?.refusalsLeft = 0
        }
    }
}
