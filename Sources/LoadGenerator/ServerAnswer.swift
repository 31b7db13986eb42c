import Glibc

/// What an answer says, as far as the load generator judges it.
struct ServerAnswer: Sendable, Equatable {
    enum Status: UInt8, Sendable, CaseIterable {
        case approved
        case declined
        case pending
        /// Anything that the wire contract does not know.
        case other

        var name: String {
            switch self {
            case .approved: "APPROVED"
            case .declined: "DECLINED"
            case .pending: "PENDING"
            case .other: "other"
            }
        }
    }

    let status: Status
    /// Of a DECLINED.
    let reason: String?
    let isRepeat: Bool
    /// With one, a DECLINED is final.
    let hasTransaction: Bool

    /// Reads one line of the line protocol. The status comes first there and no value holds an escape, so a search is enough.
    init(_ line: UnsafeRawBufferPointer) {
        if line.begins(with: #"{"status":"APPROVED""#) {
            status = .approved
        } else if line.begins(with: #"{"status":"DECLINED""#) {
            status = .declined
        } else if line.begins(with: #"{"status":"PENDING""#) {
            status = .pending
        } else {
            status = .other
        }
        reason = status == .declined ? line.value(after: #""reason":""#) : nil
        isRepeat = line.contains(#""idempotent":true"#)
        hasTransaction = line.contains(#""txn_id":""#)
    }
}

extension UnsafeRawBufferPointer {
    func contains(_ text: StaticString) -> Bool { end(of: text) != nil }

    func begins(with text: StaticString) -> Bool {
        guard let base = baseAddress, count >= text.utf8CodeUnitCount else { return false }
        return memcmp(base, text.utf8Start, text.utf8CodeUnitCount) == 0
    }

    /// The value of a text member of a flat JSON object whose values hold no escapes.
    ///
    /// - Parameter opening: the key, the colon and the quote.
    func value(after opening: StaticString) -> String? {
        guard let found = end(of: opening) else { return nil }
        guard let length = self[found...].firstIndex(of: UInt8(ascii: "\"")) else { return nil }
        return String(decoding: self[found..<length], as: UTF8.self)
    }

    private func end(of text: StaticString) -> Int? {
        end(ofBytes: UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Where the first occurrence ends.
    private func end(ofBytes text: UnsafeRawBufferPointer) -> Int? {
        guard let base = baseAddress, let wanted = text.baseAddress, let first = text.first else { return nil }
        var offset = 0
        while count - offset >= text.count {
            guard let found = memchr(base + offset, Int32(first), count - offset - text.count + 1) else { return nil }
            if memcmp(found, wanted, text.count) == 0 { return UnsafeRawPointer(found) - base + text.count }
            offset = UnsafeRawPointer(found) - base + 1
        }
        return nil
    }
}
