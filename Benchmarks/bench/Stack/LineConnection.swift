import BenchmarkKit
import Foundation

/// A TCP connection to this machine with blocking reads and writes: for questions to the server and orders to the simulator.
final class LineConnection {
    private let descriptor: Int32
    private var received: [UInt8] = []
    private static let timeoutSeconds = 30

    /// - Throws: ``BenchmarkFailure`` if nobody listens there.
    init(port: Int) throws { descriptor = try Self.connected(port: port) }

    private static func connected(port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw BenchmarkFailure("no socket", errno) }
        var limit = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw BenchmarkFailure("no connection to port \(port)", code)
        }
        return descriptor
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw BenchmarkFailure("the connection broke while sending", errno) }
            rest = rest.dropFirst(count)
        }
    }

    /// The next line without its end.
    func line() throws -> String {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                var line = received[..<end]
                if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
                let text = String(decoding: line, as: UTF8.self)
                received.removeSubrange(...end)
                return text
            }
            guard try receive() else { throw BenchmarkFailure("the connection ended before an answer") }
        }
    }

    /// Everything until the other side ends the connection.
    func rest() throws -> String {
        while try receive() {}
        defer { received = [] }
        return String(decoding: received, as: UTF8.self)
    }

    /// - Returns: whether something came before the end.
    private func receive() throws -> Bool {
        var part = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &part, part.count, 0)
        guard count >= 0 else { throw BenchmarkFailure("no answer", errno) }
        received.append(contentsOf: part[..<count])
        return count > 0
    }

    func ask(_ line: String) throws -> String {
        try send(line + "\r\n")
        return try self.line()
    }

    /// An HTTP request on a connection of its own.
    ///
    /// - Returns: the status line.
    static func post(_ body: String, to path: String, port: Int) throws -> String {
        let connection = try LineConnection(port: port)
        try connection.send(
            "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        return try connection.line()
    }
}
