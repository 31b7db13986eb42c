public import NIOCore
public import NIOHTTP1

/// Serves HTTP/1.1 (and 1.0) on one connection: gathers each request, has it answered, writes the answers in order.
///
/// Behind NIO's pipelining assistance, so one request of a connection is in work at a time and nothing is read meanwhile:
/// what a connection can occupy is bounded by ``HTTPServiceLimits``. A connection whose peer has shut down its sending side
/// still gets its answers, if the channel allows half-closure (`ChannelOptions.allowRemoteHalfClosure`).
///
/// A missing `Host` is tolerated: clients in the field speak to one service by its address, and no answer depends on it.
public final class HTTPServiceHandler: ChannelInboundHandler {
    public typealias InboundIn = HTTPServerRequestPart
    public typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        /// No request is in work. Goes to `receiving`, to `finishing` at an error, to `closed`.
        case idle
        /// The head is here, the end is not. Goes to `answering`, or to `finishing` when the request is refused early.
        case receiving(Exchange, RequestTarget, HTTPRequestHead, ByteBuffer)
        /// The responder has the request. Goes to `blocked`, `idle`, `finishing` or `closed`.
        case answering(Exchange)
        /// The answer waits until the peer takes what was written before. Goes to `idle` or `finishing`.
        case blocked(Exchange, ServiceAnswer)
        /// The last answer is being written. Goes to `lingering` when the system has taken it.
        case finishing
        /// The last answer is written and our side is shut; what still arrives is thrown away. Goes to `closed`.
        case lingering(bytesLeft: Int)
        /// Nothing more happens.
        case closed
    }

    /// A request in work.
    private struct Exchange {
        /// Tells late calls of an answer closure from those of the request in work.
        let number: UInt64
        let isHead: Bool
        let isHTTP10: Bool
        let keepsAlive: Bool
    }

    private let limits: HTTPServiceLimits
    private let responder: ServiceResponder
    private var state = State.idle
    private var requests: UInt64 = 0
    /// The peer sends no more.
    private var inputClosed = false
    /// An answer that comes from within the responder's own call is written after that call: pipelined requests would
    /// otherwise nest on the stack.
    private var isResponding = false
    /// Since when the connection owes us a complete request, or the taking of an answer.
    private var waitingSince = NIODeadline.now()
    private var timer: Scheduled<Void>?
    private var context: ChannelHandlerContext?

    init(limits: HTTPServiceLimits, responder: @escaping ServiceResponder) {
        self.limits = limits
        self.responder = responder
    }

    /// Installs the service at the end of a connection's pipeline, on the connection's event loop. Whoever has read bytes of
    /// the connection already fires them through the pipeline afterwards.
    ///
    /// - Throws: an error of NIO if the pipeline cannot be changed any more.
    public static func addHTTPService(
        to pipeline: ChannelPipeline.SynchronousOperations, limits: HTTPServiceLimits = HTTPServiceLimits(),
        responder: @escaping ServiceResponder
    ) throws {
        var decoderLimits = NIOHTTPDecoderLimitConfiguration()
        decoderLimits.maxHeaderFieldSize = limits.headerFieldBytesMax
        decoderLimits.maxHeaderListSize = limits.headerListBytesMax
        decoderLimits.maxHeaderFieldCount = limits.headerFieldsMax
        // Parser errors are answered here, where it is known whether an answer is under way.
        try pipeline.configureHTTPServerPipeline(
            withErrorHandling: false, withEncoderConfiguration: HTTPResponseEncoder.Configuration(),
            withDecoderLimitConfiguration: decoderLimits)
        try pipeline.addHandler(HTTPServiceHandler(limits: limits, responder: responder))
    }

    // MARK: Events of the channel

    public func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        waitingSince = .now()
        armTimer(in: limits.requestTimeMax, context: context)
    }

    public func handlerRemoved(context: ChannelHandlerContext) { finish() }

    public func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): receive(head, context: context)
        case .body(let part): receive(part, context: context)
        case .end: receiveEnd(context: context)
        }
    }

    public func channelWritabilityChanged(context: ChannelHandlerContext) {
        if case .blocked(let exchange, let answer) = state, context.channel.isWritable {
            write(answer, exchange, context: context)
        }
        context.fireChannelWritabilityChanged()
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            inputClosed = true
            switch state {
            case .idle, .receiving, .lingering: close(context: context)
            case .answering, .blocked, .finishing, .closed: break
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let parserError = error as? HTTPParserError else { return close(context: context) }
        let status: HTTPResponseStatus = parserError == .headerOverflow ? .requestHeaderFieldsTooLarge : .badRequest
        switch state {
        case .idle, .receiving:
            let answer = Self.refusal(status, "the request is not valid HTTP/1.1")
            write(answer, closingExchange(), context: context)
        case .finishing: break
        case .answering, .blocked, .lingering, .closed: close(context: context)
        }
    }

    // MARK: The request

    private func receive(_ head: HTTPRequestHead, context: ChannelHandlerContext) {
        guard case .idle = state else { return }
        requests &+= 1
        let exchange = Exchange(
            number: requests, isHead: head.method == .HEAD, isHTTP10: head.version == .http1_0,
            keepsAlive: head.isKeepAlive && !inputClosed)
        guard head.version.major == 1 else {
            return refuse(.httpVersionNotSupported, "use HTTP/1.1", exchange, context: context)
        }
        guard let target = RequestTarget(head.uri) else {
            return refuse(.badRequest, "the request's target is malformed", exchange, context: context)
        }
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > limits.bodyBytesMax {
            return refuseTooLarge(exchange, context: context)
        }
        if head.version.minor >= 1, let expectation = head.headers.first(name: "expect") {
            guard expectation.lowercased() == "100-continue" else {
                return refuse(.expectationFailed, "only 100-continue may be expected", exchange, context: context)
            }
            let interim = HTTPResponseHead(version: .http1_1, status: .continue)
            context.writeAndFlush(wrapOutboundOut(.head(interim)), promise: nil)
        }
        state = .receiving(exchange, target, head, ByteBuffer())
    }

    private func receive(_ part: ByteBuffer, context: ChannelHandlerContext) {
        switch state {
        case .receiving(let exchange, let target, let head, var body):
            guard body.readableBytes + part.readableBytes <= limits.bodyBytesMax else {
                return refuseTooLarge(exchange, context: context)
            }
            if body.readableBytes == 0 {
                body = part
            } else {
                // The state's own reference goes first: otherwise each part would copy all parts before it.
                state = .idle
                body.writeImmutableBuffer(part)
            }
            state = .receiving(exchange, target, head, body)
        case .lingering(let bytesLeft):
            guard bytesLeft > part.readableBytes else { return close(context: context) }
            state = .lingering(bytesLeft: bytesLeft - part.readableBytes)
        case .idle, .answering, .blocked, .finishing, .closed: break
        }
    }

    private func receiveEnd(context: ChannelHandlerContext) {
        guard case .receiving(let exchange, let target, let head, let body) = state else { return }
        state = .answering(exchange)
        let request = ServiceRequest(
            method: exchange.isHead ? .GET : head.method, path: target.path, query: target.query,
            headers: head.headers, body: body)
        let eventLoop = context.eventLoop
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        let number = exchange.number
        isResponding = true
        responder(request) { response in
            if eventLoop.inEventLoop, !handler.value.isResponding {
                handler.value.answered(number, response)
            } else {
                eventLoop.execute { handler.value.answered(number, response) }
            }
        }
        isResponding = false
    }

    // MARK: The answer

    private func answered(_ number: UInt64, _ response: ServiceResponse) {
        guard case .answering(let exchange) = state, exchange.number == number, let context else { return }
        switch response {
        case .dropConnection: close(context: context)
        case .answer(let answer):
            if context.channel.isWritable {
                write(answer, exchange, context: context)
            } else {
                waitingSince = .now()
                state = .blocked(exchange, answer)
            }
        }
    }

    private func write(_ answer: ServiceAnswer, _ exchange: Exchange, context: ChannelHandlerContext) {
        let keepsAlive = exchange.keepsAlive && !inputClosed
        var headers = answer.headers
        let hasBody = answer.status.mayHaveResponseBody
        if hasBody { headers.replaceOrAdd(name: "content-length", value: String(answer.body.readableBytes)) }
        if !keepsAlive {
            headers.replaceOrAdd(name: "connection", value: "close")
        } else if exchange.isHTTP10 {
            headers.replaceOrAdd(name: "connection", value: "keep-alive")
        }
        let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if hasBody, !exchange.isHead, answer.body.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil)
        }
        waitingSince = .now()
        // The state changes first: writing the end may deliver the next request within the call.
        state = keepsAlive ? .idle : .finishing
        guard !keepsAlive else { return context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil) }
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in handler.value.linger() }
    }

    /// Answers before the request is complete; the rest of it is thrown away.
    private func refuse(
        _ status: HTTPResponseStatus, _ reason: String, _ exchange: Exchange, context: ChannelHandlerContext
    ) {
        let last = Exchange(
            number: exchange.number, isHead: exchange.isHead, isHTTP10: exchange.isHTTP10, keepsAlive: false)
        write(Self.refusal(status, reason), last, context: context)
    }

    private func refuseTooLarge(_ exchange: Exchange, context: ChannelHandlerContext) {
        let reason = "the request's body is larger than \(limits.bodyBytesMax) bytes"
        refuse(.payloadTooLarge, reason, exchange, context: context)
    }

    private static func refusal(_ status: HTTPResponseStatus, _ reason: String) -> ServiceAnswer {
        ServiceAnswer(
            status: status, contentType: "application/json", body: ByteBuffer(string: #"{"error":"\#(reason)"}"#))
    }

    private func closingExchange() -> Exchange {
        requests &+= 1
        return Exchange(number: requests, isHead: false, isHTTP10: false, keepsAlive: false)
    }

    // MARK: The end

    private func linger() {
        guard case .finishing = state, let context else { return }
        if inputClosed { return close(context: context) }
        state = .lingering(bytesLeft: limits.lingerBytesMax)
        context.close(mode: .output, promise: nil)
        armTimer(in: limits.lingerTimeMax, context: context)
    }

    private func close(context: ChannelHandlerContext) {
        finish()
        context.close(promise: nil)
    }

    private func finish() {
        state = .closed
        timer?.cancel()
        timer = nil
        context = nil
    }

    private func armTimer(in delay: TimeAmount, context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: delay) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        guard let context else { return }
        let now = NIODeadline.now()
        switch state {
        case .answering:
            waitingSince = now
            armTimer(in: limits.requestTimeMax, context: context)
        case .idle, .receiving, .blocked, .finishing:
            let end = waitingSince + limits.requestTimeMax
            if now >= end {
                close(context: context)
            } else {
                armTimer(in: end - now, context: context)
            }
        case .lingering, .closed: close(context: context)
        }
    }
}

@available(*, unavailable)
extension HTTPServiceHandler: Sendable {}
