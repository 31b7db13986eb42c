import Coordinator
import Payments

/// Takes the parts of a payload off one after the other. Never reads beyond the end, whatever the bytes say.
struct ByteReader {
    /// Borrowed from the transaction that the value was read in; a reader does not outlive the call that made it.
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    /// The version that the value was written in: a few payloads have grown since.
    let version: UInt8

    init(_ bytes: UnsafeRawBufferPointer, version: UInt8 = LogFormat.current) {
        self.bytes = bytes
        self.version = version
    }

    mutating func integer<Integer: FixedWidthInteger>(_: Integer.Type) throws(ValueFault) -> Integer {
        let bits = try take(MemoryLayout<Integer>.size).loadUnaligned(as: Integer.self)
        return Integer(littleEndian: bits)
    }

    mutating func text(_ field: ValueFault.StaticField, bytesMax: Int) throws(ValueFault) -> String {
        let count = Int(try integer(UInt16.self))
        guard count <= bytesMax else { throw .text(field: field) }
        guard let text = String(validating: try take(count), as: UTF8.self) else { throw .text(field: field) }
        return text
    }

    mutating func blob() throws(ValueFault) -> [UInt8] {
        let count = Int(try integer(UInt32.self))
        return Array(try take(count))
    }

    mutating func optional<Value>(
        _ read: (inout ByteReader) throws(ValueFault) -> Value
    ) throws(ValueFault) -> Value? {
        let presence = try integer(UInt8.self)
        switch presence {
        case 0: return nil
        case 1: return try read(&self)
        default: throw .unknown(field: .presence, number: UInt64(presence))
        }
    }

    /// A number that stands for one of an enumeration's cases.
    mutating func member<Member: RawRepresentable>(
        _: Member.Type, _ field: ValueFault.StaticField
    ) throws(ValueFault) -> Member where Member.RawValue == UInt8 {
        let number = try integer(UInt8.self)
        guard let member = Member(rawValue: number) else { throw .unknown(field: field, number: UInt64(number)) }
        return member
    }

    mutating func bytes(_ count: Int) throws(ValueFault) -> [UInt8] { Array(try take(count)) }

    /// A value ends where its payload ends.
    func finish() throws(ValueFault) {
        guard offset == bytes.count else { throw .trailingBytes(bytes.count - offset) }
    }

    private mutating func take(_ count: Int) throws(ValueFault) -> UnsafeRawBufferPointer {
        guard count <= bytes.count - offset else { throw .tooShort(bytes: bytes.count - offset) }
        let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
        offset += count
        return part
    }
}

/// The parts that several values share.
extension ByteReader {
    mutating func transaction() throws(ValueFault) -> TransactionID {
        TransactionID(high: try integer(UInt64.self), low: try integer(UInt64.self))
    }

    mutating func time() throws(ValueFault) -> WallTime { WallTime(microseconds: try integer(Int64.self)) }

    mutating func lsn() throws(ValueFault) -> LSN { LSN(rawValue: try integer(UInt64.self)) }

    mutating func participant() throws(ValueFault) -> Participant {
        let kind = try integer(UInt8.self)
        let index = try integer(UInt8.self)
        switch (kind, index) {
        case (1, _): return .database(DatabaseIndex(rawValue: index))
        case (2, 0): return .clearing
        default: throw .unknown(field: .participant, number: UInt64(kind))
        }
    }

    mutating func digest() throws(ValueFault) -> KeyedDigest {
        let keyID = try integer(UInt32.self)
        let count = Int(try integer(UInt8.self))
        guard count <= LogLimits.digestBytesMax else { throw .unknown(field: .digest, number: UInt64(count)) }
        return KeyedDigest(keyID: keyID, bytes: try bytes(count))
    }

    mutating func requestID(_ field: ValueFault.StaticField) throws(ValueFault) -> RequestID {
        let text = try text(field, bytesMax: PaymentLimits.requestIDCharacters.upperBound)
        guard let id = RequestID(text) else { throw .text(field: field) }
        return id
    }

    mutating func intent() throws(ValueFault) -> PaymentIntent {
        let kind = try member(OperationKind.self, .operation)
        let minorUnits = try integer(Int64.self)
        let code = try text(.currency, bytesMax: CodecLimits.currencyBytesMax)
        let decimals = try integer(UInt8.self)
        // Minor units mean nothing without the decimals that they were counted in.
        guard let currency = Currency(code: code), currency.decimals == Int(decimals) else {
            throw .text(field: .currency)
        }
        let request = try requestID(.requestID)
        guard let merchant = MerchantID(try text(.merchant, bytesMax: PaymentLimits.merchantCharacters.upperBound))
        else { throw .text(field: .merchant) }
        guard let masked = MaskedPAN(masked: try text(.maskedPAN, bytesMax: PaymentLimits.panDigits.upperBound))
        else { throw .text(field: .maskedPAN) }
        let token = try digest()
        let hash = try digest()
        let reference = try optional { reader throws(ValueFault) in try reader.requestID(.reference) }
        return PaymentIntent(
            requestID: request, kind: kind, amount: Money(minorUnits: minorUnits, currency: currency),
            merchant: merchant, maskedPAN: masked, panToken: token, requestHash: hash, reference: reference)
    }

    mutating func pair() throws(ValueFault) -> FencePair {
        FencePair(
            epoch: Epoch(rawValue: try integer(UInt64.self)),
            incarnation: Incarnation(rawValue: try integer(UInt64.self)))
    }

    mutating func claim() throws(ValueFault) -> ClaimDisposition {
        let number = try integer(UInt8.self)
        switch number {
        case 1: return .declined
        case 2: return .released
        case 3: return .madeBy(try transaction())
        default: throw .unknown(field: .claim, number: UInt64(number))
        }
    }

    mutating func task() throws(ValueFault) -> ReversalTask {
        let transaction = try transaction()
        let createdAt = try time()
        let refusals = Int(try integer(UInt32.self))
        let parked = try optional { reader throws(ValueFault) in
            try reader.text(.reason, bytesMax: LogLimits.reasonBytesMax)
        }
        return ReversalTask(
            transaction: transaction, intent: try intent(), createdAt: createdAt, refusals: refusals,
            parkedReason: parked)
    }
}
