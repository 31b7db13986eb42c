import Glibc
import WAL

/// Sends orders to the server that holds a state directory. Blocks: it is for the tool, which has nothing else to do.
public enum ControlClient {
    /// Sends one order and waits for what the server says.
    ///
    /// - Throws: ``StartRefusal`` if no server takes orders there, ``ControlSocketError`` if the exchange breaks.
    public static func send(_ order: OperatorOrder, to stateDirectory: String) throws -> OrderResult {
        guard let descriptor = try ControlSocket.connect(to: stateDirectory) else { throw nobody(stateDirectory) }
        defer { close(descriptor) }
        try write(try order.line, to: descriptor)
        return try OrderResult(line: try readLine(from: descriptor))
    }

    private static func nobody(_ stateDirectory: String) -> StartRefusal {
        StateDirectory.isInUse(path: stateDirectory)
            ? StartRefusal(
                "the process that holds \(stateDirectory) takes no orders: it is starting or stopping, or is another "
                    + "recover; try again in a moment", exitCode: ProgramExit.failure)
            : StartRefusal(
                "no server runs on \(stateDirectory); give the order without --online, then it is carried out here",
                exitCode: ProgramExit.failure)
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) throws(ControlSocketError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(
                    descriptor, buffer.baseAddress.map { $0 + sent }, buffer.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count >= 0 || errno == EINTR else { throw lost("the order could not be sent") }
            sent += max(0, count)
        }
    }

    private static func readLine(from descriptor: Int32) throws(ControlSocketError) -> [UInt8] {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        let end = ContinuousClock.now + .milliseconds(OrderLimits.replyTimeMax.count)
        while true {
            let left = (end - ContinuousClock.now).components
            guard left.seconds >= 0, left.attoseconds >= 0 else {
                throw ControlSocketError(
                    "the server did not reply within \(OrderLimits.replyTimeMax); whether the order was carried out is "
                        + "told by recover show", 0)
            }
            var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let wait = Int32(left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000 + 1)
            guard Glibc.poll(&poll, 1, wait) > 0 else { continue }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw lost("the server ended the connection without a reply") }
            line += buffer[..<count]
            if let feed = line.firstIndex(of: UInt8(ascii: "\n")) { return Array(line[..<feed]) }
            guard line.count <= OrderLimits.lineBytesMax else {
                throw ControlSocketError("the server's reply is longer than \(OrderLimits.lineBytesMax) bytes", 0)
            }
        }
    }

    private static func lost(_ what: String) -> ControlSocketError {
        let code = errno
        return ControlSocketError(
            "\(what); whether it was carried out is told by recover show", code)
    }
}
