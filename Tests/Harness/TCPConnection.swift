import Foundation
import Synchronization

/// What may happen to a connection.
enum ConnectionError: Error, CustomStringConvertible {
    /// Nobody listens.
    case refused
    /// It ended or was reset.
    case broken(String)
    /// Nothing happened in time.
    case silent(Duration)

    var description: String {
        switch self {
        case .refused: "connection refused"
        case .broken(let reason): "connection broken: \(reason)"
        case .silent(let limit): "nothing came within \(limit)"
        }
    }
}

/// A TCP connection to a port of loopback, for one thread. Every call has a deadline.
final class TCPConnection {
    private var descriptor: Int32
    private var received: [UInt8] = []
    /// The first byte of ``received`` that was not handed out yet.
    private var position = 0
    private var atEnd = false

    init(port: UInt16, within limit: Duration = Limits.connect) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessError("socket: \(String(cString: strerror(errno)))") }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        let result = Loopback.withAddress(port: port) { connect(descriptor, $0, $1) }
        if result != 0 {
            var code = errno
            if code == EINPROGRESS {
                try wait(for: POLLOUT, until: Deadline(in: limit), limit: limit)
                var size = socklen_t(MemoryLayout<Int32>.size)
                getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
            }
            if code == ECONNREFUSED { throw ConnectionError.refused }
            guard code == 0 else { throw ConnectionError.broken(String(cString: strerror(code))) }
        }
    }

    deinit { close() }

    func close() {
        if descriptor >= 0 { _ = Foundation.close(descriptor) }
        descriptor = -1
    }

    /// Says that nothing more is sent; answers can still be read.
    func shutDownWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    func send(_ bytes: some Collection<UInt8>, within limit: Duration = Limits.answer) throws {
        var rest = Array(bytes)[...]
        let deadline = Deadline(in: limit)
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0, errno == EAGAIN {
                try wait(for: POLLOUT, until: deadline, limit: limit)
            } else if count < 0, errno != EINTR {
                throw ConnectionError.broken(String(cString: strerror(errno)))
            }
        }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// The next line without its LF. `nil` if the peer has closed in an orderly way after whole lines.
    func readLine(within limit: Duration = Limits.answer) throws -> [UInt8]? {
        let deadline = Deadline(in: limit)
        var searched = position
        while true {
            if let end = received[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { advance(to: end + 1) }
                return Array(received[position..<end])
            }
            searched = received.endIndex
            if atEnd {
                guard position == received.endIndex else { throw ConnectionError.broken("closed within a line") }
                return nil
            }
            let moved = try receive(until: deadline, limit: limit)
            searched -= moved
        }
    }

    /// Exactly `count` bytes.
    func read(_ count: Int, within limit: Duration = Limits.answer) throws -> [UInt8] {
        let deadline = Deadline(in: limit)
        while received.endIndex - position < count {
            if atEnd { throw ConnectionError.broken("closed before the end of a body") }
            try receive(until: deadline, limit: limit)
        }
        defer { advance(to: position + count) }
        return Array(received[position..<(position + count)])
    }

    /// Everything until the peer closes.
    func readToEnd(within limit: Duration = Limits.answer) throws -> [UInt8] {
        let deadline = Deadline(in: limit)
        while !atEnd { try receive(until: deadline, limit: limit) }
        defer { advance(to: received.endIndex) }
        return Array(received[position...])
    }

    /// Whether the peer closes (or resets) within `limit` without a further byte.
    func isClosedByPeer(within limit: Duration) throws -> Bool {
        let deadline = Deadline(in: limit)
        do {
            while !atEnd && position == received.endIndex { try receive(until: deadline, limit: limit) }
            return position == received.endIndex
        } catch ConnectionError.broken {
            return true
        } catch ConnectionError.silent {
            return false
        }
    }

    private func advance(to index: Int) { position = index }

    /// - Returns: by how many bytes the unread ones have moved to the front.
    @discardableResult
    private func receive(until deadline: Deadline, limit: Duration) throws -> Int {
        let moved = position
        received.removeFirst(position)
        position = 0
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 {
                received.append(contentsOf: buffer[..<count])
                guard received.count <= Limits.replyBytesMax else { throw HarnessError("a reply without an end") }
                return moved
            }
            if count == 0 {
                atEnd = true
                return moved
            }
            switch errno {
            case EAGAIN: try wait(for: POLLIN, until: deadline, limit: limit)
            case EINTR: continue
            default: throw ConnectionError.broken(String(cString: strerror(errno)))
            }
        }
    }

    private func wait(for events: Int32, until deadline: Deadline, limit: Duration) throws {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        while true {
            let count = poll(&entry, 1, deadline.remainingMilliseconds)
            if count > 0 { return }
            if count == 0 && deadline.hasPassed { throw ConnectionError.silent(limit) }
            if count < 0 && errno != EINTR { throw ConnectionError.broken(String(cString: strerror(errno))) }
        }
    }
}

enum Loopback {
    /// Lends the address 127.0.0.1:`port`.
    static func withAddress<Result>(port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// Ports below the range from which the kernel takes those of outgoing connections, so that none of them takes the port of
    /// a server between two of its starts.
    private static let portRange = UInt16(20_000)..<UInt16(30_000)
    private static let nextPort = Mutex<UInt16>(portRange.lowerBound + UInt16.random(in: 0..<8000))

    /// A port that nobody listens on; each call gives another one.
    static func freePort() throws -> UInt16 {
        for _ in portRange {
            let port = nextPort.withLock { next in
                defer { next = next + 1 == portRange.upperBound ? portRange.lowerBound : next + 1 }
                return next
            }
            if let descriptor = listen(on: port) {
                close(descriptor)
                return port
            }
        }
        throw HarnessError("no free port in \(portRange)")
    }

    /// A listening socket that does not block; `nil` if the port is taken.
    static func listen(on port: UInt16) -> Int32? {
        let descriptor = socket(
            AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        guard withAddress(port: port, { bind(descriptor, $0, $1) }) == 0, Foundation.listen(descriptor, 256) == 0 else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}
