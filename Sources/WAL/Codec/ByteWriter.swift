import Coordinator
import Payments

/// Appends the parts of a payload. Integers are little-endian.
///
/// It writes into memory of its own, which grows as needed and can be used again for the next value.
struct ByteWriter: ~Copyable {
    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    private var count = 0

    init(capacity: Int) {
        self.capacity = max(64, capacity)
        memory = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { memory.deallocate() }

    /// What was written, until something is written again.
    var written: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

    /// Begins anew, in the same memory.
    mutating func clear() { count = 0 }

    mutating func integer<Integer: FixedWidthInteger>(_ value: Integer) {
        makeRoom(for: MemoryLayout<Integer>.size)
        memory.storeBytes(of: value.littleEndian, toByteOffset: count, as: Integer.self)
        count += MemoryLayout<Integer>.size
    }

    /// Writes over what was written before.
    mutating func integer<Integer: FixedWidthInteger>(_ value: Integer, at offset: Int) {
        precondition(offset >= 0 && offset + MemoryLayout<Integer>.size <= count, "nothing was written there")
        memory.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Integer.self)
    }

    mutating func bytes(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        makeRoom(for: bytes.count)
        (memory + count).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
    }

    mutating func bytes(_ bytes: [UInt8]) { bytes.withUnsafeBytes { self.bytes($0) } }

    /// Length u16, then UTF-8.
    mutating func text(_ text: String, bytesMax: Int) {
        var text = text
        text.withUTF8 { utf8 in
            precondition(
                utf8.count <= min(bytesMax, Int(UInt16.max)), "a text is cut to its limit before it is written")
            integer(UInt16(utf8.count))
            bytes(UnsafeRawBufferPointer(utf8))
        }
    }

    /// Length u32, then the bytes.
    mutating func blob(_ blob: [UInt8]) {
        integer(UInt32(blob.count))
        bytes(blob)
    }

    /// 1 and the value, or 0.
    mutating func optional<Value>(_ value: Value?, _ write: (inout ByteWriter, Value) -> Void) {
        guard let value else { return integer(UInt8(0)) }
        integer(UInt8(1))
        write(&self, value)
    }

    private mutating func makeRoom(for more: Int) {
        if capacity - count < more { grow(by: more) }
    }

    private mutating func grow(by more: Int) {
        let larger = max(2 * capacity, count + more)
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        fresh.copyMemory(from: memory, byteCount: count)
        memory.deallocate()
        (memory, capacity) = (fresh, larger)
    }
}

/// The parts that several values share.
extension ByteWriter {
    mutating func transaction(_ id: TransactionID) {
        integer(id.high)
        integer(id.low)
    }

    mutating func participant(_ participant: Participant) {
        switch participant {
        case .database(let index):
            integer(UInt8(1))
            integer(index.rawValue)
        case .clearing:
            integer(UInt8(2))
            integer(UInt8(0))
        }
    }

    mutating func digest(_ digest: KeyedDigest) {
        precondition(digest.bytes.count <= LogLimits.digestBytesMax, "a keyed digest is longer than its limit")
        integer(digest.keyID)
        integer(UInt8(digest.bytes.count))
        bytes(digest.bytes)
    }

    mutating func intent(_ intent: PaymentIntent) {
        integer(intent.kind.rawValue)
        integer(intent.amount.minorUnits)
        text(intent.amount.currency.code, bytesMax: CodecLimits.currencyBytesMax)
        integer(UInt8(intent.amount.currency.decimals))
        text(intent.requestID.text, bytesMax: PaymentLimits.requestIDCharacters.upperBound)
        text(intent.merchant.text, bytesMax: PaymentLimits.merchantCharacters.upperBound)
        text(intent.maskedPAN.text, bytesMax: PaymentLimits.panDigits.upperBound)
        digest(intent.panToken)
        digest(intent.requestHash)
        optional(intent.reference) { $0.text($1.text, bytesMax: PaymentLimits.requestIDCharacters.upperBound) }
    }

    mutating func pair(_ pair: FencePair) {
        integer(pair.epoch.rawValue)
        integer(pair.incarnation.rawValue)
    }

    mutating func claim(_ claim: ClaimDisposition) {
        switch claim {
        case .declined: integer(UInt8(1))
        case .released: integer(UInt8(2))
        case .madeBy(let transaction):
            integer(UInt8(3))
            self.transaction(transaction)
        }
    }

    mutating func task(_ task: ReversalTask) {
        transaction(task.transaction)
        integer(task.createdAt.microseconds)
        integer(UInt32(clamping: task.refusals))
        optional(task.parkedReason) { $0.text($1, bytesMax: LogLimits.reasonBytesMax) }
        intent(task.intent)
    }
}

/// Limits that only the codec knows.
enum CodecLimits {
    /// An alphabetic code of ISO 4217.
    static let currencyBytesMax = 3
}
