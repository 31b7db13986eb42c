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
    /// Answers are being taken: what is sent meanwhile goes out after them, in one write.
    private var isReading = false
    private var waitsForFlush = false

    init(owner: any LoadLineOwner) { self.owner = owner }

    var openCount: Int { open.count }

    /// Sends a request's line, at the end of what is being done.
    func send(_ request: Open, _ line: ByteBuffer) {
        guard let context else { return }
        open.append(request)
        context.write(NIOAny(line), promise: nil)
        guard !waitsForFlush else { return }
        waitsForFlush = true
        if !isReading { owner.lineWaitsForFlush(self) }
    }

    func flush() {
        guard waitsForFlush else { return }
        waitsForFlush = false
        context?.flush()
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
        if input.readableBytes == 0 { input = part } else { input.writeBuffer(&part) }
        isReading = true
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
        if input.readableBytes == 0 { input.clear(minimumCapacity: 0) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flush()
        context.fireChannelReadComplete()
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
    /// Something was sent that goes out when ``LoadLine/flush()`` is called.
    func lineWaitsForFlush(_ line: LoadLine)
    func line(_ line: LoadLine, answered request: LoadLine.Open, _ answer: ServerAnswer)
    func lineClosed(_ line: LoadLine, lost: [LoadLine.Open])
}
