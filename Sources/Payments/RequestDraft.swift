/// A request whose form is right, and whose card number and amount have not been checked yet.
///
/// The order of the checks is part of the wire contract: a request_id that is known is answered from the log before the
/// card number and the amount are looked at. So a draft can be made, and ``withCanonicalBytes(_:)`` be hashed, where
/// these two are wrong; ``validated(amountLimitMajorUnits:)`` is the next step.
public struct RequestDraft: Sendable {
    /// The idempotency key; `nil` if the client sent none and the server has to make one.
    public let requestID: RequestID?
    /// What is to be done; an authorization where the client does not say.
    public let kind: OperationKind
    /// US dollars where the client does not say.
    public let currency: Currency
    /// Who is paid; ``MerchantID/standard`` where the client does not say.
    public let merchant: MerchantID
    /// The payment that this operation acts on. Never `nil` but for an authorization, and always for that.
    public let reference: RequestID?

    private let panText: ConcealedText
    private let amountText: ConcealedText

    /// Reads a request.
    ///
    /// - Parameters:
    ///   - text: one JSON object in UTF-8, without the end of its line.
    ///   - kind: the operation that the address of the request names, if it does; the text may repeat but not
    ///     contradict it.
    ///   - requestID: the idempotency key from a header, if there is one; likewise.
    /// - Throws: ``RequestFault/badRequest(_:)`` and no other fault.
    public init(
        json text: Span<UInt8>, kind kindOfAddress: OperationKind? = nil, requestID requestIDOfHeader: RequestID? = nil
    ) throws(RequestFault) {
        guard text.count <= PaymentLimits.lineBytesMax else { throw .badRequest(.tooLong) }
        let fields = try RequestFields(json: text)
        panText = ConcealedText(try fields.digits(.pan))
        amountText = ConcealedText(try fields.digits(.amount))
        kind = try fields.kind(orElse: kindOfAddress)
        requestID = try fields.requestID(orElse: requestIDOfHeader)
        currency = try fields.currency()
        merchant = try fields.merchant()
        let reference = try fields.identifier(.reference)
        switch kind {
        case .authorization: self.reference = nil
        case .capture, .refund, .reversal:
            guard let reference else { throw .badRequest(.missing(.reference)) }
            self.reference = reference
        }
    }

    /// As ``init(json:kind:requestID:)``, for bytes that a network buffer lends.
    public init(
        json text: UnsafeRawBufferPointer, kind: OperationKind? = nil, requestID: RequestID? = nil
    ) throws(RequestFault) {
        let bytes = text.assumingMemoryBound(to: UInt8.self)
        try self.init(json: bytes.span, kind: kind, requestID: requestID)
    }

    /// The card number as it may be shown; `nil` if it is not 12 to 19 digits. Its check digit may be wrong.
    public var maskedPAN: MaskedPAN? {
        let digits = Array(panText.text.utf8)
        guard PaymentLimits.panDigits.contains(digits.count),
            digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
        else { return nil }
        return MaskedPAN(maskingDigits: digits)
    }

    /// Checks the card number, then the amount.
    ///
    /// - Parameter amountLimitMajorUnits: the largest amount, major units of the request's currency.
    /// - Throws: ``RequestFault/luhnFailed``, or else ``RequestFault/amountInvalid``.
    public func validated(
        amountLimitMajorUnits: Int64 = PaymentLimits.amountMajorUnitsMaxDefault
    ) throws(RequestFault) -> ValidatedRequest {
        guard let pan = PAN(panText.text) else { throw .luhnFailed }
        let limit = Money.limitMinorUnits(majorUnits: amountLimitMajorUnits, of: currency)
        guard let amount = Money.parse(amountText.text.utf8, currency: currency, limitMinorUnits: limit) else {
            throw .amountInvalid
        }
        return ValidatedRequest(draft: self, pan: pan, amount: amount)
    }

    /// Lends what makes two requests the same one, to hash it with a key; whoever keeps it keeps a card number.
    ///
    /// A version, the kind, and then each of card number, amount, currency, merchant and reference as a length (four
    /// bytes, big-endian) and so many bytes; so no two different requests have the same bytes. The amount is its minor
    /// units where it is a decimal that the currency allows, whatever the limit, and else its text: `10.5`, `10.50`,
    /// `"10.5"` are the same amount. The request_id is not part of it. Hashes of these bytes are on disk: another
    /// encoding needs another version, and makes a conflict of every retry across the change.
    public func withCanonicalBytes<Result>(_ body: ([UInt8]) throws -> Result) rethrows -> Result {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(128)
        bytes.append(Self.canonicalVersion)
        bytes.append(kind.rawValue)
        bytes.appendWithLength(panText.text.utf8)
        if let amount = Money.parse(amountText.text.utf8, currency: currency) {
            bytes.append(CanonicalAmount.minorUnits.rawValue)
            bytes.appendWithLength(String(amount.minorUnits).utf8)
        } else {
            bytes.append(CanonicalAmount.text.rawValue)
            bytes.appendWithLength(amountText.text.utf8)
        }
        bytes.appendWithLength(currency.code.utf8)
        bytes.appendWithLength(merchant.text.utf8)
        bytes.appendWithLength((reference?.text ?? "").utf8)
        return try body(bytes)
    }

    private static let canonicalVersion: UInt8 = 1

    /// How an amount is written in the canonical bytes. The raw values are never reused.
    private enum CanonicalAmount: UInt8 {
        case minorUnits = 1
        case text = 2
    }
}

extension RequestDraft: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Without the amount: its text is the client's, and a card number may have slipped into it.
    public var description: String {
        "\(kind.wireName) request \(requestID?.text ?? "without request_id"), card \(maskedPAN?.text ?? "malformed")"
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "requestID": requestID as Any, "kind": kind, "currency": currency, "merchant": merchant,
                "reference": reference as Any, "maskedPAN": maskedPAN as Any,
            ])
    }
}

/// A request that passed every check that needs nothing but itself.
public struct ValidatedRequest: Sendable {
    /// What it was made of.
    public let draft: RequestDraft
    /// The card number, to be keyed and forgotten.
    public let pan: PAN
    /// Above zero and within the limit.
    public let amount: Money

    fileprivate init(draft: RequestDraft, pan: PAN, amount: Money) {
        self.draft = draft
        self.pan = pan
        self.amount = amount
    }

    /// What the rest of the system learns of the request: no card number any more.
    ///
    /// - Parameters:
    ///   - requestID: the draft's, or the one that the server made where the draft has none.
    ///   - panToken: the keyed digest of ``pan``.
    ///   - requestHash: the keyed digest of the draft's canonical bytes.
    public func intent(requestID: RequestID, panToken: KeyedDigest, requestHash: KeyedDigest) -> PaymentIntent {
        precondition(draft.requestID == nil || draft.requestID == requestID, "the client's request_id must be kept")
        return PaymentIntent(
            requestID: requestID, kind: draft.kind, amount: amount, merchant: draft.merchant, maskedPAN: pan.masked,
            panToken: panToken, requestHash: requestHash, reference: draft.reference)
    }
}

extension ValidatedRequest: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "\(draft), \(amount)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["draft": draft, "pan": pan, "amount": amount]) }
}

/// A client's text that may be, or hold, a card number: no description and no mirror shows it.
private struct ConcealedText: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let text: String

    init(_ text: String) {
        self.text = text
    }

    var description: String { "(concealed)" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}

extension [UInt8] {
    /// The length in four bytes, big-endian, then the bytes. Fields of a request are far shorter than 4 GiB.
    fileprivate mutating func appendWithLength(_ field: String.UTF8View) {
        let length = UInt32(field.count)
        for shift in [24, 16, 8, 0] as [UInt32] { append(UInt8(truncatingIfNeeded: length >> shift)) }
        append(contentsOf: field)
    }
}
