public import NIOCore
public import NIOHTTP1

/// A complete request.
public struct ServiceRequest: Sendable {
    /// What is asked for. A HEAD is shown as GET: its answer's body is counted and left out by the service.
    public let method: HTTPMethod
    /// The path with its percent-encoding removed; begins with `/`, or is `*`.
    public let path: String
    /// The query's parameters in the order sent.
    public let query: [QueryParameter]
    public let headers: HTTPHeaders
    /// At most ``HTTPServiceLimits/bodyBytesMax`` bytes.
    public let body: ByteBuffer

    public init(
        method: HTTPMethod, path: String, query: [QueryParameter] = [], headers: HTTPHeaders = [:],
        body: ByteBuffer = ByteBuffer()
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
    }

    /// The value of the first parameter of that name; `nil` if there is none.
    public func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }
}

/// What a request is answered with.
public enum ServiceResponse: Sendable {
    case answer(ServiceAnswer)
    /// Close the connection without an answer, as a crashed server would.
    case dropConnection

    /// An answer in JSON.
    public static func json(_ text: String, status: HTTPResponseStatus = .ok, headers: HTTPHeaders = [:]) -> Self {
        json(ByteBuffer(string: text), status: status, headers: headers)
    }

    /// An answer in JSON that was encoded before.
    public static func json(_ body: ByteBuffer, status: HTTPResponseStatus = .ok, headers: HTTPHeaders = [:]) -> Self {
        .answer(ServiceAnswer(status: status, contentType: "application/json", headers: headers, body: body))
    }

    /// An answer in plain text.
    public static func text(_ text: String, status: HTTPResponseStatus = .ok, headers: HTTPHeaders = [:]) -> Self {
        .answer(
            ServiceAnswer(
                status: status, contentType: "text/plain; charset=utf-8", headers: headers,
                body: ByteBuffer(string: text)))
    }
}

/// A status, headers and a body. The service adds `Content-Length` and `Connection`.
public struct ServiceAnswer: Sendable {
    public let status: HTTPResponseStatus
    public let headers: HTTPHeaders
    public let body: ByteBuffer

    /// - Parameters:
    ///   - contentType: left out when the body is empty.
    ///   - headers: further fields; `Content-Length`, `Transfer-Encoding` and `Connection` are the service's own.
    public init(
        status: HTTPResponseStatus, contentType: String, headers: HTTPHeaders = [:], body: ByteBuffer = ByteBuffer()
    ) {
        var all = headers
        for name in ["content-length", "transfer-encoding", "connection"] { all.remove(name: name) }
        if body.readableBytes > 0 { all.replaceOrAdd(name: "content-type", value: contentType) }
        self.status = status
        self.headers = all
        self.body = body
    }
}

/// Answers a request: calls the closure exactly once, now or later, on any thread. Calls after the first have no effect.
///
/// The next request of a connection is delivered after the answer to the one before it.
public typealias ServiceResponder =
    @Sendable (ServiceRequest, _ answer: @escaping @Sendable (ServiceResponse) -> Void) -> Void
