import NIOCore
import NIOEmbedded
import Testing

@testable import ClearingParticipant

@Suite("What is flushed in one turn goes out together")
struct FlushTogetherTests {
    /// Stands for the socket.
    private final class Flushes: ChannelOutboundHandler {
        typealias OutboundIn = Any
        var count = 0

        func flush(context: ChannelHandlerContext) {
            count += 1
            context.flush()
        }
    }

    private let channel = EmbeddedChannel()
    private let flushes = Flushes()

    init() throws {
        try channel.pipeline.syncOperations.addHandlers([flushes, FlushTogether()])
    }

    private func write(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }

    private func sent() throws -> String {
        var text = ""
        while let part = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: part) }
        return text
    }

    @Test("Two flushes of a turn are one, at its end; those of the next turn another")
    func turns() throws {
        write("head ")
        write("body")
        #expect(flushes.count == 0)
        channel.embeddedEventLoop.run()
        #expect(flushes.count == 1)
        #expect(try sent() == "head body")
        write("next")
        channel.embeddedEventLoop.run()
        #expect(flushes.count == 2)
        #expect(try sent() == "next")
        channel.embeddedEventLoop.run()
        #expect(flushes.count == 2, "nothing is flushed that was not asked for")
        #expect(try channel.finish().isClean)
    }

    @Test("A close does not overtake what was flushed before it")
    func close() throws {
        write("last")
        channel.close(promise: nil)
        #expect(try sent() == "last")
        channel.embeddedEventLoop.run()
    }
}
