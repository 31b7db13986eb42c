import CLMDB
import Glibc

/// A call of LMDB that did not succeed, with its code kept.
struct LMDBFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// Negative: LMDB's own (lmdb.h, "Return Codes"); positive: an `errno`.
    let code: Int32
    /// The C function.
    let function: String

    /// "the database path's map is full" or "too many dirty pages": the transaction can be aborted and the environment
    /// goes on.
    var isFull: Bool { code == MDB_MAP_FULL || code == MDB_TXN_FULL }
    var isOutOfSpace: Bool { isFull || FileSystem.isForSpace(code) }
    var isMissing: Bool { code == ENOENT || code == MDB_NOTFOUND }
    var isReadOnly: Bool { code == EROFS }
    var isNotPermitted: Bool { code == EACCES || code == EPERM || isReadOnly }
    var isDamage: Bool {
        code == MDB_INVALID || code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_VERSION_MISMATCH
            || code == MDB_PANIC
    }
    var isMapResized: Bool { code == MDB_MAP_RESIZED }

    var description: String { "\(function) failed with \(code) (\(String(cString: mdb_strerror(code))))" }

    /// Throws unless `code` is success.
    static func check(_ code: Int32, _ function: String) throws(LMDBFailure) {
        guard code == MDB_SUCCESS else { throw LMDBFailure(code: code, function: function) }
    }
}
