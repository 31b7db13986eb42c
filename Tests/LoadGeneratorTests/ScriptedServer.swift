import NIOCore
import NIOPosix
import Synchronization

/// A server that answers each line as a test says, and counts.
final class ScriptedServer: Sendable {
    /// What it does with a line: an answer after a delay, or the end of the connection.
    enum Reaction: Sendable {
        case answer(String, after: TimeAmount = .zero)
        case close
    }

    private let channel: any Channel
    private let seen = Mutex<[String]>([])
    let port: Int

    init(group: any EventLoopGroup, _ react: @escaping @Sendable (_ line: String, _ number: Int) -> Reaction)
        async throws
    {
        let box = Box()
        channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Handler { line in
                            react(line, box.server.withLock { $0?.note(line) ?? 0 })
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        guard let port = channel.localAddress?.port else { throw ScriptError() }
        self.port = port
        box.server.withLock { $0 = self }
    }

    var lines: [String] { seen.withLock { $0 } }

    func close() async throws { try await channel.close() }

    private func note(_ line: String) -> Int {
        seen.withLock { seen in
            seen.append(line)
            return seen.count - 1
        }
    }

    private final class Box: Sendable {
        let server = Mutex<ScriptedServer?>(nil)
    }

    struct ScriptError: Error {}

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var input = ByteBuffer()
        private let react: (String) -> Reaction

        init(_ react: @escaping (String) -> Reaction) { self.react = react }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var part = unwrapInboundIn(data)
            input.writeBuffer(&part)
            while let end = input.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                let line = input.readString(length: end - input.readerIndex) ?? ""
                input.moveReaderIndex(forwardBy: 1)
                switch react(line) {
                case .close: return context.close(promise: nil)
                case .answer(let text, let delay):
                    let channel = context.channel
                    channel.eventLoop.scheduleTask(in: delay) {
                        channel.writeAndFlush(ByteBuffer(string: text + "\n"), promise: nil)
                    }
                }
            }
        }
    }
}
