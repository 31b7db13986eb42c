internal import NIOCore

/// Sends what is flushed within one turn of the event loop together: the client flushes a request's head and its body one after the
/// other, and each would be a call of the system, a packet and a read of the network's. Belongs next to the socket.
final class FlushTogether: ChannelOutboundHandler {
    typealias OutboundIn = Any

    private var isDue = false

    func flush(context: ChannelHandlerContext) {
        guard !isDue else { return }
        isDue = true
        context.eventLoop.assumeIsolated().execute {
            self.isDue = false
            context.flush()
        }
    }

    /// What was flushed before the channel is closed is sent before that.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if isDue { context.flush() }
        context.close(mode: mode, promise: promise)
    }
}
