import NIOCore

/// A connection of the line protocol: requests go out, answers come back in their order.
final class LoadLine: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// A request that waits for its answer.
    struct Open {
        let number: Int
        /// The first request with this request_id; `nil` if this is it.
        let repeats: Int?
        /// When it was due, on the loop's clock, nanoseconds.
        let due: UInt64
    }

    private let owner: any LoadLineOwner
    private var open = CircularBuffer<Open>()
    private var input = ByteBuffer()
    private(set) var context: ChannelHandlerContext?
    private var isFlushing = false

    init(owner: any LoadLineOwner) { self.owner = owner }

    var openCount: Int { open.count }

    func send(_ request: Open, _ line: String) {
        guard let context else { return }
        open.append(request)
        context.write(NIOAny(context.channel.allocator.buffer(string: line)), promise: nil)
        // What is sent in one turn of the loop goes out in one write.
        guard !isFlushing else { return }
        isFlushing = true
        context.eventLoop.assumeIsolated().execute { [self] in
            isFlushing = false
            self.context?.flush()
        }
    }

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        owner.lineOpened(self)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return }
        channelActive(context: context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        input.writeBuffer(&part)
        while let end = input.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let length = end - input.readerIndex
            guard let request = open.popFirst() else { return context.close(promise: nil) }
            let answer = input.withUnsafeReadableBytes {
                ServerAnswer(UnsafeRawBufferPointer(rebasing: $0[..<length]))
            }
            input.moveReaderIndex(forwardBy: length + 1)
            owner.line(self, answered: request, answer)
        }
        if input.readableBytes > LoadLimits.answerBytesMax { return context.close(promise: nil) }
        input.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        let lost = open
        open.removeAll()
        owner.lineClosed(self, lost: Array(lost))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Whoever decides what is sent on a line. Called on the line's loop.
protocol LoadLineOwner: AnyObject {
    func lineOpened(_ line: LoadLine)
    func line(_ line: LoadLine, answered request: LoadLine.Open, _ answer: ServerAnswer)
    func lineClosed(_ line: LoadLine, lost: [LoadLine.Open])
}
