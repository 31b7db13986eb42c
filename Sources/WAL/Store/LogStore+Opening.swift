import Coordinator

/// What the owner knows of its log once it is open.
struct OwnedLog: Sendable {
    let store: LogStore
    let log: LogID
    let owner: FencePair
    let nextLSN: LSN
    /// Whether the log was made by this opening.
    let isNew: Bool
    /// Damaged values that were set aside in it.
    let quarantined: Int
    /// Bytes of the file that hold something.
    let bytesInUse: Int
    /// The time of the newest record of earlier starts; `nil` if there is none that can be read.
    let lastWrittenAt: WallTime?
    /// What the log remembers of its age.
    let age: LogAge
    /// Transactions whose state is in the quarantine: their history is kept for whoever looks into it.
    let quarantinedTransactions: Set<TransactionID>
}

extension LogStore {
    /// Makes a log that nobody has owned, if there is none: beside its place, because a file that was cut off while it was being made
    /// could not be told from a log that was damaged.
    ///
    /// - Returns: whether it was made.
    static func makeIfMissing(in path: String, _ log: LogID, mapBytes: Int) throws(LogError) -> Bool {
        guard !FileSystem.exists(path + "/" + Environment.dataFileName) else {
            Staging.tidy(in: path, named: Staging.creating)
            return false
        }
        let staging = try Staging(in: path, named: Staging.creating)
        try staging.write(mapBytes: mapBytes) { store, txn, context throws(LMDBFailure) in
            try txn.put(store.meta, Keys.format, MetaCodec.encodeFormat(LogFormat.current))
            try txn.put(store.meta, Keys.log, MetaCodec.encode(log))
            let nobody = FencePair(epoch: Epoch(rawValue: 0), incarnation: Incarnation(rawValue: 0))
            try txn.put(store.meta, Keys.owner, MetaCodec.encode(nobody))
            try txn.put(store.meta, Keys.nextLSN, MetaCodec.encodeNext(context.nextLSN))
        }
        try staging.moveIntoPlace()
        return true
    }

    /// Makes the log in a file without one, checks what is unfinished, and takes ownership: the next epoch, this
    /// incarnation, and a record that says so, all in one transaction that is durable when this returns.
    static func takeOver(
        _ environment: Environment, incarnation: Incarnation, newLogID: LogID, isMade: Bool, now: WallTime
    ) throws(LogError) -> OwnedLog {
        do {
            let txn = try WriteTransaction(environment)
            let store = try LogStore(environment, in: txn.reading, creating: true)
            let isNew = try txn.reading.get(store.meta, Keys.format) == nil
            if isNew {
                try store.refuseForeignContent(in: txn.reading)
                try txn.put(store.meta, Keys.log, MetaCodec.encode(newLogID))
            } else {
                try store.checkFormat(in: txn.reading)
            }
            // From here on values of this version may be written.
            try txn.put(store.meta, Keys.format, MetaCodec.encodeFormat(LogFormat.current))
            let log = try store.readLog(in: txn.reading)
            let epoch = isNew ? 0 : try store.readOwner(in: txn.reading).epoch.rawValue
            let owner = FencePair(epoch: Epoch(rawValue: epoch + 1), incarnation: incarnation)

            var context = StepContext(now: now, nextLSN: try store.readNext(in: txn.reading))
            let (lastWrittenAt, age) = (try store.newestTime(in: txn.reading), try store.readAge(in: txn.reading))
            try store.sweep(txn, &context)
            try txn.put(store.meta, Keys.owner, MetaCodec.encode(owner))
            _ = try store.append(.serverStarted(owner), txn, &context)
            try txn.put(store.meta, Keys.nextLSN, MetaCodec.encodeNext(context.nextLSN))
            let quarantined = try store.transactionsInQuarantine(in: txn.reading)
            let bytesInUse = try store.bytesInUse(in: txn.reading)
            try txn.commit()
            return OwnedLog(
                store: store, log: log, owner: owner, nextLSN: context.nextLSN, isNew: isNew || isMade,
                quarantined: context.quarantined, bytesInUse: bytesInUse, lastWrittenAt: lastWrittenAt, age: age,
                quarantinedTransactions: quarantined)
        } catch let failure as LMDBFailure {
            throw LogError(failure, doing: "cannot take the log in \(environment.directory) over")
        } catch {
            throw readFailure(error)
        }
    }

    /// A file with content and without our marker is somebody else's.
    private func refuseForeignContent(in reading: Reading) throws {
        for database in databases where try reading.entryCount(database) > 0 {
            throw LogError(
                .notALog,
                "the file has entries in \(database.name) but no format marker: it is not a log of this program. "
                    + "Check the path of the state directory.")
        }
    }

    /// Sets aside what is unfinished and cannot be read, so that it is counted, kept and shown instead of stopping the
    /// start.
    private func sweep(_ txn: borrowing WriteTransaction, _ context: inout StepContext) throws {
        for place in try readUnfinished(in: txn.reading).damaged {
            try setAside(place.database, place.key, reason: place.reason, txn, &context)
        }
    }

    private func transactionsInQuarantine(in reading: Reading) throws(LMDBFailure) -> Set<TransactionID> {
        var unreadable: [DamagedPlace] = []
        let values = try readAll(quarantine, in: reading, &unreadable) { _, value throws(ValueFault) in
            try MetaCodec.decodeQuarantined(value)
        }
        return Set(
            values.filter { $0.database == active.name || $0.database == reversals.name }
                .compactMap { value in value.key.withUnsafeBytes { Keys.transaction(from: $0) } })
    }
}
