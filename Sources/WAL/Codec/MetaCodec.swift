import Coordinator

/// A value that could not be read, kept as it was found.
struct QuarantinedValue: Sendable, Hashable {
    /// The database it was in.
    let database: String
    let key: [UInt8]
    let bytes: [UInt8]
    let reason: String
    let foundAt: WallTime
}

/// Values of the databases `meta` and `quarantine`.
enum MetaCodec {
    static func encodeFormat(_ version: UInt8) -> [UInt8] {
        Envelope.seal(.formatMarker) { $0.integer(version) }
    }

    static func decodeFormat(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> UInt8 {
        var reader = try Envelope.open(value, as: .formatMarker)
        let version = try reader.integer(UInt8.self)
        try reader.finish()
        return version
    }

    static func encode(_ log: LogID) -> [UInt8] {
        Envelope.seal(.logIdentity) {
            $0.integer(log.high)
            $0.integer(log.low)
        }
    }

    static func decodeLog(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> LogID {
        var reader = try Envelope.open(value, as: .logIdentity)
        let log = LogID(high: try reader.integer(UInt64.self), low: try reader.integer(UInt64.self))
        try reader.finish()
        return log
    }

    static func encode(_ owner: FencePair) -> [UInt8] { Envelope.seal(.owner) { $0.pair(owner) } }

    static func decodeOwner(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> FencePair {
        var reader = try Envelope.open(value, as: .owner)
        let pair = try reader.pair()
        try reader.finish()
        return pair
    }

    static func encodeNext(_ lsn: LSN) -> [UInt8] { Envelope.seal(.nextLSN) { $0.integer(lsn.rawValue) } }

    static func decodeNext(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> LSN {
        var reader = try Envelope.open(value, as: .nextLSN)
        let lsn = try reader.lsn()
        try reader.finish()
        return lsn
    }

    static func encode(_ fence: DatabaseFence) -> [UInt8] {
        precondition(
            fence.attempted.count <= LogLimits.fenceAttemptsMax && fence.former.count <= LogLimits.fencesFormerMax,
            "more pairs than are kept")
        let bytes = Envelope.seal(.fence) { writer in
            writer.integer(fence.database.rawValue)
            writer.optional(fence.identity) {
                $0.integer($1.systemIdentifier)
                $0.integer($1.databaseOID)
            }
            writer.optional(fence.confirmed) { $0.pair($1) }
            writer.pairs(fence.attempted)
            writer.pairs(fence.former)
            writer.optional(fence.position) {
                $0.integer($1.timeline)
                $0.integer($1.walBytes)
            }
            writer.flag(fence.takesOver)
        }
        assert(
            bytes.withUnsafeBytes { (try? decodeFence($0, of: fence.database)) == fence },
            "a fence reads back otherwise than it was written")
        return bytes
    }

    static func decodeFence(
        _ value: UnsafeRawBufferPointer, of database: DatabaseIndex
    ) throws(ValueFault) -> DatabaseFence {
        var reader = try Envelope.open(value, as: .fence)
        guard try reader.integer(UInt8.self) == database.rawValue else { throw .misplaced }
        let identity = try reader.optional { reader throws(ValueFault) in
            DatabaseIdentity(
                systemIdentifier: try reader.integer(UInt64.self), databaseOID: try reader.integer(UInt32.self))
        }
        let confirmed = try reader.optional { reader throws(ValueFault) in try reader.pair() }
        var fence = DatabaseFence(
            database: database, identity: identity, confirmed: confirmed,
            attempted: try reader.pairs(max: LogLimits.fenceAttemptsMax))
        if reader.version > 1 {
            fence.former = try reader.pairs(max: LogLimits.fencesFormerMax)
            fence.position = try reader.optional { reader throws(ValueFault) in
                DatabasePosition(
                    timeline: try reader.integer(UInt32.self), walBytes: try reader.integer(UInt64.self))
            }
            fence.takesOver = try reader.flag()
        }
        try reader.finish()
        return fence
    }

    static func encodeWholeSince(_ epoch: Epoch) -> [UInt8] {
        Envelope.seal(.wholeSince) { $0.integer(epoch.rawValue) }
    }

    static func decodeWholeSince(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> Epoch {
        var reader = try Envelope.open(value, as: .wholeSince)
        let epoch = Epoch(rawValue: try reader.integer(UInt64.self))
        try reader.finish()
        return epoch
    }

    static func encode(_ age: LogAge) -> [UInt8] {
        precondition(age.marks.count <= LogAge.marksMax, "more marks than are kept")
        return Envelope.seal(.age) { writer in
            writer.integer(age.age.count)
            writer.optional(age.trimmedUntil) { $0.integer($1.microseconds) }
            writer.integer(UInt16(age.marks.count))
            for mark in age.marks {
                writer.integer(mark.age.count)
                writer.integer(mark.end.rawValue)
            }
        }
    }

    static func decodeAge(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> LogAge {
        var reader = try Envelope.open(value, as: .age)
        let total = Milliseconds(try reader.integer(Int64.self))
        let trimmedUntil = try reader.optional { reader throws(ValueFault) in try reader.time() }
        let count = Int(try reader.integer(UInt16.self))
        var marks: [LogAge.Mark] = []
        for _ in 0..<count {
            marks.append(LogAge.Mark(age: Milliseconds(try reader.integer(Int64.self)), end: try reader.lsn()))
        }
        try reader.finish()
        let age = LogAge(age: total, marks: marks, trimmedUntil: trimmedUntil)
        guard age.isSound else { throw .unknown(field: .age, number: UInt64(bitPattern: total.count)) }
        return age
    }

    static func encode(_ value: LogBreak) -> [UInt8] { Envelope.seal(.continuity) { $0.logBreak(value) } }

    static func decodeBreak(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> LogBreak {
        var reader = try Envelope.open(value, as: .continuity)
        let value = try reader.logBreak()
        try reader.finish()
        return value
    }

    static func encode(_ value: QuarantinedValue) -> [UInt8] {
        Envelope.seal(.quarantined) { writer in
            writer.integer(value.foundAt.microseconds)
            writer.text(value.database, bytesMax: LogLimits.reasonBytesMax)
            writer.text(value.reason, bytesMax: LogLimits.reasonBytesMax)
            writer.blob(value.key)
            writer.blob(value.bytes)
        }
    }

    static func decodeQuarantined(_ value: UnsafeRawBufferPointer) throws(ValueFault) -> QuarantinedValue {
        var reader = try Envelope.open(value, as: .quarantined)
        let foundAt = try reader.time()
        let database = try reader.text(.place, bytesMax: LogLimits.reasonBytesMax)
        let reason = try reader.text(.reason, bytesMax: LogLimits.reasonBytesMax)
        let key = try reader.blob()
        let bytes = try reader.blob()
        try reader.finish()
        return QuarantinedValue(database: database, key: key, bytes: bytes, reason: reason, foundAt: foundAt)
    }
}

extension ByteWriter {
    fileprivate mutating func pairs(_ pairs: [FencePair]) {
        integer(UInt16(pairs.count))
        for pair in pairs { self.pair(pair) }
    }
}

extension ByteReader {
    /// More than are ever written could not be written again.
    fileprivate mutating func pairs(max: Int) throws(ValueFault) -> [FencePair] {
        let count = Int(try integer(UInt16.self))
        guard count <= max else { throw .unknown(field: .pairs, number: UInt64(count)) }
        var pairs: [FencePair] = []
        for _ in 0..<count { pairs.append(try pair()) }
        return pairs
    }
}
