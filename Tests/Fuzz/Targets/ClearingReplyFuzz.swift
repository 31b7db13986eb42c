import Coordinator
import Foundation

@testable import ClearingParticipant

/// What the network's reply is taken for. The first byte of an input chooses the HTTP status.
enum ClearingReplyFuzz {
    private static let transaction = TransactionID(high: 1, low: 2)
    private static let statuses: [UInt] = [200, 201, 204, 302, 400, 402, 404, 409, 422, 500, 502, 503]

    @Sendable static func run(_ input: [UInt8]) throws {
        var choices = Choices(input.prefix(1))
        let httpStatus = choices.pick(statuses)
        let body = Array(input.dropFirst())
        let reply = ClearingReply(httpStatus: httpStatus, body: body, transaction: transaction)
        try Texts.holdNone(of: Texts.cards(in: body), in: shown(reply), "what is kept of a reply")
        // What another reader makes of it.
        let members = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
        let status = members?["status"] as? String
        let named = members?["transaction_id"] as? String
        switch reply {
        case .holdPlaced(let code):
            try hold(httpStatus == 200 && status == "OK", "a hold was believed of another reply")
            try hold(members?["action"] as? String == "hold_placed", "a hold was believed of another action")
            try hold(members?["auth_code"] as? String == code, "the authorization code is another one")
            try hold((1...ClearingLimits.authorizationCodeCharacters.upperBound).contains(code.count), "its length")
        case .settled:
            try hold(httpStatus == 200 && status == "OK" && members?["action"] as? String == "settled", "settled")
        case .holdReleased:
            try hold(
                httpStatus == 200 && status == "OK" && members?["action"] as? String == "hold_released", "released")
        case .status:
            try hold(httpStatus == 200 && status == "OK" && named != nil, "a status was believed of another reply")
        case .declined(let reason):
            try hold(status == "DECLINED" && httpStatus < 500, "a refusal was believed of another reply")
            try checkReason(reason)
        case .error(let reason):
            try hold(status == "ERROR", "an error was believed of another reply")
            try checkReason(reason)
        case .unreadable(let why): try checkReason(why)
        }
        if case .unreadable = reply { return }
        try hold(named == nil || named == transaction.description, "a reply about another transaction was believed")
    }

    private static func shown(_ reply: ClearingReply) -> String {
        switch reply {
        // The network's own words: they are kept as they are, as evidence.
        case .declined, .error, .holdPlaced: ""
        case .settled, .holdReleased, .status, .unreadable: "\(reply)"
        }
    }

    /// Fit for a log line.
    private static func checkReason(_ reason: String) throws {
        try hold(!reason.isEmpty && reason.utf8.count <= 256, "a reason of \(reason.utf8.count) bytes")
        try hold(reason.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "a reason that is not printable")
    }
}
