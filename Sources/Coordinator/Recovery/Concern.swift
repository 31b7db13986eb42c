/// Something that a running server could not finish, and that somebody has to know of.
public struct Concern: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// Transactions that wait for an operator.
        case parked
        /// Decided transactions whose delivery is not proven after ``Concern/deliveryAgeMax``.
        case undelivered
        /// Reversals that the network has not acknowledged after ``Concern/reversalAgeMax``.
        case reversalsOpen
        /// Reversals that the network refused too often: they wait for an operator.
        case reversalsParked
        /// Reversals of payments that a database committed all the same.
        case reversalsHeld
        /// Prepared branches of this log without a record.
        case orphans
        /// A database that cannot be used: its branches stay as they are.
        case databaseAway(DatabaseIndex)
        /// This machine's clock was set, or is before what the log's records say: times are not to be believed.
        case clockSet
        /// The clock of a database and ours are far apart, likewise.
        case clockDiffers(DatabaseIndex)
        /// The log has lost its tail, and not everything in it is decided.
        case tailLost
        /// Values of the log that could not be read.
        case quarantined
    }

    /// The age from which a delivery is late.
    public static let deliveryAgeMax = Milliseconds.seconds(30)
    /// The age from which an open reversal is late.
    public static let reversalAgeMax = Milliseconds.seconds(60)

    public let kind: Kind
    /// How many there are.
    public let count: Int
    /// The time of the oldest, where it is known.
    public let since: WallTime?
    /// What else is to be told of it.
    public let detail: String?

    public init(_ kind: Kind, count: Int = 1, since: WallTime? = nil, detail: String? = nil) {
        self.kind = kind
        self.count = count
        self.since = since
        self.detail = detail
    }

    /// What a plan shows beside a running server.
    ///
    /// - Parameters:
    ///   - quarantined: values of the log that were set aside.
    ///   - now: for ages; they are for people, nothing is decided by them.
    public static func all(in plan: RecoveryPlan, quarantined: Int, now: WallTime) -> [Concern] {
        // What seems to come from the future was written before somebody set the clock back, and may be old.
        func late(_ time: WallTime, _ limit: Milliseconds) -> Bool {
            now.microseconds(since: time).magnitude > UInt64(limit.count) * 1000
        }
        let delivering = plan.transactions.filter { verdict in
            switch verdict.transaction.decision {
            case .undecided: false
            case .commit(let record): late(record.writtenAt, deliveryAgeMax)
            case .abort(let record): late(record.writtenAt, deliveryAgeMax)
            }
        }
        let groups: [(Kind, [WallTime])] = [
            (.parked, plan.transactions.flatMap { $0.transaction.parkings.prefix(1) }.map(\.writtenAt)),
            (.undelivered, delivering.filter { !$0.transaction.isParked }.map(\.transaction.begin.writtenAt)),
            (
                .reversalsOpen,
                plan.reversals.filter { $0.parkedReason == nil && late($0.createdAt, reversalAgeMax) }.map(\.createdAt)
            ),
            (.reversalsParked, plan.reversals.filter { $0.parkedReason != nil }.map(\.createdAt)),
            (.reversalsHeld, plan.heldReversals.map(\.createdAt)),
            (.orphans, plan.strays.filter { $0.verdict == .orphan }.map(\.prepared.preparedAt)),
        ]
        return groups.filter { !$0.1.isEmpty }.map { Concern($0.0, count: $0.1.count, since: $0.1.min()) }
            + plan.unreachable.keys.sorted().map { Concern(.databaseAway($0)) }
            + (plan.continuity.isBroken ? [Concern(.tailLost)] : [])
            + (quarantined > 0 ? [Concern(.quarantined, count: quarantined)] : [])
    }
}

/// When a concern is told again: at once when it is new or has grown, then at growing intervals, and once more when it is over.
public struct AlarmSchedule: Sendable {
    /// Between the first alarm and the second, and the longest interval.
    public static let intervals = Backoff(base: .seconds(10), ceiling: .seconds(3600))

    private struct Entry: Sendable {
        var count: Int
        var alarms: Int
        var next: MonotonicTime
    }

    private var entries: [Concern.Kind: Entry] = [:]

    public init() {}

    /// - Parameter concerns: all that there are now.
    /// - Returns: those that are to be told, and those that are over.
    public mutating func update(
        _ concerns: [Concern], at now: MonotonicTime
    ) -> (alarms: [Concern], over: [Concern.Kind]) {
        var alarms: [Concern] = []
        for concern in concerns {
            let known = entries[concern.kind]
            let hasGrown = concern.count > known?.count ?? 0
            var entry = known ?? Entry(count: 0, alarms: 0, next: now)
            if hasGrown || now >= entry.next {
                // What grows is news, but no reason to begin again with short intervals.
                entry.alarms += 1
                entry.next = now + Self.intervals.delay(afterAttempt: entry.alarms)
                alarms.append(concern)
            }
            entry.count = concern.count
            entries[concern.kind] = entry
        }
        let present = Set(concerns.map(\.kind))
        let over = entries.keys.filter { !present.contains($0) }
        for kind in over { entries[kind] = nil }
        return (alarms, over)
    }
}

extension Concern.Kind: CustomStringConvertible {
    public var description: String {
        switch self {
        case .parked: "transactions wait for an operator; see recover list and recover resolve"
        case .undelivered: "decided transactions are not carried out everywhere yet"
        case .reversalsOpen: "reversals are not acknowledged by the network yet"
        case .reversalsParked: "reversals wait for an operator; see recover reversals list"
        case .reversalsHeld: "reversals are held back, because a database has committed the payment; see recover list"
        case .orphans: "prepared transactions of this log have no record; see recover orphans list"
        case .databaseAway(let index): "\(index) cannot be reached, and what is prepared there stays"
        case .clockSet: "the clock of this machine was set"
        case .clockDiffers(let index): "\(index): its clock and ours are far apart"
        case .tailLost: "the log has lost its tail and is being reconciled; see recover --dry-run"
        case .quarantined: "values of the log could not be read; see recover quarantine list"
        }
    }
}
