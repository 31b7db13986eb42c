import Foundation
import Synchronization

/// A TCP proxy on loopback that can be cut, to take a participant away without stopping it.
final class TCPProxy: Sendable {
    let port: UInt16
    private let upstream: UInt16
    private let mode = Mutex(Mode.forwarding)
    /// The mode that the thread has acted by.
    private let reached = Mutex(Mode.forwarding)
    private let isClosing = Atomic<Bool>(false)
    private let hasEnded = Atomic<Bool>(false)

    enum Mode: Sendable {
        case forwarding
        /// Nobody listens and every connection is gone.
        case cut
        /// Connections stand (new ones too), but nothing is passed on.
        case silent
    }

    init(upstream: UInt16) throws {
        self.upstream = upstream
        port = try Loopback.freePort()
        guard let listener = Loopback.listen(on: port) else { throw HarnessError("port \(port) is taken") }
        let thread = Thread { [self] in
            var pump = Pump(port: port, upstream: upstream, listener: listener)
            while !isClosing.load(ordering: .acquiring) {
                let wanted = mode.withLock { $0 }
                pump.turn(wanted)
                reached.withLock { $0 = wanted }
            }
            pump.turn(.cut)
            hasEnded.store(true, ordering: .releasing)
        }
        thread.start()
    }

    /// Returns when it is so.
    func set(_ mode: Mode) throws {
        self.mode.withLock { $0 = mode }
        try Wait.until("the proxy is \(mode)", within: .seconds(5)) { reached.withLock { $0 } == mode }
    }

    func close() throws {
        isClosing.store(true, ordering: .releasing)
        try Wait.until("the proxy ended", within: .seconds(5)) { hasEnded.load(ordering: .acquiring) }
    }

    /// The state of the proxy's one thread.
    private struct Pump {
        let port: UInt16
        let upstream: UInt16
        var listener: Int32?
        var pairs: [(client: TCPEnd, server: TCPEnd)] = []

        init(port: UInt16, upstream: UInt16, listener: Int32) {
            self.port = port
            self.upstream = upstream
            self.listener = listener
        }

        mutating func turn(_ mode: Mode) {
            switch mode {
            case .cut:
                if let listener { Foundation.close(listener) }
                listener = nil
                for pair in pairs {
                    pair.client.reset()
                    pair.server.reset()
                }
                pairs = []
                Wait.sleep(.milliseconds(5))
            case .silent:
                listenAgain()
                accept()
                Wait.sleep(.milliseconds(5))
            case .forwarding:
                listenAgain()
                waitForInput()
                accept()
                pairs.removeAll { pair in
                    if pair.client.pass(to: pair.server), pair.server.pass(to: pair.client) { return false }
                    pair.client.reset()
                    pair.server.reset()
                    return true
                }
            }
        }

        private mutating func listenAgain() { if listener == nil { listener = Loopback.listen(on: port) } }

        private mutating func accept() {
            guard let listener else { return }
            while true {
                let descriptor = Foundation.accept(listener, nil, nil)
                guard descriptor >= 0 else { return }
                _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
                let client = TCPEnd(descriptor: descriptor)
                if let server = TCPEnd(connectedTo: upstream) {
                    pairs.append((client, server))
                } else {
                    client.reset()
                }
            }
        }

        private func waitForInput() {
            var entries = pairs.flatMap { [$0.client.descriptor, $0.server.descriptor] }
            if let listener { entries.append(listener) }
            var polled = entries.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            // An error here shows at the next read.
            _ = poll(&polled, nfds_t(polled.count), 20)
        }
    }

    /// One end of a proxied connection, for the proxy's thread alone.
    private struct TCPEnd {
        let descriptor: Int32

        init(descriptor: Int32) { self.descriptor = descriptor }

        init?(connectedTo port: UInt16) {
            let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            guard made >= 0 else { return nil }
            guard Loopback.withAddress(port: port, { connect(made, $0, $1) }) == 0 else {
                Foundation.close(made)
                return nil
            }
            _ = fcntl(made, F_SETFL, O_NONBLOCK)
            descriptor = made
        }

        /// Passes on what is there. `false` when either end is gone.
        func pass(to other: TCPEnd) -> Bool {
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0 { return errno == EAGAIN || errno == EINTR }
            return count > 0 && other.write(buffer[..<count])
        }

        private func write(_ bytes: ArraySlice<UInt8>) -> Bool {
            var rest = bytes
            let deadline = Deadline(in: .seconds(5))
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                if count > 0 {
                    rest = rest.dropFirst(count)
                } else if errno != EAGAIN && errno != EINTR || deadline.hasPassed {
                    return false
                } else {
                    Wait.sleep(.milliseconds(1))
                }
            }
            return true
        }

        /// Closes with a reset, as a host that vanished and came back would.
        func reset() {
            var abortive = linger(l_onoff: 1, l_linger: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &abortive, socklen_t(MemoryLayout<linger>.size))
            Foundation.close(descriptor)
        }
    }
}
