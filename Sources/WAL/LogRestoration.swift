public import Coordinator
import Glibc

/// Makes a state directory out of a backup, or out of nothing but a lost log's name. What comes of it is marked as broken before it is
/// in its place: nobody can start on it and presume.
public enum LogRestoration {
    /// What was made.
    public struct Made: Sendable, Hashable {
        public let log: LogID
        /// The epoch before that of the first start.
        public let epoch: Epoch
        public let loss: LogBreak
        /// What the copy holds unfinished.
        public let active: Int
        public let reversals: Int
    }

    /// Copies a backup, or any copy of a state directory that nobody writes to, into a directory without a log.
    ///
    /// - Parameters:
    ///   - backup: the directory of the copy; it is not changed.
    ///   - directory: locked by this process; the log in it must not exist.
    ///   - incarnation: random, drawn for this restoration.
    ///   - known: an epoch that the log is known to have reached since, if any.
    /// - Throws: ``LogError`` with `.exists` if a log is there, `.missing`, `.damaged`, or what the system said.
    public static func restore(
        from backup: String, into directory: StateDirectory, incarnation: Incarnation, beyond known: Epoch? = nil,
        now: WallTime
    ) throws(LogError) -> Made {
        try refuseLog(in: directory.path)
        let reader = try LogReader(path: backup)
        let snapshot = try reader.snapshot()
        let staging = try Staging(in: directory.path, named: Staging.restoring)
        try staging.copy(backup + "/" + Environment.dataFileName)
        // A backup is marked when it is made; what a second one lost began no earlier than what the first one did.
        var first = snapshot.owner.epoch
        if case .broken(let former) = snapshot.continuity { first = min(first, former.firstLostEpoch) }
        let loss = LogBreak(cause: .restored, firstLostEpoch: first, at: now)
        let owner = FencePair(
            epoch: epoch(after: max(snapshot.owner.epoch, known ?? snapshot.owner.epoch), now), incarnation: incarnation
        )
        try staging.write { store, txn, context throws(LMDBFailure) in
            for fence in snapshot.fences {
                try store.put(
                    DatabaseFence(
                        database: fence.database, identity: fence.identity, confirmed: fence.confirmed,
                        former: fence.former, position: fence.position, takesOver: true), txn)
            }
            try store.breakLog(loss, owner: owner, nextLSN: snapshot.nextLSN, txn, &context)
        }
        try staging.moveIntoPlace()
        return Made(
            log: snapshot.log, epoch: owner.epoch, loss: loss, active: snapshot.active.count,
            reversals: snapshot.reversals.count)
    }

    /// Makes a log anew under the name of one that is lost.
    ///
    /// - Parameters:
    ///   - databases: how many the lost one had; part of where payments live.
    ///   - known: an epoch that the lost one is known to have reached, if any.
    public static func remake(
        _ log: LogID, databases: Int, into directory: StateDirectory, incarnation: Incarnation,
        beyond known: Epoch? = nil,
        now: WallTime
    ) throws(LogError) -> Made {
        try refuseLog(in: directory.path)
        let staging = try Staging(in: directory.path, named: Staging.restoring)
        let loss = LogBreak(cause: .lost, firstLostEpoch: Epoch(rawValue: 0), at: now)
        let owner = FencePair(epoch: epoch(after: known ?? Epoch(rawValue: 0), now), incarnation: incarnation)
        try staging.write { store, txn, context throws(LMDBFailure) in
            try txn.put(store.meta, Keys.format, MetaCodec.encodeFormat(LogFormat.current))
            try txn.put(store.meta, Keys.log, MetaCodec.encode(log))
            for number in 1...databases {
                try store.put(DatabaseFence(database: DatabaseIndex(rawValue: UInt8(number)), takesOver: true), txn)
            }
            try store.breakLog(loss, owner: owner, nextLSN: LSN(rawValue: 1), txn, &context)
        }
        try staging.moveIntoPlace()
        return Made(log: log, epoch: owner.epoch, loss: loss, active: 0, reversals: 0)
    }

    /// Marks a copy that was just made as one: nobody works on it, by whatever way it got into its place, before it is restored.
    ///
    /// - Parameter path: a directory with a copy that nobody has open.
    static func markCopy(in path: String, now: WallTime) throws(LogError) {
        let environment = try Environment(directory: path, access: .owner(mapBytes: Staging.mapBytes))
        do {
            let txn = try WriteTransaction(environment)
            let store = try LogStore(environment, in: txn.reading, creating: false)
            guard try store.readContinuity(in: txn.reading) == .unbroken else { return }
            let epoch = try store.readOwner(in: txn.reading).epoch
            let loss = LogBreak(cause: .copied, firstLostEpoch: epoch, at: now)
            try txn.put(store.meta, Keys.continuity, MetaCodec.encode(loss))
            try txn.commit()
        } catch {
            throw LogStore.readFailure(error)
        }
    }

    /// Starts are counted, so the seconds since 1970 are beyond every epoch that the lost tail may have reached, and a later
    /// restoration is beyond an earlier one; unless the clock is wrong, which the fences then tell.
    private static func epoch(after known: Epoch, _ now: WallTime) -> Epoch {
        Epoch(rawValue: max(known.rawValue + 1, UInt64(max(0, now.microseconds / 1_000_000))))
    }

    private static func refuseLog(in path: String) throws(LogError) {
        guard !FileSystem.exists(path + "/" + Environment.dataFileName) else {
            throw LogError(
                .exists,
                "there is a log in \(path), and a log is never written over. Move that directory away first: it may hold what "
                    + "the other one lacks.")
        }
    }
}

extension LogStore {
    fileprivate func put(_ fence: DatabaseFence, _ txn: borrowing WriteTransaction) throws(LMDBFailure) {
        try txn.put(meta, Keys.fence(fence.database), MetaCodec.encode(fence))
    }

    /// Says in the log that its tail is lost, and puts it beyond every epoch of that tail.
    fileprivate func breakLog(
        _ loss: LogBreak, owner: FencePair, nextLSN: LSN, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) {
        context = StepContext(now: loss.at, nextLSN: nextLSN)
        _ = try append(.broken(loss), txn, &context)
        try txn.put(meta, Keys.nextLSN, MetaCodec.encodeNext(context.nextLSN))
        try txn.put(meta, Keys.owner, MetaCodec.encode(owner))
        try txn.put(meta, Keys.continuity, MetaCodec.encode(loss))
    }
}
