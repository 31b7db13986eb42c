/// A request's target (RFC 9112, section 3.2), taken apart: the path and the query with their percent-encoding removed.
///
/// A `+` stays a `+`: it is a legal character of identifiers, and no client of ours sends blanks.
public struct RequestTarget: Sendable, Equatable {
    /// With its percent-encoding removed.
    public let path: String
    /// In the order sent.
    public let query: [QueryParameter]

    /// `nil` if the target is malformed: an incomplete percent-encoding, invalid UTF-8, a control character, a
    /// fragment, or neither a path nor an absolute `http` address.
    public init?(_ target: String) {
        guard let origin = Self.originForm(of: target)?.utf8, !origin.contains(UInt8(ascii: "#")) else { return nil }
        let parts = origin.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let path = Self.decoded(first) else { return nil }
        var query: [QueryParameter] = []
        if parts.count == 2 {
            for pair in parts[1].split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: true) {
                let sides = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                guard let name = Self.decoded(sides[0]), let value = sides.count == 2 ? Self.decoded(sides[1]) : ""
                else { return nil }
                query.append(QueryParameter(name: name, value: value))
            }
        }
        self.path = path
        self.query = query
    }

    /// The path and query of the target: a server must take the absolute form too (RFC 9112, section 3.2.2).
    private static func originForm(of target: String) -> Substring? {
        if target.utf8.first == UInt8(ascii: "/") || target == "*" { return target[...] }
        for scheme in ["http://", "https://"] where target.lowercased().hasPrefix(scheme) {
            let rest = target.dropFirst(scheme.count)
            guard let end = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) else { return "/" }
            return rest[end] == "/" ? rest[end...] : "/" + rest[end...]
        }
        return nil
    }

    private static func decoded(_ text: Substring.UTF8View) -> String? {
        let isPlain = text.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "%") }
        if isPlain { return String(Substring(text)) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var rest = text.makeIterator()
        while let byte = rest.next() {
            var decoded = byte
            if byte == UInt8(ascii: "%") {
                guard let high = rest.next().flatMap(hexadecimalDigit), let low = rest.next().flatMap(hexadecimalDigit)
                else { return nil }
                decoded = high << 4 | low
            }
            guard decoded >= 0x20, decoded != 0x7F else { return nil }
            bytes.append(decoded)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// One `name=value` of a query.
public struct QueryParameter: Sendable, Hashable {
    /// The name with its percent-encoding removed.
    public let name: String
    /// The value with its percent-encoding removed; empty if there was no `=`.
    public let value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}
