import Payments

/// Why a request cannot be understood; nothing was done. The text goes into the reply.
struct MalformedRequest: Error, Equatable {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// What the network is asked to do.
enum ClearingAction: String, Sendable, CaseIterable {
    case prepare
    case commit
    case abort
}

/// A request about a transaction that passed every check of form.
struct ClearingRequest: Sendable, Equatable {
    let transaction: String
    let content: Content

    enum Content: Sendable, Equatable {
        case prepare(PaymentTerms)
        case commit(PaymentClaim)
        case abort(PaymentClaim)
    }

    /// - Throws: ``MalformedRequest``.
    init(_ action: ClearingAction, json: [UInt8]) throws {
        let body = try RequestBody(json: json)
        if let said = body.action, said != action.rawValue {
            throw MalformedRequest("action is not \(action.rawValue), which the path asks for")
        }
        transaction = try Self.checkedTransaction(body.transactionID)
        try body.checkForm()
        let claim = PaymentClaim(amount: body.amount, currency: body.currency)
        switch action {
        case .prepare: content = .prepare(try body.terms())
        case .commit: content = .commit(claim)
        case .abort: content = .abort(claim)
        }
    }

    /// - Throws: ``MalformedRequest`` for what cannot be a transaction_id.
    static func checkedTransaction(_ text: String?) throws -> String {
        guard let text else { throw MalformedRequest("transaction_id is missing") }
        guard SimulatorLimits.transactionIDCharacters.contains(text.utf8.count),
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw MalformedRequest("transaction_id must be 1 to 128 visible ASCII characters") }
        return text
    }
}

/// The fields of a request's JSON object. Others are ignored.
private struct RequestBody {
    let action: String?
    let transactionID: String?
    let pan: String?
    let amount: String?
    let currency: String?
    let merchant: String?
    let type: String?
    let originalTransactionID: String?
    let originalAmount: String?

    init(json: [UInt8]) throws {
        let object: JSONObject
        do throws(JSONFault) {
            object = try JSONObject(json: json.span)
        } catch {
            throw MalformedRequest(
                error.problem == .notAnObject ? "the body must be a JSON object" : "the body is not valid JSON")
        }
        func text(_ key: String) throws -> String? {
            switch object[key] {
            case nil, .null: nil
            case .string(let text): text
            case .bool, .number, .array, .object: throw MalformedRequest("\(key) must be a string")
            }
        }
        action = try text("action")
        transactionID = try text("transaction_id")
        pan = try text("pan")
        amount = try text("amount")
        currency = try text("currency")
        merchant = try text("merchant_id")
        type = try text("type")
        originalTransactionID = try text("original_transaction_id")
        originalAmount = try text("original_amount")
        switch object["repeat"] {
        case nil, .null, .bool: break
        case .string, .number, .array, .object: throw MalformedRequest("repeat must be a boolean")
        }
    }

    func checkForm() throws {
        // Only a masked number may come here, and no text that could be one is repeated in a reply.
        if let pan, MaskedPAN(masked: pan) == nil {
            throw MalformedRequest("pan must be masked: the first six and the last four digits, the rest as *")
        }
        for (name, amount) in [("amount", amount), ("original_amount", originalAmount)] {
            if let amount, !Self.isAmount(amount) {
                throw MalformedRequest("\(name) must be a positive decimal without sign or exponent")
            }
        }
        if let currency {
            guard currency.utf8.count == 3, currency.utf8.allSatisfy({ $0 >= 0x41 && $0 <= 0x5A }) else {
                throw MalformedRequest("currency must be three capital letters")
            }
        }
        if let merchant {
            guard SimulatorLimits.merchantCharacters.contains(merchant.utf8.count),
                merchant.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F })
            else { throw MalformedRequest("merchant_id must be 1 to 64 printable ASCII characters") }
        }
        if let type, OperationKind(wireName: type) == nil {
            throw MalformedRequest("type must be AUTH, CAPTURE, REFUND or REVERSAL")
        }
        if let originalTransactionID { _ = try ClearingRequest.checkedTransaction(originalTransactionID) }
    }

    /// What a prepare must say; the fields that it may leave out have the wire's defaults.
    func terms() throws -> PaymentTerms {
        guard let amount else { throw MalformedRequest("amount is missing") }
        let currency = currency ?? "USD"
        var content = Fingerprint()
        for field in [
            pan ?? "", amount, currency, merchant ?? "", type ?? "AUTH", originalTransactionID ?? "",
            originalAmount ?? "",
        ] {
            content.add(field: field)
        }
        return PaymentTerms(amount: amount, currency: currency, fingerprint: content.value)
    }

    private static func isAmount(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { return false }
        guard parts.count == 1 || parts[1].count <= SimulatorLimits.amountDecimalsMax else { return false }
        let digits = parts.joined()
        return digits.count <= SimulatorLimits.amountDigitsMax
            && digits.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            && digits.contains { $0 != UInt8(ascii: "0") }
    }
}
