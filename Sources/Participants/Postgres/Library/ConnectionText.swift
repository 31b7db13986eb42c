import CPostgres

/// One keyword and its value, as libpq takes them. May be the password: it has no description.
struct ConnectionParameter: Sendable, CustomStringConvertible, CustomReflectable {
    let keyword: String
    let value: String

    var description: String { keyword }
    var customMirror: Mirror { Mirror(self, children: ["keyword": keyword]) }
}

/// Reads a URI or a `key=value` text with libpq's own parser.
enum ConnectionText {
    /// - Throws: ``PostgresConfigurationError``, whose message never quotes the text: libpq's does, password included.
    static func parse(_ text: String) throws(PostgresConfigurationError) -> [ConnectionParameter] {
        var message: UnsafeMutablePointer<CChar>?
        defer { PQfreemem(message) }
        guard let options = PQconninfoParse(text, &message) else {
            let reason = message.map { unquoted(String(cString: $0)) } ?? "no memory"
            throw PostgresConfigurationError(
                "is not a connection URI of PostgreSQL (\(reason)); "
                    + "write postgresql://user@host:port/database, with special characters of a password as %XX")
        }
        defer { PQconninfoFree(options) }
        var parameters: [ConnectionParameter] = []
        var next = options
        while let keyword = next.pointee.keyword {
            if let value = next.pointee.val, value.pointee != 0 {
                parameters.append(
                    ConnectionParameter(keyword: String(cString: keyword), value: String(cString: value)))
            }
            next += 1
        }
        return parameters
    }

    /// libpq puts pieces of the text into its messages, in quotation marks: what stands before the first is its own.
    ///
    /// Byte by byte: a combining mark that the text begins with makes one character of itself and the quotation mark before it.
    private static func unquoted(_ message: String) -> String {
        let head = message.utf8.prefix {
            $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r")
        }
        let trimmed = String(decoding: head, as: UTF8.self).split(separator: " ").joined(separator: " ")
        return trimmed.isEmpty ? "it cannot be read" : trimmed
    }
}
