import Coordinator
import Payments
import Testing

@testable import WAL

@Suite("Values: what is written is read back, and anything else is a typed fault")
struct CodecTests {
    /// Goal: the checksum is the standard's, not one of our own. Vectors of RFC 3720, B.4, and the usual check value.
    @Test func checksumMatchesStandardVectors() {
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
        #expect(CRC32C.checksum((0..<32).reversed().map { UInt8($0) }) == 0x113F_DB5C)
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum([]) == 0)
    }

    /// Goal: with and without the processor's instruction the checksum is the same, whatever the length and the place in memory.
    @Test func checksumIsTheSameByTables() {
        let bytes = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 59 &+ 3) }
        bytes.withUnsafeBytes { buffer in
            for first in 0..<9 {
                for end in first...bytes.count {
                    let part = UnsafeRawBufferPointer(rebasing: buffer[first..<end])
                    let earlier = UInt32(truncatingIfNeeded: end &* 0x9E37_79B9)
                    #expect(CRC32C.checksum(part, after: earlier) == CRC32C.checksumByTables(part, after: earlier))
                }
            }
        }
        let check = Array("123456789".utf8).withUnsafeBytes { CRC32C.checksumByTables($0) }
        #expect(check == 0xE306_9283)
    }

    /// Goal: a checksum taken in parts is the checksum of the whole, wherever the cut is.
    @Test func checksumContinues() {
        let bytes = (0..<61).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let whole = CRC32C.checksum(bytes)
        for cut in 0...bytes.count {
            let parts = bytes.withUnsafeBytes { buffer in
                CRC32C.checksum(
                    UnsafeRawBufferPointer(rebasing: buffer[cut...]),
                    after: CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<cut])))
            }
            #expect(parts == whole)
        }
    }

    /// Goal: every kind of record survives the disk with all of its fields, also at the edges of what the fields allow.
    @Test(arguments: 0..<16 as Range<UInt64>)
    func randomRecordsRoundTrip(seed: UInt64) throws {
        var random = RandomValues(seed: seed)
        for _ in 0..<50 {
            let record = random.record()
            let lsn = LSN(rawValue: random.number())
            let time = WallTime(microseconds: Int64(bitPattern: random.number()))
            let bytes = RecordCodec.encode(record, lsn: lsn, writtenAt: time)
            var read: (LogRecord, WallTime)?
            try decode(bytes) { read = try RecordCodec.decode($0, at: lsn) }
            #expect(read?.0 == record, "seed \(seed)")
            #expect(read?.1 == time, "seed \(seed)")
        }
    }

    /// Goal: likewise for the states that recovery starts from.
    @Test(arguments: 0..<16 as Range<UInt64>)
    func randomStatesRoundTrip(seed: UInt64) throws {
        var random = RandomValues(seed: seed)
        for _ in 0..<50 {
            let active = random.active()
            let entry = random.requestEntry()
            let task = random.task(random.transaction())
            let fence = random.fence()
            #expect(
                try decode(StateCodec.encode(active)) { try StateCodec.decodeActive($0, of: active.transaction) }
                    == active)
            #expect(
                try decode(StateCodec.encode(entry)) { try StateCodec.decodeRequest($0, of: entry.intent.requestID) }
                    == entry)
            #expect(
                try decode(StateCodec.encode(task)) { try StateCodec.decodeReversal($0, of: task.transaction) } == task)
            #expect(try decode(MetaCodec.encode(fence)) { try MetaCodec.decodeFence($0, of: fence.database) } == fence)
        }
    }

    /// Goal: no damage of one byte goes unnoticed: the checksum, the length or the version gives it away.
    @Test func everyDamagedByteIsNoticed() {
        let good = StateCodec.encode(
            RequestEntry(transaction: Sample.transaction(1), intent: Sample.intent(1), status: .approved))
        for index in good.indices {
            for mask in [0x01, 0x80, 0xFF] as [UInt8] {
                var bytes = good
                bytes[index] ^= mask
                #expect(throws: ValueFault.self) {
                    try decode(bytes) { try StateCodec.decodeRequest($0, of: Sample.intent(1).requestID) }
                }
            }
        }
        for length in 0..<good.count {
            #expect(throws: ValueFault.self) {
                try decode(Array(good[..<length])) {
                    try StateCodec.decodeRequest($0, of: Sample.intent(1).requestID)
                }
            }
        }
    }

    /// Goal: decoding ends in a value or a fault for any payload whatever, also where the checksum was made to match:
    /// no trap, no read beyond the end. (A trap ends the test process, so this test fails loudly.)
    @Test(arguments: 0..<20 as Range<UInt64>)
    func decodingIsTotal(seed: UInt64) {
        var random = RandomValues(seed: seed)
        var faults = 0
        var values = 0
        for _ in 0..<40 {
            var payload = random.payload()
            for _ in 0..<Int.random(in: 1...4, using: &random.generator) {
                let index = Int.random(in: 0..<payload.count, using: &random.generator)
                payload[index] = UInt8.random(in: .min ... .max, using: &random.generator)
            }
            if Bool.random(using: &random.generator) {
                payload = Array(payload.prefix(Int.random(in: 0...payload.count, using: &random.generator)))
            }
            // The key is taken from the payload where it is checked first, so that decoding goes on into the rest.
            let padded = payload + [UInt8](repeating: 0, count: 16)
            let (transaction, lsn) = padded.withUnsafeBytes { buffer in
                let high = UInt64(littleEndian: buffer.loadUnaligned(as: UInt64.self))
                let low = UInt64(littleEndian: buffer.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                return (TransactionID(high: high, low: low), LSN(rawValue: high))
            }
            for kind in ValueKind.allCases {
                let bytes = Envelope.seal(kind) { writer in for byte in payload { writer.integer(byte) } }
                let attempts: [(UnsafeRawBufferPointer) throws -> Void] = [
                    { _ = try RecordCodec.decode($0, at: lsn) },
                    { _ = try StateCodec.decodeActive($0, of: transaction) },
                    { _ = try StateCodec.decodeRequest($0, of: Sample.intent(1).requestID) },
                    { _ = try StateCodec.decodeReversal($0, of: transaction) },
                    { _ = try MetaCodec.decodeFence($0, of: DatabaseIndex(rawValue: padded[0])) },
                    { _ = try MetaCodec.decodeOwner($0) }, { _ = try MetaCodec.decodeLog($0) },
                    { _ = try MetaCodec.decodeNext($0) }, { _ = try MetaCodec.decodeFormat($0) },
                    { _ = try MetaCodec.decodeQuarantined($0) },
                ]
                for attempt in attempts {
                    do {
                        try bytes.withUnsafeBytes(attempt)
                        values += 1
                    } catch {
                        #expect(error is ValueFault)
                        faults += 1
                    }
                }
            }
        }
        // Both happen, or the changes are too coarse or too fine to try anything.
        #expect(values > 0)
        #expect(faults > 0)
    }

    /// Goal: a value in another one's place, or with something after it, is refused though its checksum is right.
    @Test func misplacedAndTrailingAreFaults() {
        let bytes = RecordCodec.encode(.commit(Sample.commit(1)), lsn: LSN(rawValue: 5), writtenAt: Sample.startedAt)
        #expect(throws: ValueFault.misplaced) {
            try decode(bytes) { _ = try RecordCodec.decode($0, at: LSN(rawValue: 6)) }
        }
        let longer = Envelope.seal(.nextLSN) {
            $0.integer(UInt64(1))
            $0.integer(UInt8(0))
        }
        #expect(throws: ValueFault.trailingBytes(1)) { try decode(longer) { _ = try MetaCodec.decodeNext($0) } }
        #expect(throws: ValueFault.kind(ValueKind.nextLSN.rawValue)) {
            try decode(longer) { _ = try MetaCodec.decodeOwner($0) }
        }
    }

    /// Goal: what could not be written again is not taken: more pairs than a fence keeps (writing them would end the process), and a
    /// transaction named by a record of the log itself (it would be found among that one's records).
    @Test func whatCannotBeWrittenAgainIsAFault() throws {
        func fence(attempted: Int, former: Int) -> [UInt8] {
            Envelope.seal(.fence) { writer in
                for byte in [1, 0, 0] as [UInt8] { writer.integer(byte) }
                for count in [attempted, former] {
                    writer.integer(UInt16(count))
                    for _ in 0..<(2 * count) { writer.integer(UInt64(7)) }
                }
                for byte in [0, 0] as [UInt8] { writer.integer(byte) }
            }
        }
        let database = DatabaseIndex(rawValue: 1)
        let most = fence(attempted: LogLimits.fenceAttemptsMax, former: LogLimits.fencesFormerMax)
        let read = try decode(most) { try MetaCodec.decodeFence($0, of: database) }
        #expect(MetaCodec.encode(read) == most)
        for bytes in [fence(attempted: LogLimits.fenceAttemptsMax + 1, former: 0), fence(attempted: 0, former: 257)] {
            #expect(throws: ValueFault.self) { try decode(bytes) { _ = try MetaCodec.decodeFence($0, of: database) } }
        }

        let start = Envelope.seal(.serverStarted) { writer in
            for number in [5, 0, 8, 9, 1, 2] as [UInt64] { writer.integer(number) }
        }
        #expect(throws: ValueFault.misplaced) {
            try decode(start) { _ = try RecordCodec.decode($0, at: LSN(rawValue: 5)) }
        }
    }

    /// Goal: keys sort as their numbers do, because trimming and scans rely on the order.
    @Test func keysSortAsNumbers() {
        let numbers: [UInt64] = [0, 1, 255, 256, 65_535, 1 << 32, .max]
        let keys = numbers.map { Keys.record(LSN(rawValue: $0)) }
        for (left, right) in zip(keys, keys.dropFirst()) { #expect(left.lexicographicallyPrecedes(right)) }
        for (key, number) in zip(keys, numbers) {
            #expect(key.withUnsafeBytes { Keys.lsn(from: $0) } == LSN(rawValue: number))
        }
        for number in 0...UInt8.max {
            let key = Keys.fence(DatabaseIndex(rawValue: number))
            #expect(key.withUnsafeBytes { Keys.fence(from: $0) } == DatabaseIndex(rawValue: number))
        }
    }

    /// Goal: a text that is too long is cut, never refused and never cut within a character's bytes.
    @Test func textsAreCutWhole() {
        #expect(clip("abc", 3) == "abc")
        #expect(clip("abcd", 3) == "abc")
        #expect(clip("ab\u{20AC}", 4) == "ab")
        #expect(clip("ab\u{20AC}", 5) == "ab\u{20AC}")
        let long = String(repeating: "\u{1F4B3}", count: LogLimits.evidenceBytesMax)
        guard case .park(let parked) = LogWrite.park(Sample.park(1, evidence: long)).clipped else {
            Issue.record("a parking is still one after cutting")
            return
        }
        #expect(parked.evidence.utf8.count == LogLimits.evidenceBytesMax)
    }

    private func decode<Value>(
        _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> Value
    ) throws -> Value {
        try bytes.withUnsafeBytes { try body($0) }
    }
}
