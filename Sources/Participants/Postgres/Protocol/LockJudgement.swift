/// Puts prepared transactions, locks and waiting sessions together.
struct LockJudgement {
    /// A row of ``LockStatements/locks``.
    private struct Lock {
        let pid: Int32?
        let holder: String
        let mode: String
        let isGranted: Bool
        /// What is locked.
        let object: String
        /// The transaction's number, for the lock on it.
        let transaction: String?
        let relation: String?

        init?(_ row: [String?]) {
            guard row.count == 7, let holder = row[1], let mode = row[2], let object = row[4] else { return nil }
            pid = row[0].flatMap { Int32($0) }
            self.holder = holder
            self.mode = mode
            isGranted = row[3] == "true"
            self.object = object
            transaction = row[5]
            relation = row[6]
        }
    }

    /// By the virtual transaction.
    private var held: [String: [Lock]] = [:]
    /// The virtual transaction of a prepared one, by its number.
    private var holders: [String: String] = [:]
    private var waitingFor: [String: [Lock]] = [:]
    /// The sessions behind a session.
    private var behind: [Int32: Set<Int32>] = [:]

    /// - Parameters:
    ///   - locks: as ``LockStatements/locks`` gives them; `nil` is answered to rows that cannot be read.
    ///   - waiting: as ``LockStatements/waiting`` does.
    init?(locks rows: [[String?]], waiting: [[String?]]) {
        for row in rows {
            guard let lock = Lock(row) else { return nil }
            if lock.isGranted {
                held[lock.holder, default: []].append(lock)
                if let transaction = lock.transaction { holders[transaction] = lock.holder }
            } else {
                waitingFor[lock.object, default: []].append(lock)
            }
        }
        for row in waiting {
            guard row.count == 2, let pid = row[0].flatMap({ Int32($0) }), let blocker = row[1].flatMap({ Int32($0) })
            else { return nil }
            behind[blocker, default: []].insert(pid)
        }
    }

    /// - Parameter row: as ``LockStatements/prepared`` gives it; `nil` if it cannot be read.
    func locks(ofPrepared row: [String?]) -> InDoubtLocks? {
        guard row.count == 4, let gid = row[0], let transaction = row[1], let age = row[2].flatMap({ Int($0) }),
            let holdsHorizon = row[3]
        else { return nil }
        let locks = holders[transaction].flatMap { held[$0] } ?? []
        return InDoubtLocks(
            gid: gid, blockedSessions: blocked(by: locks).count,
            lockedRelations: Set(locks.compactMap(\.relation)).sorted(), xidAge: age,
            holdsHorizon: holdsHorizon == "true")
    }

    private func blocked(by locks: [Lock]) -> Set<Int32> {
        var found: Set<Int32> = []
        var next: [Int32] = []
        for lock in locks {
            for waiter in waitingFor[lock.object] ?? [] where Self.conflict(lock.mode, waiter.mode) {
                if let pid = waiter.pid { next.append(pid) }
            }
        }
        while let pid = next.popLast() {
            if found.insert(pid).inserted { next += behind[pid] ?? [] }
        }
        return found
    }

    /// The table "Conflicting Lock Modes" of PostgreSQL's documentation (Explicit Locking), in the order of its columns; bit 0 is
    /// the first mode.
    private static let conflicts: [String: (place: Int, with: UInt8)] = [
        "AccessShareLock": (0, 0b1000_0000), "RowShareLock": (1, 0b1100_0000),
        "RowExclusiveLock": (2, 0b1111_0000), "ShareUpdateExclusiveLock": (3, 0b1111_1000),
        "ShareLock": (4, 0b1110_1100), "ShareRowExclusiveLock": (5, 0b1111_1100),
        "ExclusiveLock": (6, 0b1111_1110), "AccessExclusiveLock": (7, 0b1111_1111),
    ]

    static func conflict(_ one: String, _ other: String) -> Bool {
        // A mode that is not in the table (a predicate lock) blocks nobody.
        guard let one = conflicts[one], let other = conflicts[other] else { return false }
        return one.with & (1 << UInt8(other.place)) != 0
    }
}
