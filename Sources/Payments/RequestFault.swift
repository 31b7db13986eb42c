/// A field of a request that has a meaning. The raw values are the keys on the wire.
public enum RequestField: String, Sendable, Hashable, CaseIterable {
    /// The card number.
    case pan
    /// How much, as a decimal.
    case amount
    /// What the amount is in.
    case currency
    /// The idempotency key.
    case requestID = "request_id"
    /// What is to be done.
    case type
    /// The payment that the operation acts on.
    case reference = "ref_request_id"
    /// Who is paid.
    case merchant
    /// Another name for ``merchant``.
    case merchantID = "merchant_id"

    /// What the field must hold, in words for a message.
    var rule: String {
        switch self {
        case .pan: "the card number, a string or a number of 12 to 19 digits"
        case .amount: "a decimal amount, a string or a number"
        case .currency: "an ISO 4217 code of three capital letters, a string"
        case .requestID, .reference: "1 to 64 visible ASCII characters, a string"
        case .type: "AUTH, CAPTURE, REFUND or REVERSAL, a string"
        case .merchant, .merchantID: "1 to 64 printable ASCII characters, a string"
        }
    }
}

/// Why a request is refused before anything is looked up or begun. It quotes nothing of the request.
public enum RequestFault: Error, Sendable, Hashable {
    /// The request's form is wrong: `bad_request` on the wire.
    case badRequest(Cause)
    /// The card number has a wrong length, a character that is no digit, or a wrong check digit: `luhn_failed`.
    case luhnFailed
    /// The amount is not a positive decimal within the limit and the currency's decimals: `amount_invalid`.
    case amountInvalid

    /// What is wrong with the form.
    public enum Cause: Sendable, Hashable {
        /// The request is longer than ``PaymentLimits/lineBytesMax``.
        case tooLong
        /// The text is not one JSON object.
        case json(JSONFault)
        /// A required field is absent or null.
        case missing(RequestField)
        /// The field's value has another JSON type than it must have.
        case wrongType(RequestField)
        /// The value breaks the field's rule, or is not among those known.
        case invalid(RequestField)
        /// `merchant` and `merchant_id` are both there and differ.
        case merchantsDiffer
        /// The field says otherwise than the address or a header of the same request.
        case contradiction(RequestField)
    }
}

extension RequestFault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .badRequest(let cause): cause.description
        case .luhnFailed: "pan must be 12 to 19 digits, the last of which is the Luhn check digit of the others"
        case .amountInvalid:
            "amount must be a decimal above zero and within the limit, with at most its currency's decimals,"
                + " and without sign, blank or exponent"
        }
    }
}

extension RequestFault.Cause: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tooLong: "the request is longer than \(PaymentLimits.lineBytesMax) bytes"
        case .json(let fault): fault.description
        case .missing(let field): "\(field.rawValue) is missing; it must be \(field.rule)"
        case .wrongType(let field): "\(field.rawValue) has the wrong JSON type; it must be \(field.rule)"
        case .invalid(let field): "\(field.rawValue) is invalid; it must be \(field.rule)"
        case .merchantsDiffer: "merchant and merchant_id differ; send one of them"
        case .contradiction(let field): "\(field.rawValue) differs from the address or a header; send it once"
        }
    }
}
