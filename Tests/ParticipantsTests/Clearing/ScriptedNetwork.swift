import Coordinator
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// A card network that does what a test tells it, request by request. Speaks just enough HTTP to be misunderstood on purpose.
final class ScriptedNetwork: Sendable {
    /// What becomes of one request.
    enum Act: Sendable {
        /// A complete HTTP response with this body.
        case reply(status: Int, body: String)
        /// These bytes, as they are.
        case raw(String)
        /// These bytes, then the end of the connection.
        case rawThenClose(String)
        /// Reads the request and closes the connection.
        case drop
        /// Reads the request and never answers.
        case hang
        /// Answers after this many milliseconds.
        case late(milliseconds: Int64, body: String)
    }

    /// A request as it arrived.
    struct Request: Sendable {
        let line: String
        let headers: [String]
        let body: String
    }

    private let channel: any Channel
    private let state: Mutex<State>

    private struct State {
        var script: [Act]
        var requests: [Request] = []
        var unanswered = 0
        var mostUnanswered = 0
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    var address: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { state.withLock { $0.requests } }
    /// How many requests at most had come and were not answered yet.
    var mostUnanswered: Int { state.withLock { $0.mostUnanswered } }

    /// - Parameter script: for the first request, the second and so on; every request after them is dropped.
    static func start(_ script: [Act]) async throws -> ScriptedNetwork {
        let box = Mutex<ScriptedNetwork?>(nil)
        let holder = Holder(box)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let network = holder.network else { return }
                    try channel.pipeline.syncOperations.addHandler(Connection(network: network))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let network = ScriptedNetwork(channel: channel, script: script)
        holder.network = network
        return network
    }

    private init(channel: any Channel, script: [Act]) {
        self.channel = channel
        state = Mutex(State(script: script))
    }

    /// Waits for the first request.
    func untilAsked() async throws {
        while requests.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
    }

    func stop() async throws { try await channel.close().get() }

    private func answered() { state.withLock { $0.unanswered -= 1 } }

    private func act(for request: Request) -> Act {
        state.withLock { state in
            state.requests.append(request)
            state.unanswered += 1
            state.mostUnanswered = max(state.mostUnanswered, state.unanswered)
            return state.script.isEmpty ? .drop : state.script.removeFirst()
        }
    }

    /// The connections' way to the network, which is made after the listener.
    private final class Holder: Sendable {
        private let box: Mutex<ScriptedNetwork?>
        init(_ box: consuming sending Mutex<ScriptedNetwork?>) { self.box = box }
        var network: ScriptedNetwork? {
            get { box.withLock { $0 } }
            set { box.withLock { $0 = newValue } }
        }
    }

    private final class Connection: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let network: ScriptedNetwork
        private var received = ""

        init(network: ScriptedNetwork) { self.network = network }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += String(buffer: unwrapInboundIn(data))
            while let request = nextRequest() { play(network.act(for: request), context.channel) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private func nextRequest() -> Request? {
            let parts = received.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { return nil }
            let lines = parts[0].split(separator: "\r\n").map(String.init)
            let length = lines.first { $0.lowercased().hasPrefix("content-length:") }
                .flatMap { Int($0.dropFirst(15).drop { $0 == " " }) }
            let body = parts[1]
            guard body.utf8.count >= length ?? 0 else { return nil }
            received = String(body.dropFirst(length ?? 0))
            return Request(
                line: lines.first ?? "", headers: Array(lines.dropFirst()), body: String(body.prefix(length ?? 0)))
        }

        private func play(_ act: Act, _ channel: any Channel) {
            switch act {
            case .reply(let status, let body): write(Self.response(status, body), channel)
            case .raw(let text): write(text, channel)
            case .rawThenClose(let text):
                channel.writeAndFlush(ByteBuffer(string: text)).whenComplete { _ in channel.close(promise: nil) }
            case .drop: channel.close(promise: nil)
            case .hang: break
            case .late(let milliseconds, let body):
                channel.eventLoop.scheduleTask(in: .milliseconds(milliseconds)) { [network] in
                    network.answered()
                    channel.writeAndFlush(ByteBuffer(string: Self.response(200, body)), promise: nil)
                }
            }
        }

        private func write(_ text: String, _ channel: any Channel) {
            network.answered()
            channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
        }

        private static func response(_ status: Int, _ body: String) -> String {
            "HTTP/1.1 \(status) X\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        }
    }
}

extension ScriptedNetwork.Act {
    /// An attempt timeout that this act cannot meet by accident, nor keep a test waiting for.
    var timeout: Milliseconds { if case .hang = self { Milliseconds(500) } else { .seconds(10) } }
}

/// A port that refuses connections, and that nobody else gets while it lives: bound, but not listening.
final class ClosedPort {
    private let descriptor: Int32
    let address: String

    struct Failure: Error {}

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        address = "http://127.0.0.1:\(UInt16(bigEndian: name.sin_port))"
        guard isBound else { throw Failure() }
    }

    deinit { close(descriptor) }
}
