import Foundation

/// A response line of the server.
struct Answer: Sendable, Hashable, CustomStringConvertible {
    enum Status: String, Sendable, Decodable {
        case approved = "APPROVED"
        case declined = "DECLINED"
        case pending = "PENDING"
    }

    let raw: String
    let status: Status
    let reason: String?
    let transactionID: String?
    let isIdempotent: Bool

    /// - Throws: ``HarnessError`` for anything that is not a response of the contract.
    init(line: [UInt8]) throws {
        raw = String(decoding: line, as: UTF8.self)
        let fields: Fields
        do {
            fields = try JSONDecoder().decode(Fields.self, from: Data(line))
        } catch {
            throw HarnessError("not a response: \(raw.prefix(300))")
        }
        status = fields.status
        reason = fields.reason
        transactionID = fields.txn_id
        isIdempotent = fields.idempotent ?? false
        switch status {
        case .approved, .pending:
            guard transactionID != nil else { throw HarnessError("a response without txn_id: \(raw)") }
        case .declined:
            guard let reason, Self.reasons.contains(reason) else {
                throw HarnessError("a refusal without a reason of the contract: \(raw)")
            }
        }
        if let transactionID, !transactionID.hasPrefix("visa_") { throw HarnessError("not a txn_id of ours: \(raw)") }
    }

    /// For tests of the checker.
    init(_ status: Status, reason: String? = nil, transactionID: String? = nil, isIdempotent: Bool = false) {
        raw = "\(status.rawValue) \(reason ?? "") \(transactionID ?? "")"
        self.status = status
        self.reason = reason
        self.transactionID = transactionID
        self.isIdempotent = isIdempotent
    }

    var description: String { raw }

    /// The refusal of an attempt that did nothing, for this reason.
    func isRefusal(_ expected: String) -> Bool { status == .declined && reason == expected && transactionID == nil }

    /// A refusal for ever.
    var isFinalRefusal: Bool { status == .declined && transactionID != nil }

    private struct Fields: Decodable {
        let status: Status
        let reason: String?
        // As on the wire.
        // swift-format-ignore: AlwaysUseLowerCamelCase
        let txn_id: String?
        let idempotent: Bool?
    }

    /// Every reason that the contract knows.
    private static let reasons: Set<String> = [
        "bad_request", "luhn_failed", "amount_invalid", "risk_velocity", "risk_decline", "txn_init_failed", "db_error",
        "clearing_declined", "clearing_unavailable", "commit_failed", "server_busy", "idempotency_conflict",
        "unknown_reference", "invalid_state", "rate_limited", "shutting_down", "participant_init_failed",
        "participant_registration_failed", "db_begin_failed", "clearing_setup_failed",
    ]
}
