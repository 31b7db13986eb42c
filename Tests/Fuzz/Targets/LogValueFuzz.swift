import Coordinator
import Payments

@testable import WAL

/// A stored value, as each decoder of the log may meet it.
///
/// The first byte of an input chooses: the rest is a value as it is, or the payload of a value of a chosen kind and version, framed
/// with the checksum that fits. Whatever can be decoded can be written again, and is then the same.
enum LogValueFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        var choices = Choices(input.prefix(2))
        let selector = choices.byte()
        let version = choices.flag() ? LogFormat.current : LogFormat.oldestReadable
        let rest = Array(input.dropFirst(2))
        guard selector < 0xE0 else { return try decodeAll(rest, payload: rest.dropFirst(Envelope.headerBytes)) }
        let kind = ValueKind.allCases[Int(selector) % ValueKind.allCases.count]
        let value = framed(kind, version: version, rest)
        if version == LogFormat.current {
            let sealed = Envelope.seal(kind) { writer in for byte in rest { writer.integer(byte) } }
            try hold(value == sealed, "a frame by the description of the format is not the one that is written")
        }
        try decodeAll(value, payload: rest[...])
    }

    /// FORMAT.md in code: version u8, kind u8, length u32, CRC32C u32 over everything but itself.
    private static func framed(_ kind: ValueKind, version: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var head = [version, kind.rawValue]
        withUnsafeBytes(of: UInt32(payload.count).littleEndian) { head.append(contentsOf: $0) }
        let checksum = CRC32C.checksum(head + payload)
        withUnsafeBytes(of: checksum.littleEndian) { head.append(contentsOf: $0) }
        return head + payload
    }

    private static func decodeAll(_ value: [UInt8], payload: ArraySlice<UInt8>) throws {
        try record(value, payload)
        try states(value, payload)
        try meta(value, payload)
    }

    private static func decoded<Value>(
        _ value: [UInt8], _ decode: (UnsafeRawBufferPointer) throws(ValueFault) -> Value
    ) throws -> Value? {
        value.withUnsafeBytes { try? decode($0) }
    }

    /// Decodes, writes and decodes again.
    private static func roundTrip<Value: Equatable>(
        _ value: [UInt8], _ name: String, _ encode: (Value) -> [UInt8],
        _ decode: (UnsafeRawBufferPointer) throws(ValueFault) -> Value
    ) throws {
        guard let first = try decoded(value, decode) else { return }
        let written = encode(first)
        try hold(try decoded(written, decode) == first, "\(name) reads back otherwise than it was written")
        // Once more, the bytes are the same: equal states are equal bytes.
        try hold(encode(first) == written, "\(name) is written in two ways")
    }

    private static func integer(_ payload: ArraySlice<UInt8>, at offset: Int) -> UInt64 {
        payload.dropFirst(offset).prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func transaction(_ payload: ArraySlice<UInt8>, at offset: Int) -> TransactionID {
        TransactionID(high: integer(payload, at: offset), low: integer(payload, at: offset + 8))
    }

    // MARK: Records

    private static func record(_ value: [UInt8], _ payload: ArraySlice<UInt8>) throws {
        let lsn = LSN(rawValue: integer(payload, at: 0))
        guard
            let found = try decoded(value, { value throws(ValueFault) in try RecordCodec.decode(value, at: lsn) })
        else { return }
        let written = RecordCodec.encode(found.record, lsn: lsn, writtenAt: found.writtenAt)
        if value.first == LogFormat.current {
            try hold(written == value, "a record is written otherwise than it was read")
        }
        let again = try written.withUnsafeBytes { try RecordCodec.decode($0, at: lsn) }
        try hold(again.record == found.record && again.writtenAt == found.writtenAt, "a record is another one")
        // What looks at a record without decoding it sees the same.
        let head = try written.withUnsafeBytes { try RecordCodec.decodeHead($0, at: lsn) }
        let named = written.withUnsafeBytes { RecordCodec.transaction(in: $0) }
        try hold(head.kind == RecordCodec.kind(of: found.record), "the head of a record names another kind")
        try hold(head.writtenAt == found.writtenAt, "the head of a record names another time")
        try hold(
            written.withUnsafeBytes { RecordCodec.mayBe($0, [head.kind]) }, "a record is passed over by its kind")
        if let transaction = found.record.transaction, transaction != TransactionID(high: 0, low: 0) {
            try hold(named == transaction && head.transaction == transaction, "a record is of another transaction")
            try hold(
                written.withUnsafeBytes { RecordCodec.mayBelong($0, to: [transaction]) },
                "a record is passed over by its transaction")
        }
        try RecordWordsCheck.check(found.record, lsn: lsn, writtenAt: found.writtenAt)
    }

    // MARK: States

    private static func states(_ value: [UInt8], _ payload: ArraySlice<UInt8>) throws {
        let key = transaction(payload, at: 0)
        try roundTrip(value, "a transaction's state", StateCodec.encode) { value throws(ValueFault) in
            try StateCodec.decodeActive(value, of: key)
        }
        try roundTrip(value, "a reversal", StateCodec.encode) { value throws(ValueFault) in
            try StateCodec.decodeReversal(value, of: key)
        }
        guard let request = requestID(payload) else { return }
        try roundTrip(value, "a request's entry", StateCodec.encode) { value throws(ValueFault) in
            try StateCodec.decodeRequest(value, of: request)
        }
    }

    /// The request_id of a request's entry: it is the key as well.
    private static func requestID(_ payload: ArraySlice<UInt8>) -> RequestID? {
        let bytes = Array(payload)
        guard bytes.count > 17 else { return nil }
        // Transaction, status and what it adds, kind, minor units; then the currency with its length, its decimals.
        var offset = 17 + (bytes[16] == 4 ? 1 : bytes[16] == 5 ? 16 : 0) + 9
        guard offset + 2 <= bytes.count else { return nil }
        offset += 2 + Int(bytes[offset]) + 1
        guard offset + 2 <= bytes.count else { return nil }
        return RequestID(Texts.text(bytes[(offset + 2)...].prefix(Int(bytes[offset]))))
    }

    // MARK: Meta

    private static func meta(_ value: [UInt8], _ payload: ArraySlice<UInt8>) throws {
        let database = DatabaseIndex(rawValue: payload.first ?? 0)
        try roundTrip(value, "a fence", MetaCodec.encode) { value throws(ValueFault) in
            try MetaCodec.decodeFence(value, of: database)
        }
        try roundTrip(value, "a format marker", MetaCodec.encodeFormat) { value throws(ValueFault) in
            try MetaCodec.decodeFormat(value)
        }
        try roundTrip(value, "a log's name", MetaCodec.encode) { value throws(ValueFault) in
            try MetaCodec.decodeLog(value)
        }
        try roundTrip(value, "an owner", MetaCodec.encode) { value throws(ValueFault) in
            try MetaCodec.decodeOwner(value)
        }
        try roundTrip(value, "the next LSN", MetaCodec.encodeNext) { value throws(ValueFault) in
            try MetaCodec.decodeNext(value)
        }
        try roundTrip(value, "an epoch", MetaCodec.encodeWholeSince) { value throws(ValueFault) in
            try MetaCodec.decodeWholeSince(value)
        }
        try roundTrip(value, "a break", MetaCodec.encode) { value throws(ValueFault) in
            try MetaCodec.decodeBreak(value)
        }
        try roundTrip(value, "a value in the quarantine", MetaCodec.encode) { value throws(ValueFault) in
            try MetaCodec.decodeQuarantined(value)
        }
    }
}
