/// The fields of a request's JSON object, each by its rule. A field that is null counts as absent; others are ignored.
struct RequestFields {
    private let object: JSONObject

    init(json text: Span<UInt8>) throws(RequestFault) {
        do throws(JSONFault) {
            object = try JSONObject(json: text)
        } catch {
            throw .badRequest(.json(error))
        }
    }

    /// The text of a required string or number; whether it is right is checked later.
    func digits(_ field: RequestField) throws(RequestFault) -> String {
        switch object[field.rawValue] {
        case nil, .null: throw .badRequest(.missing(field))
        case .string(let text), .number(let text): return text
        case .bool, .array, .object: throw .badRequest(.wrongType(field))
        }
    }

    func kind(orElse kindOfAddress: OperationKind?) throws(RequestFault) -> OperationKind {
        guard let text = try string(.type) else { return kindOfAddress ?? .authorization }
        guard let kind = OperationKind(wireName: text) else { throw .badRequest(.invalid(.type)) }
        guard kindOfAddress == nil || kindOfAddress == kind else { throw .badRequest(.contradiction(.type)) }
        return kind
    }

    func requestID(orElse requestIDOfHeader: RequestID?) throws(RequestFault) -> RequestID? {
        guard let requestID = try identifier(.requestID) else { return requestIDOfHeader }
        guard requestIDOfHeader == nil || requestIDOfHeader == requestID else {
            throw .badRequest(.contradiction(.requestID))
        }
        return requestID
    }

    func identifier(_ field: RequestField) throws(RequestFault) -> RequestID? {
        guard let text = try string(field) else { return nil }
        guard let identifier = RequestID(text) else { throw .badRequest(.invalid(field)) }
        return identifier
    }

    func currency() throws(RequestFault) -> Currency {
        guard let code = try string(.currency) else { return .usDollar }
        guard let currency = Currency(code: code) else { throw .badRequest(.invalid(.currency)) }
        return currency
    }

    func merchant() throws(RequestFault) -> MerchantID {
        let name = try merchant(.merchant)
        let alias = try merchant(.merchantID)
        guard name == nil || alias == nil || name == alias else { throw .badRequest(.merchantsDiffer) }
        return name ?? alias ?? .standard
    }

    private func merchant(_ field: RequestField) throws(RequestFault) -> MerchantID? {
        guard let text = try string(field) else { return nil }
        guard let merchant = MerchantID(text) else { throw .badRequest(.invalid(field)) }
        return merchant
    }

    private func string(_ field: RequestField) throws(RequestFault) -> String? {
        switch object[field.rawValue] {
        case nil, .null: return nil
        case .string(let text): return text
        case .bool, .number, .array, .object: throw .badRequest(.wrongType(field))
        }
    }
}
