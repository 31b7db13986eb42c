import CLMDB

/// A named database within the environment.
struct Database: Sendable, Hashable {
    let index: UInt32
    let name: String
}

/// A key as LMDB takes it: bytes that stay where they are for as long as a call takes.
protocol StoredKey {
    func withStoredBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result
}

extension [UInt8]: StoredKey {
    func withStoredBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { withUnsafeBytes(body) }
}

/// What a read transaction and a write transaction can both do. Never kept beyond the transaction.
struct Reading {
    fileprivate let handle: OpaquePointer

    /// Opens a named database. In a write transaction it is made if it is missing.
    func open(_ name: String, creating: Bool) throws(LMDBFailure) -> Database {
        var index: UInt32 = 0
        let flags = creating ? UInt32(MDB_CREATE) : 0
        try LMDBFailure.check(mdb_dbi_open(handle, name, flags, &index), "mdb_dbi_open")
        return Database(index: index, name: name)
    }

    /// The picture's number: that of the last commit in it.
    var transactionNumber: UInt64 { UInt64(mdb_txn_id(handle)) }

    /// The stored bytes; `nil` if there are none under `key`.
    ///
    /// "The memory pointed to by the returned values is owned by the database. [...] values returned from the database
    /// are valid only until a subsequent update operation, or the end of the transaction": decode or copy them at once.
    func get(_ database: Database, _ key: some StoredKey) throws(LMDBFailure) -> UnsafeRawBufferPointer? {
        var data = MDB_val()
        let code = key.withStoredBytes { bytes in
            var key = value(bytes)
            return mdb_get(handle, database.index, &key, &data)
        }
        if code == MDB_NOTFOUND { return nil }
        try LMDBFailure.check(code, "mdb_get")
        return UnsafeRawBufferPointer(start: data.mv_data, count: data.mv_size)
    }

    func entryCount(_ database: Database) throws(LMDBFailure) -> Int {
        try stat(database.index).ms_entries
    }

    /// Pages that hold something, the environment's own included. What is freed is not among them.
    func pagesInUse(_ databases: [Database]) throws(LMDBFailure) -> Int {
        // 0 and 1 are the list of free pages and the unnamed database, by the format of LMDB; two meta pages come
        // first.
        var pages = 2
        for index in [0, 1] + databases.map(\.index) {
            let stat = try stat(index)
            pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages
        }
        return pages
    }

    private func stat(_ index: UInt32) throws(LMDBFailure) -> MDB_stat {
        var stat = MDB_stat()
        try LMDBFailure.check(mdb_stat(handle, index, &stat), "mdb_stat")
        return stat
    }

    func cursor(_ database: Database) throws(LMDBFailure) -> Cursor {
        var cursor: OpaquePointer?
        try LMDBFailure.check(mdb_cursor_open(handle, database.index, &cursor), "mdb_cursor_open")
        guard let cursor else { preconditionFailure("mdb_cursor_open succeeded without a handle") }
        return Cursor(handle: cursor)
    }

    /// The greatest key; `nil` if the database is empty.
    func lastKey(_ database: Database) throws(LMDBFailure) -> [UInt8]? {
        let cursor = try cursor(database)
        return try cursor.last().map { Array($0.key) }
    }
}

/// Goes through a database in the order of its keys. Closed when it goes; it commits nothing.
///
/// Must go before its transaction does: "In a write-transaction [a cursor] can be closed before its transaction ends".
struct Cursor: ~Copyable {
    /// Valid until the transaction's next update or end.
    typealias Entry = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)

    fileprivate let handle: OpaquePointer

    fileprivate init(handle: OpaquePointer) { self.handle = handle }

    deinit { mdb_cursor_close(handle) }

    func next() throws(LMDBFailure) -> Entry? { try move([], MDB_NEXT) }
    func last() throws(LMDBFailure) -> Entry? { try move([], MDB_LAST) }
    /// The first entry whose key is not before `key`.
    func seek(_ key: [UInt8]) throws(LMDBFailure) -> Entry? { try move(key, MDB_SET_RANGE) }

    private func move(_ key: [UInt8], _ operation: MDB_cursor_op) throws(LMDBFailure) -> Entry? {
        var found = MDB_val()
        var data = MDB_val()
        let code = key.withUnsafeBytes { bytes in
            found = value(bytes)
            return mdb_cursor_get(handle, &found, &data, operation)
        }
        if code == MDB_NOTFOUND { return nil }
        try LMDBFailure.check(code, "mdb_cursor_get")
        return (
            UnsafeRawBufferPointer(start: found.mv_data, count: found.mv_size),
            UnsafeRawBufferPointer(start: data.mv_data, count: data.mv_size)
        )
    }
}

/// A write transaction: on one thread, in one synchronous scope. Aborted when it goes without ``commit()``.
struct WriteTransaction: ~Copyable {
    private let handle: OpaquePointer

    /// Waits for a writer in another process, which by the directory's lock there is not.
    init(_ environment: Environment) throws(LMDBFailure) {
        var handle: OpaquePointer?
        try LMDBFailure.check(mdb_txn_begin(environment.handle, nil, 0, &handle), "mdb_txn_begin")
        guard let handle else { preconditionFailure("mdb_txn_begin succeeded without a handle") }
        self.handle = handle
    }

    deinit { mdb_txn_abort(handle) }

    var reading: Reading { Reading(handle: handle) }

    /// - Parameter isNewest: the key is greater than every other in the database, which makes room by filling pages
    ///   wholly ("This option allows fast bulk loading when keys are already known to be in the correct order").
    func put(
        _ database: Database, _ key: some StoredKey, _ bytes: UnsafeRawBufferPointer, isNewest: Bool = false
    ) throws(LMDBFailure) {
        try LMDBFailure.check(store(database, key, bytes, isNewest ? UInt32(MDB_APPEND) : 0), "mdb_put")
    }

    func put(_ database: Database, _ key: some StoredKey, _ bytes: [UInt8]) throws(LMDBFailure) {
        try LMDBFailure.check(bytes.withUnsafeBytes { store(database, key, $0, 0) }, "mdb_put")
    }

    /// Puts a value in where nothing is.
    ///
    /// - Returns: whether it is there now; false if something else is, which was left as it is.
    func putNew(
        _ database: Database, _ key: some StoredKey, _ bytes: UnsafeRawBufferPointer
    ) throws(LMDBFailure) -> Bool {
        let code = store(database, key, bytes, UInt32(MDB_NOOVERWRITE))
        if code == MDB_KEYEXIST { return false }
        try LMDBFailure.check(code, "mdb_put")
        return true
    }

    private func store(
        _ database: Database, _ key: some StoredKey, _ bytes: UnsafeRawBufferPointer, _ flags: UInt32
    ) -> Int32 {
        key.withStoredBytes { keyBytes in
            precondition(!keyBytes.isEmpty && keyBytes.count <= 511, "a key of LMDB has 1 to 511 bytes")
            var key = value(keyBytes)
            var data = value(bytes)
            return mdb_put(handle, database.index, &key, &data, flags)
        }
    }

    /// - Returns: whether there was something to delete.
    @discardableResult
    func delete(_ database: Database, _ key: some StoredKey) throws(LMDBFailure) -> Bool {
        let code = key.withStoredBytes { bytes in
            var key = value(bytes)
            return mdb_del(handle, database.index, &key, nil)
        }
        if code == MDB_NOTFOUND { return false }
        try LMDBFailure.check(code, "mdb_del")
        return true
    }

    /// Writes and syncs. With an error other than a full map or transaction, which are found before the first write to
    /// the file, nobody knows what is on the disk.
    consuming func commit() throws(LMDBFailure) {
        let handle = handle
        // "The transaction handle is freed", whether the commit succeeds or not.
        discard self
        try LMDBFailure.check(mdb_txn_commit(handle), "mdb_txn_commit")
    }
}

/// A read transaction: a picture of one moment. Freed when it goes.
///
/// Not Sendable. With MDB_NOTLS "a read-only transaction may span threads if the user synchronizes its use".
final class ReadTransaction {
    private let environment: Environment
    private let handle: OpaquePointer
    private var isReset = false

    init(_ environment: Environment) throws(LMDBFailure) {
        var handle: OpaquePointer?
        try LMDBFailure.check(mdb_txn_begin(environment.handle, nil, UInt32(MDB_RDONLY), &handle), "mdb_txn_begin")
        guard let handle else { preconditionFailure("mdb_txn_begin succeeded without a handle") }
        self.handle = handle
        self.environment = environment
    }

    deinit { mdb_txn_abort(handle) }

    var reading: Reading {
        precondition(!isReset, "a read transaction is renewed before it is used again")
        return Reading(handle: handle)
    }

    /// Lets go of the picture and keeps the handle: "The reader table lock is released, but the table slot stays tied
    /// to [it]".
    func reset() {
        guard !isReset else { return }
        mdb_txn_reset(handle)
        isReset = true
    }

    /// Takes a picture of now.
    func renew() throws(LMDBFailure) {
        reset()
        try LMDBFailure.check(mdb_txn_renew(handle), "mdb_txn_renew")
        isReset = false
    }

    /// Keeps the databases opened in this transaction open for the environment: for a handle to be shared, the
    /// documentation of `mdb_dbi_open` asks that "the transaction successfully commits". For a reader that writes
    /// nothing.
    static func openDatabases<Result>(
        _ environment: Environment, _ body: (Reading) throws(LMDBFailure) -> Result
    ) throws(LMDBFailure) -> Result {
        var handle: OpaquePointer?
        try LMDBFailure.check(mdb_txn_begin(environment.handle, nil, UInt32(MDB_RDONLY), &handle), "mdb_txn_begin")
        guard let handle else { preconditionFailure("mdb_txn_begin succeeded without a handle") }
        let result: Result
        do throws(LMDBFailure) {
            result = try body(Reading(handle: handle))
        } catch {
            mdb_txn_abort(handle)
            throw error
        }
        try LMDBFailure.check(mdb_txn_commit(handle), "mdb_txn_commit")
        return result
    }
}

/// The C view of bytes that LMDB only reads; its type has no const.
private func value(_ bytes: UnsafeRawBufferPointer) -> MDB_val {
    MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
}
