internal import Coordinator
internal import Payments

/// A reply of the card network as far as it can be believed.
enum ClearingReply: Sendable, Equatable {
    case holdPlaced(authorizationCode: String)
    case settled
    case holdReleased
    case status(ClearingStatus)
    /// A definite no.
    case declined(String)
    /// The network says that it failed.
    case error(String)
    /// Nothing that can be believed. The text says what was wrong, without repeating the reply.
    case unreadable(String)

    /// - Parameters:
    ///   - httpStatus: whatever the reply says, an OK counts with 200 alone, and a refusal not with a 5xx, which may be
    ///     somebody's between us and the network.
    ///   - body: at most ``ClearingLimits/replyBytesMax`` bytes.
    ///   - transaction: what was asked about; a reply that names another one is not ours.
    init(httpStatus: UInt, body: [UInt8], transaction: TransactionID) {
        guard let fields = Fields(json: body) else {
            self = .unreadable("HTTP status \(httpStatus) with a body that is not a clearing reply")
            return
        }
        if let named = fields.transactionID, named != transaction.description {
            self = .unreadable("a reply about another transaction")
            return
        }
        switch fields.status {
        case "OK" where httpStatus == 200: self = Self.accepted(fields)
        case "DECLINED" where (200...299).contains(httpStatus) || (400...499).contains(httpStatus):
            self = .declined(Self.reason(fields))
        case "ERROR": self = .error(Self.reason(fields))
        default: self = .unreadable("HTTP status \(httpStatus) with an unexpected clearing status")
        }
    }

    private static func accepted(_ fields: Fields) -> Self {
        switch (fields.action, fields.state) {
        case ("hold_placed", nil):
            guard let code = fields.authorizationCode,
                ClearingLimits.authorizationCodeCharacters.contains(code.utf8.count),
                code.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else { return .unreadable("a hold without a valid authorization code") }
            return .holdPlaced(authorizationCode: code)
        case ("settled", nil): return .settled
        case ("hold_released", nil): return .holdReleased
        case (nil, let state?):
            // A status must name its transaction: it is evidence for recovery.
            guard fields.transactionID != nil, let status = ClearingStatus(wireName: state) else {
                return .unreadable("a status that is not one of the network's")
            }
            return .status(status)
        default: return .unreadable("an action that is not one of the network's")
        }
    }

    /// The network's reason, made fit for a message: printable ASCII, cut to a bound.
    private static func reason(_ fields: Fields) -> String {
        let printable = (fields.reason ?? "").unicodeScalars.filter { $0.value >= 0x20 && $0.value < 0x7F }
        let text = String(String.UnicodeScalarView(printable.prefix(ClearingLimits.reasonCharactersMax)))
        return text.isEmpty ? "no reason given" : text
    }

    /// The members that matter, strings all of them. Others may be there: networks add fields.
    private struct Fields {
        let status: String
        let action: String?
        let authorizationCode: String?
        let reason: String?
        let transactionID: String?
        let state: String?

        /// `nil` for what is not one JSON object without a repeated key, or has a member of another type.
        init?(json: [UInt8]) {
            do {
                let object = try JSONObject(json: json.span)
                guard let status = try Self.text("status", of: object) else { return nil }
                self.status = status
                action = try Self.text("action", of: object)
                authorizationCode = try Self.text("auth_code", of: object)
                reason = try Self.text("reason", of: object)
                transactionID = try Self.text("transaction_id", of: object)
                state = try Self.text("state", of: object)
            } catch {
                return nil
            }
        }

        private struct WrongType: Error {}

        private static func text(_ key: String, of object: JSONObject) throws -> String? {
            switch object[key] {
            case nil, .null: nil
            case .string(let text): text
            case .bool, .number, .array, .object: throw WrongType()
            }
        }
    }
}

extension ClearingStatus {
    init?(wireName: String) {
        switch wireName {
        case "held": self = .held
        case "settled": self = .settled
        case "released": self = .released
        case "declined": self = .declined
        case "tombstone": self = .tombstone
        case "unknown": self = .unknown
        default: return nil
        }
    }
}
