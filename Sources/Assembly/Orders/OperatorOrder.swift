public import Coordinator

/// What an operator tells the owner of a log to do beyond what recovery does by itself.
///
/// Whoever holds the log carries it out with ``Node/carryOut(_:)``: the server for an order that came over its control socket, or
/// `recover` itself where no server runs.
public enum OperatorOrder: Sendable, Hashable {
    /// The outcome of a transaction that waits for an operator.
    case resolve(TransactionID, Outcome, isForced: Bool, by: Signature)
    /// Send a reversal now; one that is parked too, its refusals forgotten.
    case retryReversal(TransactionID, by: Signature)
    /// Do not send a reversal before somebody says so.
    case parkReversal(TransactionID, by: Signature)
    /// Send a reversal that is parked.
    case unparkReversal(TransactionID, by: Signature)
    /// Put a value of the log's quarantine back, or let it go.
    case releaseQuarantined(UInt64, isDiscarded: Bool, by: Signature)
    /// Take a prepared branch in that the log has no record of, with its outcome.
    case adopt(TransactionID, Outcome, by: Signature)
    /// Look for what nobody explains now, not at the next periodic pass. Where transactions are named, act on those alone.
    case recoverNow(only: [TransactionID])

    /// The transaction that the order is about; `nil` if it is not about one.
    public var transaction: TransactionID? {
        switch self {
        case .resolve(let transaction, _, _, _), .retryReversal(let transaction, _), .parkReversal(let transaction, _),
            .unparkReversal(let transaction, _), .adopt(let transaction, _, _):
            transaction
        case .releaseQuarantined, .recoverNow: nil
        }
    }

    /// Who stands behind it; `nil` where nobody has to.
    public var signature: Signature? {
        switch self {
        case .resolve(_, _, _, let signature), .retryReversal(_, let signature), .parkReversal(_, let signature),
            .unparkReversal(_, let signature), .releaseQuarantined(_, _, let signature), .adopt(_, _, let signature):
            signature
        case .recoverNow: nil
        }
    }

    /// Whether whoever carries it out must have its databases.
    public var needsDatabases: Bool {
        switch self {
        case .resolve, .adopt, .recoverNow, .retryReversal, .unparkReversal: true
        case .parkReversal, .releaseQuarantined: false
        }
    }

    /// The order in a few words, for the log lines.
    var words: String {
        switch self {
        case .resolve(_, let outcome, let isForced, _): "resolve as \(outcome)\(isForced ? ", forced" : "")"
        case .retryReversal: "send the reversal now"
        case .parkReversal: "park the reversal"
        case .unparkReversal: "unpark the reversal"
        case .releaseQuarantined(let number, let isDiscarded, _):
            "\(isDiscarded ? "drop" : "put back") number \(number) of the quarantine"
        case .adopt(_, let outcome, _): "adopt as \(outcome)"
        case .recoverNow(let transactions):
            "recover now" + (transactions.isEmpty ? "" : ", \(transactions.count) transactions only")
        }
    }
}

/// What is wrong with an order's form. Nothing was done.
public struct OrderFault: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

// MARK: - As JSON

/// One flat object: `{"version":1,"order":"resolve","txn_id":"visa_...","outcome":"commit","actor":"...","reason":"..."}`. Keys are
/// added in later versions, never changed.
extension OperatorOrder: Codable {
    static let version = 1

    private enum Name: String, Codable {
        case resolve
        case retryReversal = "reversal_retry"
        case parkReversal = "reversal_park"
        case unparkReversal = "reversal_unpark"
        case releaseQuarantined = "quarantine_release"
        case adopt = "orphan_adopt"
        case recoverNow = "recover_now"
    }

    private struct Form: Codable {
        var version = OperatorOrder.version
        var order: String
        var transaction: String?
        var outcome: String?
        var force: Bool?
        var number: UInt64?
        var discard: Bool?
        var only: [String]?
        var actor: String?
        var reason: String?

        enum CodingKeys: String, CodingKey {
            case version, order, outcome, force, number, discard, only, actor, reason
            case transaction = "txn_id"
        }

        init(_ name: Name, _ signature: Signature? = nil) {
            order = name.rawValue
            actor = signature?.actor
            reason = signature?.reason
        }
    }

    /// - Throws: ``OrderFault`` for what is no order, `DecodingError` for what has not even the form of one.
    public init(from decoder: any Decoder) throws {
        let form = try Form(from: decoder)
        guard form.version == Self.version else {
            throw OrderFault("orders have version \(Self.version) here, not \(form.version); use the same release")
        }
        guard let name = Name(rawValue: form.order) else { throw OrderFault("“\(form.order)” is no order") }
        func transaction() throws(OrderFault) -> TransactionID {
            guard let id = form.transaction.flatMap({ TransactionID($0) }) else {
                throw OrderFault("txn_id is missing or is none")
            }
            return id
        }
        func signature() throws(OrderFault) -> Signature {
            try Signature(actor: form.actor ?? "", reason: form.reason ?? "")
        }
        func outcome() throws(OrderFault) -> Outcome {
            guard let outcome = form.outcome.flatMap(Outcome.init(orderName:)) else {
                throw OrderFault("outcome must be commit or abort")
            }
            return outcome
        }
        switch name {
        case .resolve:
            self = .resolve(try transaction(), try outcome(), isForced: form.force ?? false, by: try signature())
        case .retryReversal: self = .retryReversal(try transaction(), by: try signature())
        case .parkReversal: self = .parkReversal(try transaction(), by: try signature())
        case .unparkReversal: self = .unparkReversal(try transaction(), by: try signature())
        case .releaseQuarantined:
            guard let number = form.number else { throw OrderFault("number is missing") }
            self = .releaseQuarantined(number, isDiscarded: form.discard ?? false, by: try signature())
        case .adopt: self = .adopt(try transaction(), try outcome(), by: try signature())
        case .recoverNow: self = .recoverNow(only: try Self.transactions(form.only ?? []))
        }
    }

    private static func transactions(_ texts: [String]) throws(OrderFault) -> [TransactionID] {
        guard texts.count <= OrderLimits.transactionsMax else {
            throw OrderFault("more than \(OrderLimits.transactionsMax) transactions are named")
        }
        var ids: [TransactionID] = []
        for text in texts {
            guard let id = TransactionID(text) else { throw OrderFault("“only” names what is no txn_id") }
            ids.append(id)
        }
        return ids
    }

    public func encode(to encoder: any Encoder) throws {
        var form: Form
        switch self {
        case .resolve(_, let outcome, let isForced, let signature):
            form = Form(.resolve, signature)
            form.outcome = outcome.orderName
            form.force = isForced
        case .retryReversal(_, let signature): form = Form(.retryReversal, signature)
        case .parkReversal(_, let signature): form = Form(.parkReversal, signature)
        case .unparkReversal(_, let signature): form = Form(.unparkReversal, signature)
        case .releaseQuarantined(let number, let isDiscarded, let signature):
            form = Form(.releaseQuarantined, signature)
            form.number = number
            form.discard = isDiscarded
        case .adopt(_, let outcome, let signature):
            form = Form(.adopt, signature)
            form.outcome = outcome.orderName
        case .recoverNow(let transactions):
            form = Form(.recoverNow)
            form.only = transactions.isEmpty ? nil : transactions.map(\.description)
        }
        form.transaction = transaction?.description
        try form.encode(to: encoder)
    }
}

extension Outcome {
    /// As an order names it.
    var orderName: String {
        switch self {
        case .committed: "commit"
        case .aborted: "abort"
        }
    }

    init?(orderName: String) {
        guard let outcome = Outcome.allCases.first(where: { $0.orderName == orderName }) else { return nil }
        self = outcome
    }
}
