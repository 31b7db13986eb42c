import Glibc

/// A blocking connection that sends and reads raw bytes, with a bound on every wait.
final class RawConnection {
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    struct Failure: Error { let what: String }

    struct Response: Equatable {
        let status: Int
        /// Names in lower case.
        let headers: [String: String]
        let body: String
    }

    init(port: Int, timeoutSeconds: Int = 10) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(what: "socket") }
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            throw Failure(what: "connect: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(what: "send: \(String(cString: strerror(errno)))") }
            bytes = bytes.dropFirst(count)
        }
    }

    func shutDownSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Whether the peer closed the connection and nothing more comes; throws if it stays open.
    func isAtEnd() throws -> Bool { try buffer.isEmpty && !fill() }

    /// The next response. Its body is as long as `Content-Length` says, or empty for HEAD, 1xx, 204 and 304.
    func response(isHead: Bool = false) throws -> Response {
        let end = Array("\r\n\r\n".utf8)
        var position = buffer.firstRange(of: end)
        while position == nil {
            guard try fill() else {
                throw Failure(what: "the connection ended within a response: \(buffer.count) bytes")
            }
            position = buffer.firstRange(of: end)
        }
        guard let position else { throw Failure(what: "no end") }
        let lines = String(decoding: buffer[..<position.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, words[0] == "HTTP/1.1", let status = Int(words[1]) else {
            throw Failure(what: "no status line: \(lines.first ?? "")")
        }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let sides = line.split(separator: ":", maxSplits: 1)
            headers[sides[0].lowercased()] = sides[1].drop(while: { $0 == " " }).description
        }
        buffer.removeFirst(position.upperBound)
        let hasBody = !isHead && status >= 200 && status != 204 && status != 304
        let length = hasBody ? Int(headers["content-length"] ?? "") ?? 0 : 0
        while buffer.count < length {
            guard try fill() else { throw Failure(what: "the connection ended within a body") }
        }
        let body = String(decoding: buffer[..<length], as: UTF8.self)
        buffer.removeFirst(length)
        return Response(status: status, headers: headers, body: body)
    }

    private func fill() throws -> Bool {
        var block = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &block, block.count, 0)
        guard count >= 0 else {
            if errno == ECONNRESET { return false }
            throw Failure(what: "recv: \(String(cString: strerror(errno)))")
        }
        buffer.append(contentsOf: block[..<count])
        return count > 0
    }
}
