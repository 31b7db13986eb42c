import HTTPService
import NIOCore
import Payments

/// Tells from the first line of a connection which protocol it speaks: HTTP if the line ends with its version, else the line
/// protocol. Then it makes room for that protocol's handlers and replays what it has read.
final class ProtocolSniffer: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let front: PaymentFront
    private let idleTimeout: TimeAmount
    private var received = ByteBuffer()
    private var inputIsOver = false
    private var patience: Scheduled<Void>?

    init(front: PaymentFront, idleTimeout: TimeAmount) {
        self.front = front
        self.idleTimeout = idleTimeout
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        patience = context.eventLoop.scheduleTask(in: idleTimeout) { bound.value.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { patience?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        patience?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        received.writeBuffer(&bytes)
        guard let speaksHTTP = verdict() else { return }
        handOver(context, speaksHTTP: speaksHTTP)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            inputIsOver = true
            handOver(context, speaksHTTP: false)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// `nil` while it cannot be told.
    private func verdict() -> Bool? {
        let view = received.readableBytesView
        // Every HTTP method begins with a letter; a payment request with a brace, at most after blanks.
        guard let first = view.first, first >= UInt8(ascii: "A"), first <= UInt8(ascii: "Z") else { return false }
        // A line that is too long for the line protocol is too long for a request target too. How much of it has arrived at once must
        // not decide which protocol it is.
        guard let end = view.prefix(PaymentLimits.lineBytesMax + 1).firstIndex(of: UInt8(ascii: "\n")) else {
            return view.count > PaymentLimits.lineBytesMax ? false : nil
        }
        var line = view[view.startIndex..<end]
        if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
        return line.suffix(8).elementsEqual("HTTP/1.1".utf8) || line.suffix(8).elementsEqual("HTTP/1.0".utf8)
    }

    private func handOver(_ context: ChannelHandlerContext, speaksHTTP: Bool) {
        let pipeline = context.pipeline.syncOperations
        do {
            if speaksHTTP {
                try HTTPServiceHandler.addHTTPService(to: pipeline, responder: front.respond)
            } else {
                try pipeline.addHandler(LineHandler(front: front, idleTimeout: idleTimeout))
            }
        } catch {
            return context.close(promise: nil)
        }
        if received.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(received)) }
        received.clear(minimumCapacity: 0)
        if inputIsOver { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        context.fireChannelReadComplete()
        pipeline.removeHandler(self, promise: nil)
    }
}
