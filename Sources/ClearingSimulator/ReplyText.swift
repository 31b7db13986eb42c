import NIOCore

/// The JSON of the network's replies. Every text in them is of a checked alphabet or passes ``escaped(_:)``.
enum ReplyText {
    static func reply(_ reply: ClearingReply, transaction: String) -> String {
        let id = "\"transaction_id\":\"\(escaped(transaction))\"}"
        return switch reply {
        case .holdPlaced(let code): #"{"status":"OK","action":"hold_placed","auth_code":"\#(code)",\#(id)"#
        case .settled(let number):
            #"{"status":"OK","action":"settled","settlement_id":"\#(settlementID(number))",\#(id)"#
        case .holdReleased: #"{"status":"OK","action":"hold_released",\#(id)"#
        case .declined(let refusal): #"{"status":"DECLINED","reason":"\#(refusal.rawValue)",\#(id)"#
        case .conflict: #"{"status":"ERROR","reason":"conflict",\#(id)"#
        }
    }

    /// - Parameter reason: plain words without anything that a client sent.
    static func error(_ reason: String) -> String { #"{"status":"ERROR","reason":"\#(escaped(reason))"}"# }

    /// What is known of a transaction. Never heard of is an answer too (`unknown`), not a 404: that status may come from
    /// anywhere between the network and its client.
    static func status(_ entry: ClearingEntry?, transaction: String) -> String {
        var text = #"{"status":"OK","transaction_id":"\#(escaped(transaction))","state":""#
        text += (entry?.state.rawValue ?? "unknown") + "\""
        guard let entry else { return text + "}" }
        text += #","amount":"\#(entry.amount)""#
        if !entry.authorizationCode.isEmpty { text += #","auth_code":"\#(entry.authorizationCode)""# }
        if entry.settlement > 0 { text += #","settlement_id":"\#(settlementID(entry.settlement))""# }
        if let refusal = entry.refusal { text += #","reason":"\#(refusal.rawValue)""# }
        return text + "}"
    }

    /// A JSON array of every transaction.
    static func book(_ entries: [ClearingEntry]) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: 2 + entries.count * 160)
        buffer.writeString("[")
        var separator = ""
        for entry in entries {
            buffer.writeString(separator)
            buffer.writeString(
                #"{"transaction_id":"\#(escaped(entry.transaction))","state":"\#(entry.state.rawValue)","#
                    + #""amount":"\#(entry.amount)","prepares":\#(entry.prepares),"commits":\#(entry.commits),"#
                    + #""aborts":\#(entry.aborts)}"#)
            separator = ",\n"
        }
        buffer.writeString("]\n")
        return buffer
    }

    private static func settlementID(_ number: UInt64) -> String { "stl_\(number)" }

    /// ASCII text with quotes and backslashes escaped.
    private static func escaped(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) else { return text }
        return text.reduce(into: "") { result, character in
            if character == "\"" || character == "\\" { result.append("\\") }
            result.append(character)
        }
    }
}
