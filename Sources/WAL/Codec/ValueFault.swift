/// Why stored bytes are not a value. Every decoding ends in a value or in one of these, whatever the bytes are.
enum ValueFault: Error, Sendable, Hashable, CustomStringConvertible {
    case tooShort(bytes: Int)
    case newerVersion(UInt8)
    case olderVersion(UInt8)
    case checksum
    case length(stated: UInt32, found: Int)
    /// Another kind of value than belongs in this place.
    case kind(UInt8)
    /// A number that stands for nothing in this place.
    case unknown(field: StaticField, number: UInt64)
    /// A text that its field does not allow.
    case text(field: StaticField)
    case trailingBytes(Int)
    /// A good value under a key that is not its own.
    case misplaced

    /// The parts of values that have rules of their own.
    enum StaticField: String, Sendable {
        case operation, currency, requestID, merchant, maskedPAN, digest, reference, reason, authorizationCode, evidence
        case participant, proof, outcome, claim, presence, decision, status, place, key, acknowledged
        case authority, actor, cause, age, pairs
    }

    var description: String {
        switch self {
        case .tooShort(let bytes): "cut off: \(bytes) bytes are left where more belong"
        case .newerVersion(let version): "written by a newer version of this program (format \(version))"
        case .olderVersion(let version): "written by a version that is too old (format \(version))"
        case .checksum: "its checksum does not match"
        case .length(let stated, let found): "its header says \(stated) bytes, there are \(found)"
        case .kind(let kind): "a value of kind \(kind) does not belong here"
        case .unknown(let field, let number): "\(number) is not a known \(field.rawValue)"
        case .text(let field): "not a valid \(field.rawValue)"
        case .trailingBytes(let count): "\(count) bytes follow its end"
        case .misplaced: "it belongs under another key"
        }
    }
}
