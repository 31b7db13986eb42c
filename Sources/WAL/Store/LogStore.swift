import Coordinator
import Payments

/// An environment with its named databases: what the writer and the readers share. It says what a log's content means;
/// when things are written and by whom is the writer's affair.
struct LogStore: Sendable {
    let environment: Environment
    let meta: Database
    let records: Database
    let active: Database
    let requests: Database
    let reversals: Database
    let quarantine: Database

    var databases: [Database] { [meta, records, active, requests, reversals, quarantine] }

    init(_ environment: Environment, in reading: Reading, creating: Bool) throws(LMDBFailure) {
        self.environment = environment
        meta = try reading.open("meta", creating: creating)
        records = try reading.open("records", creating: creating)
        active = try reading.open("active", creating: creating)
        requests = try reading.open("requests", creating: creating)
        reversals = try reading.open("reversals", creating: creating)
        quarantine = try reading.open("quarantine", creating: creating)
    }

    /// Bytes of the file that hold something.
    func bytesInUse(in reading: Reading) throws(LMDBFailure) -> Int {
        try reading.pagesInUse(databases) * environment.pageBytes
    }
}

/// A value that failed its checks, and where it was found.
struct DamagedPlace: Sendable, Hashable {
    let database: Database
    let key: [UInt8]
    let reason: String
}

/// What a batch of steps knows and leaves behind.
struct StepContext {
    /// One reading of the clock for the whole batch.
    let now: WallTime
    let memory: StepMemory
    var nextLSN: LSN
    /// Whether there is anything to commit.
    var hasWritten = false
    /// Whether `meta` holds `nextLSN` as it is.
    var hasAdvanced = false
    var quarantined = 0
    /// The latest time of what was trimmed.
    var trimmedUntil: WallTime?
    /// Transactions whose state was set aside in this batch.
    var quarantinedTransactions: [TransactionID] = []

    /// - Parameter memory: of one batch at a time; what an earlier context left in it unwritten is given up.
    init(now: WallTime, nextLSN: LSN, memory: StepMemory = StepMemory()) {
        self.now = now
        self.nextLSN = nextLSN
        self.memory = memory
        memory.beginBatch()
    }

    /// The state of a transaction from this step on. Of the steps of one batch the last state is written, with
    /// ``LogStore/writeStates(_:_:)``.
    @discardableResult
    mutating func put(_ state: ActiveTransaction) -> OpenTransaction {
        hasWritten = true
        return memory.put(state)
    }

    /// Likewise, of one that was loaded.
    mutating func change(_ open: OpenTransaction, _ change: (inout ActiveTransaction) -> Void) {
        hasWritten = true
        memory.change(open, change)
    }

    /// The transaction is no longer active.
    mutating func end(_ open: OpenTransaction) {
        hasWritten = true
        memory.end(open)
    }
}

extension LogStore {
    /// Adds a record at the head.
    func append(
        _ record: LogRecord, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> LSN {
        let lsn = context.nextLSN
        RecordCodec.encode(record, lsn: lsn, writtenAt: context.now, into: &context.memory.writer)
        try txn.put(records, RecordKey(lsn), context.memory.writer.written, isNewest: true)
        context.nextLSN = lsn.next
        context.hasWritten = true
        context.hasAdvanced = true
        return lsn
    }

    /// Writes what the steps made of `active`: before the commit, and before that tree is read by anything but ``loadActive(_:_:_:)``.
    func writeStates(
        _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) {
        try context.memory.writeChanges { transaction, bytes throws(LMDBFailure) in
            try txn.put(active, TransactionKey(transaction), bytes)
        } delete: { transaction throws(LMDBFailure) in
            try txn.delete(active, TransactionKey(transaction))
        }
    }

    /// An unfinished transaction; `nil` if it is not active. A damaged one is set aside.
    func loadActive(
        _ transaction: TransactionID, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> OpenTransaction? {
        let known: OpenTransaction?
        switch context.memory.find(transaction) {
        case .changed(let open): return open
        case .ended: return nil
        case .unchanged(let open): known = open
        }
        guard let bytes = try txn.reading.get(active, TransactionKey(transaction)) else { return nil }
        if let known, known.isState(storedAs: bytes) { return known }
        do throws(ValueFault) {
            return context.memory.note(try StateCodec.decodeActive(bytes, of: transaction), storedAs: bytes)
        } catch {
            try setAside(active, Keys.transaction(transaction), reason: error.description, txn, &context)
            return nil
        }
    }

    /// An open reversal; a damaged one is set aside.
    func loadReversal(
        _ transaction: TransactionID, _ txn: borrowing WriteTransaction, _ context: inout StepContext
    ) throws(LMDBFailure) -> ReversalTask? {
        let key = Keys.transaction(transaction)
        guard let bytes = try txn.reading.get(reversals, key) else { return nil }
        do throws(ValueFault) {
            return try StateCodec.decodeReversal(bytes, of: transaction)
        } catch {
            try setAside(reversals, key, reason: error.description, txn, &context)
            return nil
        }
    }

    /// Moves a value as it is to the quarantine, with the reason.
    func setAside(
        _ database: Database, _ key: [UInt8], reason: String, _ txn: borrowing WriteTransaction,
        _ context: inout StepContext
    ) throws(LMDBFailure) {
        guard let bytes = try txn.reading.get(database, key) else { return }
        let value = QuarantinedValue(
            database: database.name, key: key, bytes: Array(bytes), reason: clip(reason, LogLimits.reasonBytesMax),
            foundAt: context.now)
        let last = try txn.reading.lastKey(quarantine)
        let number = last.flatMap { $0.withUnsafeBytes { Keys.lsn(from: $0)?.rawValue } } ?? 0
        try txn.put(quarantine, Keys.record(LSN(rawValue: number + 1)), MetaCodec.encode(value))
        try txn.delete(database, key)
        context.hasWritten = true
        context.quarantined += 1
        if database == active || database == reversals,
            let transaction = key.withUnsafeBytes({ Keys.transaction(from: $0) })
        {
            context.quarantinedTransactions.append(transaction)
        }
    }
}
