import Coordinator
import HTTPService
import NIOCore
import Payments
import Runtime

/// The line protocol on one connection: a request a line, an answer a line, in the order of the requests.
///
/// What a connection may occupy is bounded: when too many requests wait for their answers, or the client does not take what it is
/// sent, nothing more is read from it.
final class LineHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = Never
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// An answer's place in the order; empty until it is known.
    private enum Slot {
        case waiting
        case ready(String, closesAfter: Bool, isPayment: Bool)
    }

    private let front: PaymentFront
    private let idleTimeout: TimeAmount
    private var received = ByteBuffer()
    /// Bytes of `received` that are known to hold no line end.
    private var scanned = 0
    private var slots = CircularBuffer<Slot>()
    /// Number of the slot at the front.
    private var firstSlot: UInt64 = 0
    private var isReadWanted = false
    private var inputIsOver = false
    private var isClosing = false
    private var isProceeding = false
    private var lastInput = NIODeadline.now()
    private var idleCheck: Scheduled<Void>?

    init(front: PaymentFront, idleTimeout: TimeAmount) {
        self.front = front
        self.idleTimeout = idleTimeout
    }

    // MARK: - Channel events

    func handlerAdded(context: ChannelHandlerContext) { scheduleIdleCheck(context, after: idleTimeout) }

    func handlerRemoved(context: ChannelHandlerContext) { idleCheck?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        idleCheck?.cancel()
        isClosing = true
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastInput = .now()
        guard !isClosing else { return }
        var bytes = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = bytes } else { received.writeBuffer(&bytes) }
        proceed(context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            inputIsOver = true
            proceed(context)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func read(context: ChannelHandlerContext) {
        guard slots.count < ServerLimits.pipelinedRequestsMax, context.channel.isWritable else {
            isReadWanted = true
            return
        }
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        resumeReading(context)
        context.fireChannelWritabilityChanged()
    }

    /// A client that broke the connection is gone; there is nobody to tell.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        isClosing = true
        context.close(promise: nil)
    }

    // MARK: - Requests

    /// Takes lines and writes answers until neither is possible. Answers that come at once, from within, do not nest.
    private func proceed(_ context: ChannelHandlerContext) {
        guard !isProceeding else { return }
        isProceeding = true
        while takeLines(context), writeReady(context) {}
        isProceeding = false
        resumeReading(context)
        closeIfDone(context)
    }

    /// - Returns: whether a line was taken.
    private func takeLines(_ context: ChannelHandlerContext) -> Bool {
        var hasTaken = false
        while !isClosing, slots.count < ServerLimits.pipelinedRequestsMax, let line = nextLine() {
            hasTaken = true
            if line.readableBytes > PaymentLimits.lineBytesMax {
                isClosing = true
                received.clear()
                slots.append(.ready(Answers.declined(.badRequest), closesAfter: true, isPayment: false))
            } else if line.readableBytes > 0 {
                take(line, context)
            }
        }
        if received.readableBytes == 0 { received.clear(minimumCapacity: 0) }
        return hasTaken
    }

    /// The next line without its end; a rest that is longer than a line may be counts as one, so that it is refused.
    private func nextLine() -> ByteBuffer? {
        let view = received.readableBytesView
        let unseen = view.dropFirst(scanned)
        if let end = unseen.firstIndex(of: UInt8(ascii: "\n")) {
            var length = end - view.startIndex
            scanned = 0
            guard var line = received.readSlice(length: length) else { return nil }
            received.moveReaderIndex(forwardBy: 1)
            if line.readableBytesView.last == UInt8(ascii: "\r") {
                length -= 1
                line = line.getSlice(at: line.readerIndex, length: length) ?? line
            }
            return line
        }
        scanned = view.count
        // One byte more may be the CR of a line of the full length.
        let isTooLong = view.count > PaymentLimits.lineBytesMax + 1
        // A client that shuts down its side after the last request need not end it with a line feed.
        guard isTooLong || (inputIsOver && !view.isEmpty) else { return nil }
        scanned = 0
        return received.readSlice(length: view.count)
    }

    private static let questionStart = Array("GET ".utf8)

    private func take(_ line: ByteBuffer, _ context: ChannelHandlerContext) {
        let number = firstSlot + UInt64(slots.count)
        slots.append(.waiting)
        let channel = context.channel
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let isPayment = !line.readableBytesView.starts(with: Self.questionStart)
        let fill: @Sendable (String) -> Void = { body in
            if channel.eventLoop.inEventLoop {
                let (handler, context) = bound.value
                handler.fill(number, body, isPayment: isPayment, context)
            } else {
                channel.eventLoop.execute {
                    let (handler, context) = bound.value
                    handler.fill(number, body, isPayment: isPayment, context)
                }
            }
        }
        guard isPayment else { return answerQuery(line, fill) }
        let faults = front.faults
        if faults.fails(ClientPoint.requestRead) { return breakOff(context) }
        front.pay(line.readableBytesView) { answer in
            if faults.fails(ClientPoint.answerReady) { return channel.close(promise: nil) }
            fill(answer.body)
        }
    }

    private func answerQuery(_ line: ByteBuffer, _ fill: @escaping @Sendable (String) -> Void) {
        let text = String(decoding: line.readableBytesView.dropFirst(4), as: UTF8.self)
        let word = text.split(separator: " ").first.map(String.init) ?? ""
        guard let target = RequestTarget(word), let query = Query(path: target.path, query: target.query) else {
            return fill(#"{"error":"not_found"}"#)
        }
        front.answer(query, metrics: .json) { fill($0.body) }
    }

    // MARK: - Answers

    private func fill(_ number: UInt64, _ body: String, isPayment: Bool, _ context: ChannelHandlerContext) {
        guard number >= firstSlot, number - firstSlot < UInt64(slots.count) else { return }
        slots[offset: Int(number - firstSlot)] = .ready(body, closesAfter: false, isPayment: isPayment)
        guard !isProceeding, writeReady(context) else { return }
        proceed(context)
    }

    /// - Returns: whether an answer was written.
    private func writeReady(_ context: ChannelHandlerContext) -> Bool {
        var output: ByteBuffer?
        var closes = false
        var payments = 0
        while !closes, case .ready(let body, let closesAfter, let isPayment)? = slots.first {
            slots.removeFirst()
            if isPayment { payments += 1 }
            firstSlot += 1
            var buffer = output ?? context.channel.allocator.buffer(capacity: 256)
            buffer.writeString(body)
            buffer.writeInteger(UInt8(ascii: "\n"))
            output = buffer
            closes = closesAfter
        }
        guard let output else { return false }
        guard closes || front.faults.isOn else {
            context.writeAndFlush(wrapOutboundOut(output), promise: nil)
            return true
        }
        let written = context.writeAndFlush(wrapOutboundOut(output))
        if front.faults.isOn { noteWritten(payments, written, context) }
        if closes {
            let channel = context.channel
            written.whenComplete { _ in Farewell.say(channel) }
        }
        return true
    }

    /// For tests: says that the answers to payments are with the kernel.
    private func noteWritten(_ payments: Int, _ written: EventLoopFuture<Void>, _ context: ChannelHandlerContext) {
        let (faults, channel) = (front.faults, context.channel)
        written.whenSuccess {
            for _ in 0..<payments where faults.fails(ClientPoint.answerWritten) { channel.close(promise: nil) }
        }
    }

    private func breakOff(_ context: ChannelHandlerContext) {
        isClosing = true
        context.close(promise: nil)
    }

    private func resumeReading(_ context: ChannelHandlerContext) {
        guard isReadWanted, slots.count < ServerLimits.pipelinedRequestsMax, context.channel.isWritable else { return }
        isReadWanted = false
        context.read()
    }

    private func closeIfDone(_ context: ChannelHandlerContext) {
        guard inputIsOver, !isClosing, slots.isEmpty, received.readableBytes == 0 else { return }
        isClosing = true
        context.close(promise: nil)
    }

    // MARK: - Idleness

    private func scheduleIdleCheck(_ context: ChannelHandlerContext, after delay: TimeAmount) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        idleCheck = context.eventLoop.scheduleTask(in: delay) {
            let (handler, context) = bound.value
            handler.checkIdleness(context)
        }
    }

    private func checkIdleness(_ context: ChannelHandlerContext) {
        let silence = NIODeadline.now() - lastInput
        // Whoever waits for an answer has the right to be silent.
        guard slots.isEmpty else { return scheduleIdleCheck(context, after: idleTimeout) }
        guard silence >= idleTimeout else { return scheduleIdleCheck(context, after: idleTimeout - silence) }
        isClosing = true
        context.close(promise: nil)
    }
}
