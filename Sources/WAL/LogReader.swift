public import Coordinator
import Glibc
public import Payments
import Synchronization

/// A log opened for reading, beside a running server or without one. It takes no lock of the directory's, raises no
/// epoch and writes nothing; LMDB notes in its lock file that somebody reads.
///
/// Without a running server it may see a commit whose sync was cut off; a server makes sure of it before it acts on it.
public final class LogReader: Sendable {
    public let path: String
    /// One reading at a time: a larger map can only be taken over between two of them.
    private let store: Mutex<LogStore>

    /// - Parameter path: the state directory.
    /// - Throws: ``LogError`` with `.missing`, `.newerFormat`, `.notALog` or what the system said.
    public convenience init(path: String) throws(LogError) { try self.init(path: path, .reader) }

    /// A reader for the holder of a directory's lock, who answers by what is read and cannot open the log for writing. What an
    /// earlier process wrote is made durable before; nothing is written, so a full disk is no obstacle.
    public convenience init(holding directory: StateDirectory) throws(LogError) {
        guard directory.isHeld else {
            throw LogError(.closed, "the lock of \(directory.path) was released. Take it again before reading the log.")
        }
        try FileSystem.settle(directory.path + "/" + Environment.dataFileName)
        try self.init(path: directory.path, .soleReader)
    }

    private init(path: String, _ access: Environment.Access) throws(LogError) {
        self.path = path
        guard FileSystem.exists(path + "/" + Environment.dataFileName) else {
            throw LogError(
                .missing, "there is no log in \(path). Check the path of the state directory.", systemCode: ENOENT)
        }
        // LMDB would want to make a log of it.
        guard FileSystem.size(of: path + "/" + Environment.dataFileName) != 0 else { throw Self.notALog(path, nil) }
        let environment = try Environment(directory: path, access: access)
        let store: LogStore
        do throws(LMDBFailure) {
            store = try ReadTransaction.openDatabases(environment) { reading throws(LMDBFailure) in
                try LogStore(environment, in: reading, creating: false)
            }
        } catch {
            guard error.isMissing else { throw LogError(error, doing: "cannot read the log in \(path)") }
            throw Self.notALog(path, error.code)
        }
        self.store = Mutex(store)
        try read { store, reading throws(LogError) in try store.checkFormat(in: reading) }
    }

    private static func notALog(_ path: String, _ code: Int32?) -> LogError {
        LogError(
            .notALog, "the file in \(path) is not a log of this program, or was never finished. Check the path.",
            systemCode: code)
    }

    /// A reader in the process of the owner, on the environment that the owner has open: for tests.
    init(beside store: LogStore, path: String) {
        self.path = path
        self.store = Mutex(store)
    }

    /// Whether there is a log in a directory, or what looks like one.
    public static func isThere(in path: String) -> Bool {
        FileSystem.exists(path + "/" + Environment.dataFileName)
    }

    /// Everything unfinished. Values that cannot be read are counted in `quarantined` and left where they are.
    public func snapshot() throws(LogError) -> LogSnapshot {
        try read { store, reading throws(LogError) in try store.readSnapshot(in: reading).0 }
    }

    /// What is known of a request_id; `nil` if nothing is, or no more.
    public func lookUp(_ request: RequestID) throws(LogError) -> RequestEntry? {
        try read { store, reading throws(LogError) in try store.lookUp(request, in: reading) }
    }

    /// Every record of a transaction that is still in the history, oldest first. Records that cannot be read are passed over
    /// (``verify()`` lists them).
    public func history(of transaction: TransactionID) throws(LogError) -> [LoggedRecord] {
        try HistorySearch(for: [transaction], in: self).found[transaction] ?? []
    }

    /// Calls `body` with each record from `first` on, in their order, until it answers false. The picture is renewed
    /// every ``LogLimits/scanBatchRecords`` records, and `body` runs between pictures, so it may take its time.
    ///
    /// - Returns: how many records could not be read.
    @discardableResult
    public func forEachRecord(
        from first: LSN = LSN(rawValue: 1), _ body: (LoggedRecord) throws -> Bool
    ) throws -> Int {
        var damaged = 0
        var next: LSN? = first
        while let first = next {
            let batch = try batch(from: first)
            damaged += batch.damaged.count
            for record in batch.records where try !body(record) { return damaged }
            next = batch.next
        }
        return damaged
    }

    /// The next stretch of the history; `nil` for `first` ends a scan.
    private func batch(from first: LSN) throws(LogError) -> RecordBatch {
        try read { store, reading throws(LogError) in
            try store.readRecords(from: first, limit: LogLimits.scanBatchRecords, in: reading)
        }
    }

    /// Runs `body` on a picture of now.
    func read<Result>(_ body: (LogStore, Reading) throws(LogError) -> Result) throws(LogError) -> Result {
        try store.withLock { store throws(LogError) -> Result in
            let transaction: ReadTransaction
            do throws(LMDBFailure) {
                transaction = try Self.begin(store.environment)
            } catch {
                throw LogError(error, doing: "cannot read the log in \(path)")
            }
            return try body(store, transaction.reading)
        }
    }

    private static func begin(_ environment: Environment) throws(LMDBFailure) -> ReadTransaction {
        do throws(LMDBFailure) {
            return try ReadTransaction(environment)
        } catch {
            // The owner was started with a larger map since.
            guard error.isMapResized else { throw error }
            try environment.adoptMapSize()
            return try ReadTransaction(environment)
        }
    }
}

extension LogReader {
    /// When the newest record was written; `nil` if there is none or it cannot be read.
    public func newestTime() throws(LogError) -> WallTime? {
        try read { store, reading throws(LogError) in
            do throws(LMDBFailure) {
                return try store.newestTime(in: reading)
            } catch {
                throw LogError(error, doing: "cannot read the log")
            }
        }
    }
}
