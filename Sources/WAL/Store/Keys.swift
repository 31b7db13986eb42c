import Coordinator
import Payments

/// The keys of the named databases. Integers are big-endian, so that LMDB's order of bytes is their order.
enum Keys {
    static let format = Array("format".utf8)
    static let log = Array("log".utf8)
    static let owner = Array("owner".utf8)
    static let nextLSN = Array("next_lsn".utf8)
    /// There only while the log is broken.
    static let continuity = Array("broken".utf8)
    /// There only in a log that was broken once.
    static let wholeSince = Array("whole_since".utf8)
    static let age = Array("age".utf8)
    static let fencePrefix = Array("fence.".utf8)

    /// The prefix and the number in three digits.
    static func fence(_ database: DatabaseIndex) -> [UInt8] {
        let digits = String(database.rawValue)
        return fencePrefix + Array((String(repeating: "0", count: 3 - digits.count) + digits).utf8)
    }

    /// `nil` for any other key.
    static func fence(from key: UnsafeRawBufferPointer) -> DatabaseIndex? {
        guard key.starts(with: fencePrefix), key.count == fencePrefix.count + 3 else { return nil }
        let digits = String(decoding: key.dropFirst(fencePrefix.count), as: UTF8.self)
        return UInt8(digits).map(DatabaseIndex.init(rawValue:))
    }

    static func record(_ lsn: LSN) -> [UInt8] { RecordKey(lsn).withStoredBytes { Array($0) } }

    static func lsn(from key: UnsafeRawBufferPointer) -> LSN? {
        guard key.count == 8 else { return nil }
        return LSN(rawValue: UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))
    }

    static func transaction(_ id: TransactionID) -> [UInt8] { TransactionKey(id).withStoredBytes { Array($0) } }

    static func transaction(from key: UnsafeRawBufferPointer) -> TransactionID? {
        guard key.count == 16 else { return nil }
        return TransactionID(
            high: UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: key.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    static func request(_ id: RequestID) -> [UInt8] { RequestKey(id).withStoredBytes { Array($0) } }

    static func request(from key: UnsafeRawBufferPointer) -> RequestID? {
        String(validating: key, as: UTF8.self).flatMap(RequestID.init(_:))
    }
}

// The keys that every step needs, made where they are needed and without memory of their own. ``Keys`` gives the same as arrays.

struct RecordKey: StoredKey {
    let lsn: LSN

    init(_ lsn: LSN) { self.lsn = lsn }

    func withStoredBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: lsn.rawValue.bigEndian, body)
    }
}

struct TransactionKey: StoredKey {
    let transaction: TransactionID

    init(_ transaction: TransactionID) { self.transaction = transaction }

    func withStoredBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: (transaction.high.bigEndian, transaction.low.bigEndian), body)
    }
}

struct RequestKey: StoredKey {
    let request: RequestID

    init(_ request: RequestID) { self.request = request }

    func withStoredBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var text = request.text
        return text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}
