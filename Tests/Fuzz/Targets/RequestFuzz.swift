import Coordinator
import Foundation

@testable import ClearingParticipant
@testable import Payments
@testable import WAL

/// A payment request as a line or a body has it, and what is made of it on its way: checks, hash, log record, message to the network.
enum RequestFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        let object = try readAsOthersDo(input)
        let draft: RequestDraft
        do throws(RequestFault) {
            draft = try RequestDraft(json: input.span)
        } catch {
            try Texts.holdNone(of: Texts.cards(in: input), in: "\(error)", "a refusal")
            return
        }
        guard let object else { throw Finding(description: "a request was taken of what is no JSON object") }
        let canonical = draft.withCanonicalBytes { $0 }
        try sameInOtherWords(object, canonical)
        try hold(draft.withCanonicalBytes { $0 } == canonical, "the canonical bytes change from call to call")
        try showsNoCard(draft, object)
        let request: ValidatedRequest
        do throws(RequestFault) {
            request = try draft.validated()
        } catch {
            if case .badRequest = error { throw Finding(description: "a form that was right is wrong later") }
            return
        }
        try downstream(request, canonical)
    }

    // MARK: JSON

    /// What we take as JSON, a lenient reader takes too, with the same meaning; what we refuse for its grammar alone, it refuses.
    ///
    /// - Returns: `nil` if it is not taken.
    private static func readAsOthersDo(_ input: [UInt8]) throws -> JSONObject? {
        let object: JSONObject
        do throws(JSONFault) {
            object = try JSONObject(json: input.span)
        } catch {
            // Others guess UTF-16 and UTF-32 of zero bytes and byte order marks, and take a comma before a closing bracket.
            let isGuessed = input.contains(0) || input.first == 0xEF || (input.first ?? 0) >= 0xFE
            let isAtBracket = input.dropFirst(error.offset).first.map { $0 == 0x7D || $0 == 0x5D } ?? false
            guard !error.problem.isChoice, !isGuessed, !isAtBracket else { return nil }
            let other = try? JSONSerialization.jsonObject(with: Data(input))
            try hold(!(other is [String: Any]), "JSON that others take was refused: \(error)")
            return nil
        }
        let written = Array(JSONWriter.text(.object(object)).utf8)
        let again = try? JSONObject(json: written.span)
        try hold(again == object, "a JSON object written and read again is another one")
        guard let other = try? JSONSerialization.jsonObject(with: Data(input)) as? [String: Any] else {
            throw Finding(description: "a JSON object that no lenient reader takes")
        }
        try hold(isSame(.object(object), other), "a JSON object that others read otherwise")
        return object
    }

    private static func isSame(_ ours: JSONValue, _ other: Any) -> Bool {
        switch (ours, other) {
        case (.null, is NSNull): true
        case (.bool(let value), let other as NSNumber): other.boolValue == value
        case (.number(let token), let other as NSNumber):
            // Whole numbers beyond 64 bits, and decimals, are doubles there.
            Double(token).map { abs($0 - other.doubleValue) <= abs($0) * 1e-12 } ?? false
        case (.string(let text), let other as String): Array(text.utf8) == Array(other.utf8)
        case (.array(let values), let other as [Any]):
            values.count == other.count && zip(values, other).allSatisfy { isSame($0, $1) }
        case (.object(let object), let other as [String: Any]):
            // Foundation's keys are equal if they are canonically equivalent; ours if their bytes are.
            Set(object.members.map(\.key)).count == other.count
                && object.members.allSatisfy { member in
                    object.members.filter { $0.key == member.key }.count > 1
                        || other[member.key].map { isSame(member.value, $0) } ?? false
                }
        default: false
        }
    }

    // MARK: Meaning

    /// The same request in another spelling has the same canonical bytes: members in another order, digits as a string, an unknown
    /// member more, `merchant_id` for `merchant`.
    private static func sameInOtherWords(_ object: JSONObject, _ canonical: [UInt8]) throws {
        var members = object.members.reversed().map { member -> JSONObject.Member in
            guard case .number(let token) = member.value, ["pan", "amount"].contains(member.key) else { return member }
            return JSONObject.Member(key: member.key, value: .string(token))
        }
        let names = Set(members.map(\.key))
        if !names.contains("merchant_id"), let place = members.firstIndex(where: { $0.key == "merchant" }) {
            members[place] = JSONObject.Member(key: "merchant_id", value: members[place].value)
        }
        if !names.contains("unknown") { members.append(JSONObject.Member(key: "unknown", value: .array([.null]))) }
        let text = Array(JSONWriter.text(.object(JSONObject(members: members))).utf8)
        // Escaped otherwise, it may be longer than a line may be.
        guard text.count <= PaymentLimits.lineBytesMax else { return }
        guard let draft = try? RequestDraft(json: text.span) else {
            throw Finding(description: "a request in other words is refused")
        }
        try hold(draft.withCanonicalBytes { $0 } == canonical, "a request in other words is another request")
    }

    /// Whatever is printed of a request hides its card number, unless the client made a name of it.
    private static func showsNoCard(_ draft: RequestDraft, _ object: JSONObject) throws {
        guard let text = object["pan"].flatMap(\.digits), text.utf8.count >= PaymentLimits.panDigits.lowerBound else {
            return
        }
        let names = [draft.requestID?.text, draft.reference?.text, draft.merchant.text].compactMap(\.self)
        guard !names.contains(where: { $0.contains(text) }), MaskedPAN(masked: text) == nil else { return }
        var dumped = ""
        dump(draft, to: &dumped)
        for shown in ["\(draft)", String(reflecting: draft), dumped] {
            try hold(!shown.contains(text), "a request shows its card number")
        }
        guard let request = try? draft.validated() else { return }
        dumped = ""
        dump(request, to: &dumped)
        for shown in ["\(request)", String(reflecting: request), "\(request.pan)", dumped] {
            try hold(!shown.contains(text), "a request that was checked shows its card number")
        }
    }

    // MARK: What is made of it

    private static func downstream(_ request: ValidatedRequest, _ canonical: [UInt8]) throws {
        let amount = request.amount
        try hold(
            amount.minorUnits > 0
                && amount.minorUnits
                    <= Money.limitMinorUnits(
                        majorUnits: PaymentLimits.amountMajorUnitsMaxDefault, of: amount.currency),
            "an amount is out of bounds")
        try hold(
            Money(decimalText: amount.decimalText, currency: amount.currency) == amount,
            "an amount written and read again is another one")
        try hold(
            MaskedPAN(masked: request.pan.masked.text) == request.pan.masked, "a masked card number is not taken back")
        guard let requestID = request.draft.requestID ?? RequestID("r1") else { return }
        let digest = KeyedDigest(keyID: 1, bytes: Array(canonical.prefix(32)))
        let intent = request.intent(requestID: requestID, panToken: digest, requestHash: digest)
        let transaction = TransactionID(high: 1, low: 2)
        let begin = BeginRecord(
            transaction: transaction, epoch: Epoch(rawValue: 1), intent: intent,
            branches: [Branch(participant: .clearing)], deadline: WallTime(microseconds: 1))
        let lsn = LSN(rawValue: 1)
        let value = RecordCodec.encode(.begin(begin), lsn: lsn, writtenAt: WallTime(microseconds: 1))
        let decoded = try value.withUnsafeBytes { try RecordCodec.decode($0, at: lsn) }
        try hold(decoded.record == .begin(begin), "a BEGIN reads back otherwise than it was written")
        let message = ClearingMessage(action: .prepare, transaction: transaction, intent: intent, isRepeat: false)
        try NetworkCheck.takes(prepare: Array(message.encoded().readableBytesView))
    }
}

extension JSONFault.Problem {
    /// Where RFC 8259 leaves a choice, or our limits are narrower, others may take what we refuse.
    fileprivate var isChoice: Bool {
        switch self {
        case .tooDeep, .duplicateKey, .loneSurrogate, .numberOutOfRange, .notAnObject: true
        case .unexpectedEnd, .unexpectedCharacter, .trailingText, .controlCharacterInString, .invalidEscape,
            .invalidUTF8,
            .invalidNumber:
            false
        }
    }
}

extension JSONValue {
    fileprivate var digits: String? {
        switch self {
        case .string(let text), .number(let text): text
        case .null, .bool, .array, .object: nil
        }
    }
}

/// Writes JSON plainly, everything escaped that is not printable ASCII.
enum JSONWriter {
    static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let flag): flag ? "true" : "false"
        case .number(let token): token
        case .string(let text): quoted(text)
        case .array(let values): "[" + values.map(text).joined(separator: ",") + "]"
        case .object(let object):
            "{" + object.members.map { quoted($0.key) + ":" + text($0.value) }.joined(separator: ",") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for unit in text.utf16 {
            if unit >= 0x20, unit < 0x7F, unit != 0x22, unit != 0x5C, let scalar = Unicode.Scalar(unit) {
                quoted.unicodeScalars.append(scalar)
            } else {
                let digits = String(unit, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return quoted + "\""
    }
}
