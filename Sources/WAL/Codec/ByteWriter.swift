import Coordinator
import Payments

/// Appends the parts of a payload. Integers are little-endian.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func integer<Integer: FixedWidthInteger>(_ value: Integer) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Length u16, then UTF-8.
    mutating func text(_ text: String, bytesMax: Int) {
        let utf8 = text.utf8
        precondition(utf8.count <= min(bytesMax, Int(UInt16.max)), "a text is cut to its limit before it is written")
        integer(UInt16(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    /// Length u32, then the bytes.
    mutating func blob(_ blob: [UInt8]) {
        integer(UInt32(blob.count))
        bytes.append(contentsOf: blob)
    }

    /// 1 and the value, or 0.
    mutating func optional<Value>(_ value: Value?, _ write: (inout ByteWriter, Value) -> Void) {
        guard let value else { return integer(UInt8(0)) }
        integer(UInt8(1))
        write(&self, value)
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
        bytes.append(contentsOf: digest.bytes)
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
