import CLMDB
import Glibc
import Synchronization

/// One opened LMDB environment. Freed with the last reference; never synced or committed by that.
///
/// `@unchecked Sendable`: the handle never changes, and LMDB allows its use from any thread of the process that opened
/// it ("Use an MDB_env* in the process which opened it, not after fork()"); what is bound to a thread are write
/// transactions.
final class Environment: @unchecked Sendable {
    enum Access: Sendable, Hashable {
        /// The one writer. `mapBytes`: see ``LogConfiguration/mapBytes``.
        case owner(mapBytes: Int)
        case reader
        /// One that holds the directory's lock, so that nobody writes, and that needs no entry among the readers: nothing is
        /// written, not even to LMDB's lock file.
        case soleReader
    }

    let handle: OpaquePointer
    let pageBytes: Int
    /// Where the files are.
    let directory: String
    private let identity: DirectoryIdentity

    /// The name of LMDB's data file within the directory.
    static let dataFileName = "data.mdb"
    /// The name of LMDB's own lock file beside it.
    static let lockFileName = "lock.mdb"

    /// - Parameter directory: where `data.mdb` is or will be; it must exist.
    init(directory: String, access: Access) throws(LogError) {
        let identity = try DirectoryIdentity(directory)
        try identity.claim(directory)
        do throws(LogError) {
            if access != .soleReader { try FileSystem.allocateLockFile(directory + "/" + Self.lockFileName) }
        } catch {
            identity.giveBack()
            throw error
        }
        var opened: OpaquePointer?
        do throws(LMDBFailure) {
            (opened, pageBytes) = try Self.open(directory, access)
        } catch {
            identity.giveBack()
            throw LogError(error, doing: "cannot open the log in \(directory)")
        }
        guard let opened else { preconditionFailure("mdb_env_create succeeded without a handle") }
        handle = opened
        self.directory = directory
        self.identity = identity
        try refuseUnsafeFlags(directory)
        try refuseShortFile(directory)
    }

    deinit {
        // "Only a single thread may call this function. All transactions, databases, and cursors must already be
        // closed": each of them holds a reference to this object or lives in a scope that does.
        mdb_env_close(handle)
        identity.giveBack()
    }

    private static func open(_ directory: String, _ access: Access) throws(LMDBFailure) -> (OpaquePointer?, Int) {
        var handle: OpaquePointer?
        try LMDBFailure.check(mdb_env_create(&handle), "mdb_env_create")
        do throws(LMDBFailure) {
            try LMDBFailure.check(mdb_env_set_maxdbs(handle, LogLimits.databasesMax), "mdb_env_set_maxdbs")
            try LMDBFailure.check(mdb_env_set_maxreaders(handle, LogLimits.readersMax), "mdb_env_set_maxreaders")
            // Tools move between threads: "Tie reader locktable slots to MDB_txn objects instead of to threads."
            var flags = UInt32(MDB_NOTLS)
            switch access {
            case .owner(let mapBytes):
                try LMDBFailure.check(mdb_env_set_mapsize(handle, mapBytes), "mdb_env_set_mapsize")
            case .reader:
                flags |= UInt32(MDB_RDONLY)
            case .soleReader:
                flags |= UInt32(MDB_RDONLY | MDB_NOLOCK)
            }
            try LMDBFailure.check(mdb_env_open(handle, directory, flags, LogLimits.fileMode), "mdb_env_open")
            var stat = MDB_stat()
            try LMDBFailure.check(mdb_env_stat(handle, &stat), "mdb_env_stat")
            return (handle, Int(stat.ms_psize))
        } catch {
            // "If this function fails, mdb_env_close() must be called to discard the MDB_env handle."
            mdb_env_close(handle)
            throw error
        }
    }

    /// Every flag that trades durability away. Any of them would make rule 0 a lie, so they are looked for and not
    /// merely not set.
    private func refuseUnsafeFlags(_ directory: String) throws(LogError) {
        var flags: UInt32 = 0
        let code = mdb_env_get_flags(handle, &flags)
        let unsafe = UInt32(MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_MAPASYNC)
        guard code == MDB_SUCCESS, flags & unsafe == 0 else {
            throw LogError(
                .storage,
                "the log in \(directory) was opened without full syncs (flags \(flags)). Use an LMDB of its own.",
                systemCode: code)
        }
    }

    /// A file that is shorter than its own meta page says would kill the process at the first look beyond its end.
    private func refuseShortFile(_ directory: String) throws(LogError) {
        var descriptor: Int32 = -1
        guard mdb_env_get_fd(handle, &descriptor) == MDB_SUCCESS, let bytes = FileSystem.size(of: descriptor) else {
            throw FileSystem.failure("cannot ask for the size of the log in \(directory)", errno)
        }
        let needed = fileBytesUsed
        guard bytes >= needed else {
            throw LogError(
                .damaged,
                "the log in \(directory) has \(bytes) bytes where its header says \(needed): it was cut short. "
                    + "Keep a copy of it as it is, then restore the log from a backup.")
        }
    }

    /// The file's descriptor, LMDB's own.
    var descriptor: Int32 {
        var descriptor: Int32 = -1
        guard mdb_env_get_fd(handle, &descriptor) == MDB_SUCCESS else { return -1 }
        return descriptor
    }

    private var info: MDB_envinfo {
        var info = MDB_envinfo()
        // Fails for missing arguments only.
        let code = mdb_env_info(handle, &info)
        precondition(code == MDB_SUCCESS, "mdb_env_info failed with \(code)")
        return info
    }

    /// The end of the last page that was ever used, bytes.
    var fileBytesUsed: Int { (info.me_last_pgno + 1) * pageBytes }
    var mapBytes: Int { info.me_mapsize }
    var lastTransaction: Int { info.me_last_txnid }

    /// "Check for stale entries in the reader lock table": what readers that died keep from being used again.
    /// - Returns: how many slots were cleared.
    @discardableResult
    func clearStaleReaders() throws(LMDBFailure) -> Int {
        var dead: Int32 = 0
        try LMDBFailure.check(mdb_reader_check(handle, &dead), "mdb_reader_check")
        return Int(dead)
    }

    /// The reader with the oldest picture; `nil` if nobody reads.
    ///
    /// - Parameter exceptOwn: leaves this process's own readers out.
    func slowestReader(exceptOwn: Bool = false) -> ReaderLag? {
        var lines = ""
        // The callback runs within the call, so the pointer to `lines` is good for as long as it is used.
        withUnsafeMutablePointer(to: &lines) { pointer in
            _ = mdb_reader_list(
                handle,
                { text, context in
                    guard let text, let context else { return 0 }
                    context.assumingMemoryBound(to: String.self).pointee += String(cString: text)
                    return 0
                }, pointer)
        }
        // Each line is "pid thread txnid", with "-" for a slot that reads nothing just now.
        let current = lastTransaction
        var slowest: ReaderLag?
        for line in lines.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count == 3, let pid = Int32(fields[0]), let transaction = Int(fields[2]) else { continue }
            if exceptOwn, pid == getpid() { continue }
            let behind = max(0, current - transaction)
            if behind >= slowest?.commitsBehind ?? 0 { slowest = ReaderLag(pid: pid, commitsBehind: behind) }
        }
        return slowest
    }

    /// Takes over a map that the owner has made larger. "This function may be called with a size of zero to adopt the
    /// new size", "if no transactions are active in this process".
    func adoptMapSize() throws(LMDBFailure) {
        try LMDBFailure.check(mdb_env_set_mapsize(handle, 0), "mdb_env_set_mapsize")
    }

    /// Writes a compact copy, consistent as of now, to an open file.
    func copy(to descriptor: Int32) throws(LMDBFailure) {
        try LMDBFailure.check(mdb_env_copyfd2(handle, descriptor, UInt32(MDB_CP_COMPACT)), "mdb_env_copyfd2")
    }
}

/// "Do not have open an LMDB database twice in the same process at the same time": whose directories are open in this
/// one.
private struct DirectoryIdentity: Hashable, Sendable {
    private let device: UInt64
    private let inode: UInt64

    private static let open = Mutex<Set<DirectoryIdentity>>([])

    init(_ directory: String) throws(LogError) {
        var status = stat()
        guard stat(directory, &status) == 0 else {
            throw FileSystem.failure("cannot find the state directory \(directory)", errno)
        }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }

    func claim(_ directory: String) throws(LogError) {
        guard Self.open.withLock({ $0.insert(self).inserted }) else {
            throw LogError(
                .alreadyOpen,
                "the log in \(directory) is open in this process already. Close it first, or use the open one.")
        }
    }

    func giveBack() { _ = Self.open.withLock { $0.remove(self) } }
}
