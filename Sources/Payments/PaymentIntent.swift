/// What a payment operation does. The raw values are on disk and never reused.
public enum OperationKind: UInt8, Sendable, CaseIterable {
    /// Holds an amount on a card.
    case authorization = 1
    /// Takes what an authorization holds, or a part of it.
    case capture = 2
    /// Gives back what was captured, or a part of it.
    case refund = 3
    /// Voids an authorization.
    case reversal = 4

    /// The name on the wire and in the column `tx_type`.
    public var wireName: String {
        switch self {
        case .authorization: "AUTH"
        case .capture: "CAPTURE"
        case .refund: "REFUND"
        case .reversal: "REVERSAL"
        }
    }

    /// `nil` for whatever is not exactly one of the names, capitals included.
    public init?(wireName: some StringProtocol) {
        guard let kind = Self.allCases.first(where: { $0.wireName.utf8.elementsEqual(wireName.utf8) }) else {
            return nil
        }
        self = kind
    }
}

/// The client's idempotency key: 1 to 64 visible ASCII characters (0x21 to 0x7E).
public struct RequestID: Sendable, Hashable, CustomStringConvertible {
    /// The characters, as the client sent them.
    public let text: String

    /// `nil` if the length or a character is wrong.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard PaymentLimits.requestIDCharacters.contains(bytes.count), bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
        self.text = text
    }

    public var description: String { text }
}

/// Names a merchant: 1 to 64 printable ASCII characters (0x20 to 0x7E).
public struct MerchantID: Sendable, Hashable, CustomStringConvertible {
    /// The characters, as the client sent them.
    public let text: String

    /// `nil` if the length or a character is wrong.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard PaymentLimits.merchantCharacters.contains(bytes.count), bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7F })
        else { return nil }
        self.text = text
    }

    private init(known text: String) {
        self.text = text
    }

    /// What a request without `merchant` means.
    public static let standard = MerchantID(known: "MERCHANT001")

    public var description: String { text }
}

/// A keyed digest (HMAC-SHA-256) with the identifier of the key that made it, so that keys can rotate.
///
/// Digests of different keys say nothing about each other.
public struct KeyedDigest: Sendable, Hashable {
    /// Names the key without giving it away.
    public let keyID: UInt32
    /// 32 bytes.
    public let bytes: [UInt8]

    /// Takes a digest from the key that made it, or from the log.
    public init(keyID: UInt32, bytes: [UInt8]) {
        self.keyID = keyID
        self.bytes = bytes
    }
}

/// A payment operation that passed every check of form: what the protocol, the log and the participants know of it.
///
/// It carries no card number: the masked form for people, the keyed token for comparison.
public struct PaymentIntent: Sendable {
    /// An intent is handed on many times a payment, so its many parts are one object: a copy is one reference.
    private let box: Box

    private final class Box: Sendable {
        let parts: Parts
        init(_ parts: Parts) { self.parts = parts }
    }

    private struct Parts: Sendable, Hashable {
        let requestID: RequestID
        let kind: OperationKind
        let amount: Money
        let merchant: MerchantID
        let maskedPAN: MaskedPAN
        let panToken: KeyedDigest
        let requestHash: KeyedDigest
        let reference: RequestID?
    }

    /// The idempotency key: the client's, or made by the server.
    public var requestID: RequestID { box.parts.requestID }
    /// What is to be done.
    public var kind: OperationKind { box.parts.kind }
    /// How much; above zero.
    public var amount: Money { box.parts.amount }
    /// Who is paid.
    public var merchant: MerchantID { box.parts.merchant }
    /// The card, for people.
    public var maskedPAN: MaskedPAN { box.parts.maskedPAN }
    /// HMAC of the card number.
    public var panToken: KeyedDigest { box.parts.panToken }
    /// HMAC of everything that makes two requests the same one.
    public var requestHash: KeyedDigest { box.parts.requestHash }
    /// The payment that this operation acts on; `nil` for an authorization.
    public var reference: RequestID? { box.parts.reference }

    /// Takes the parts as they are; ``ValidatedRequest/intent(requestID:panToken:requestHash:)`` makes it of a request.
    public init(
        requestID: RequestID, kind: OperationKind, amount: Money, merchant: MerchantID, maskedPAN: MaskedPAN,
        panToken: KeyedDigest, requestHash: KeyedDigest, reference: RequestID?
    ) {
        box = Box(
            Parts(
                requestID: requestID, kind: kind, amount: amount, merchant: merchant, maskedPAN: maskedPAN,
                panToken: panToken, requestHash: requestHash, reference: reference))
    }

    /// Whether `other` asks for the same operation, so that a repeat may be answered with the first one's outcome.
    ///
    /// Hashes of the same key decide. Where the key was changed in between, what both show in the clear decides.
    public func isRepeat(of other: PaymentIntent) -> Bool {
        guard requestID == other.requestID else { return false }
        if requestHash.keyID == other.requestHash.keyID { return requestHash.bytes == other.requestHash.bytes }
        return kind == other.kind && amount == other.amount && merchant == other.merchant
            && maskedPAN == other.maskedPAN && reference == other.reference
    }
}

extension PaymentIntent: Hashable {
    public static func == (left: Self, right: Self) -> Bool {
        left.box === right.box || left.box.parts == right.box.parts
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(box.parts) }
}

extension PaymentIntent: CustomReflectable {
    /// Its parts, as if they were stored in it.
    public var customMirror: Mirror {
        Mirror(self, children: Mirror(reflecting: box.parts).children, displayStyle: .struct)
    }
}
