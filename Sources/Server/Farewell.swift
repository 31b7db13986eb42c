import Coordinator
import NIOCore

/// Ends a connection so that its peer can read the last answer: closed at once with bytes unread, the system would reset it.
enum Farewell {
    /// How long a connection is kept for what the peer is still sending.
    static let lingerMax = TimeAmount.seconds(1)

    /// Shuts our side down when everything written is sent, and closes a little later.
    static func say(_ channel: any Channel) {
        channel.close(mode: .output).whenComplete { _ in
            let timer = channel.eventLoop.scheduleTask(in: lingerMax) { channel.close(promise: nil) }
            channel.closeFuture.whenComplete { _ in timer.cancel() }
        }
    }
}

/// Turns a connection away that is one too many: it is told so, and what it sends is thrown away.
final class TurnAwayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        let answer = ByteBuffer(string: Answers.declined(.serverBusy) + "\n")
        context.writeAndFlush(wrapOutboundOut(answer)).whenComplete { _ in Farewell.say(channel) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
