import Foundation

/// An HTTP/1.1 reply.
struct HTTPReply: Sendable, CustomStringConvertible {
    let status: Int
    /// By lower-case name.
    let headers: [String: String]
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    var description: String { "\(status) \(headers): \(text.prefix(500))" }
}

/// A keep-alive HTTP/1.1 connection as curl would use it.
final class HTTPConnection {
    let connection: TCPConnection

    init(port: UInt16) throws { connection = try TCPConnection(port: port) }

    func request(
        _ method: String, _ target: String, headers: [String: String] = [:], body: String? = nil
    ) throws -> HTTPReply {
        try send(method, target, headers: headers, body: body)
        return try receive(isReplyToHEAD: method == "HEAD")
    }

    func send(_ method: String, _ target: String, headers: [String: String] = [:], body: String? = nil) throws {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n"
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
        if let body { head += "Content-Length: \(body.utf8.count)\r\n" }
        try connection.send(head + "\r\n" + (body ?? ""))
    }

    func receive(isReplyToHEAD: Bool = false) throws -> HTTPReply {
        let statusLine = try headLine()
        let parts = statusLine.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]) else {
            throw HarnessError("not an HTTP status line: \(statusLine)")
        }
        var headers: [String: String] = [:]
        while case let line = try headLine(), !line.isEmpty {
            guard let colon = line.firstIndex(of: ":") else { throw HarnessError("not an HTTP header: \(line)") }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
                in: .whitespaces)
        }
        return HTTPReply(status: status, headers: headers, body: isReplyToHEAD ? [] : try body(headers))
    }

    private func body(_ headers: [String: String]) throws -> [UInt8] {
        if let length = headers["content-length"] {
            guard let count = Int(length), (0...Limits.replyBytesMax).contains(count) else {
                throw HarnessError("Content-Length: \(length)")
            }
            return try connection.read(count)
        }
        guard headers["transfer-encoding"]?.lowercased() == "chunked" else { return try connection.readToEnd() }
        var body: [UInt8] = []
        while true {
            let line = try headLine()
            guard let count = Int(line.prefix { $0 != ";" }, radix: 16), body.count + count <= Limits.replyBytesMax
            else {
                throw HarnessError("not a chunk's size: \(line)")
            }
            if count == 0 { break }
            body += try connection.read(count)
            _ = try headLine()
        }
        while try !headLine().isEmpty {}
        return body
    }

    /// A line of the head, without CR LF.
    private func headLine() throws -> String {
        guard var line = try connection.readLine() else { throw ConnectionError.broken("closed before a reply") }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return String(decoding: line, as: UTF8.self)
    }

    /// One request on a connection of its own.
    static func once(
        port: UInt16, _ method: String, _ target: String, headers: [String: String] = [:], body: String? = nil
    ) throws -> HTTPReply {
        try HTTPConnection(port: port).request(method, target, headers: headers, body: body)
    }
}
