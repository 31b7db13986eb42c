import Foundation
import HTTPService
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import ClearingSimulator

/// Goal: the HTTP service that the simulator and the payment server share answers what HTTP/1.1 asks for, in order and within its
/// bounds, whatever a client sends.
@Suite struct HTTPServiceTests {
    /// Runs a service for the time of `body`, which gets its port.
    private static func withService(
        limits: HTTPServiceLimits = HTTPServiceLimits(), responder: @escaping ServiceResponder = echo,
        _ body: @escaping @Sendable (Int) throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let listener = try await Listener.start(
            host: "127.0.0.1", port: 0, group: group, limits: limits, responder: responder)
        // The sockets of the tests block, so they run on a thread of their own.
        let result = await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: Result { try body(listener.port) }) }
        }
        try await listener.close()
        try result.get()
    }

    private static let echo: ServiceResponder = { request, answer in
        let query = request.query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
        let body = String(buffer: request.body)
        answer(.text("\(request.method) \(request.path) [\(query)] \(body)"))
    }

    @Test func keepAliveAndPipelining() async throws {
        try await Self.withService { port in
            let connection = try RawConnection(port: port)
            for round in 0..<3 {
                let requests = (0..<500).map { index in
                    index.isMultiple(of: 2)
                        ? "GET /\(round)/\(index)?a=1&b HTTP/1.1\r\nHost: x\r\n\r\n"
                        : "POST /\(round)/\(index) HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                }
                try connection.send(requests.joined())
                for index in 0..<500 {
                    let response = try connection.response()
                    #expect(response.status == 200)
                    #expect(response.headers["connection"] == nil)
                    let expected =
                        index.isMultiple(of: 2) ? "GET /\(round)/\(index) [a=1&b=] " : "POST /\(round)/\(index) [] abc"
                    #expect(response.body == expected)
                }
            }
        }
    }

    /// Answers that come late, from another thread, and in another order than the requests of several connections.
    @Test func lateAnswersInOrder() async throws {
        let responder: ServiceResponder = { request, answer in
            let delay = request.path.hasSuffix("0") ? 0.05 : 0.001
            DispatchQueue.global().asyncAfter(deadline: .now() + delay) {
                answer(.text(request.path))
                answer(.text("a second answer to one request"))
            }
        }
        try await Self.withService(responder: responder) { port in
            let connections = try (0..<8).map { _ in try RawConnection(port: port) }
            for (number, connection) in connections.enumerated() {
                try connection.send((0..<12).map { "GET /\(number)/\($0) HTTP/1.1\r\n\r\n" }.joined())
            }
            for (number, connection) in connections.enumerated() {
                for index in 0..<12 { #expect(try connection.response().body == "/\(number)/\(index)") }
            }
        }
    }

    @Test func percentDecoding() async throws {
        try await Self.withService { port in
            let connection = try RawConnection(port: port)
            try connection.send("GET /a%20b/%C3%A4?x%3D=1%262&y=a+b HTTP/1.1\r\n\r\n")
            #expect(try connection.response().body == "GET /a b/ä [x==1&2&y=a+b] ")
            try connection.send("GET http://somewhere:80/p?q=1 HTTP/1.1\r\n\r\n")
            #expect(try connection.response().body == "GET /p [q=1] ")
        }
    }

    @Test(arguments: ["/%", "/%4", "/%zz", "/%ff", "/%00", "/a#b", "nopath", "/?a=%C3"])
    func malformedTarget(target: String) async throws {
        try await Self.withService { port in
            let connection = try RawConnection(port: port)
            try connection.send("GET \(target) HTTP/1.1\r\n\r\n")
            #expect(try connection.response().status == 400)
            #expect(try connection.isAtEnd())
        }
    }

    @Test func head() async throws {
        try await Self.withService { port in
            let connection = try RawConnection(port: port)
            try connection.send("HEAD /a HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\n")
            let head = try connection.response(isHead: true)
            let get = try connection.response()
            #expect(head.body.isEmpty)
            #expect(head.headers == get.headers)
            #expect(get.body == "GET /a [] ")
        }
    }

    @Test func http10() async throws {
        try await Self.withService { port in
            let closing = try RawConnection(port: port)
            try closing.send("GET /a HTTP/1.0\r\n\r\n")
            #expect(try closing.response().headers["connection"] == "close")
            #expect(try closing.isAtEnd())
            let keeping = try RawConnection(port: port)
            for _ in 0..<2 {
                try keeping.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                #expect(try keeping.response().headers["connection"] == "keep-alive")
            }
        }
    }

    @Test func connectionClose() async throws {
        try await Self.withService { port in
            let connection = try RawConnection(port: port)
            try connection.send("GET /a HTTP/1.1\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
            let response = try connection.response()
            #expect(response.body == "GET /a [] ")
            #expect(response.headers["connection"] == "close")
            #expect(try connection.isAtEnd())
        }
    }

    @Test func chunkedBody() async throws {
        try await Self.withService { port in
            let connection = try RawConnection(port: port)
            try connection.send(
                "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            #expect(try connection.response().body == "POST /a [] abcde")
        }
    }

    @Test func expectContinue() async throws {
        try await Self.withService { port in
            let connection = try RawConnection(port: port)
            try connection.send("POST /a HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            #expect(try connection.response().status == 100)
            try connection.send("abc")
            #expect(try connection.response().body == "POST /a [] abc")
            try connection.send("POST /a HTTP/1.1\r\nContent-Length: 3\r\nExpect: something\r\n\r\n")
            #expect(try connection.response().status == 417)
        }
    }

    /// The answer reaches a client that goes on sending all the same.
    @Test(arguments: [false, true]) func tooLarge(isChunked: Bool) async throws {
        var limits = HTTPServiceLimits()
        limits.bodyBytesMax = 1000
        try await Self.withService(limits: limits) { port in
            let connection = try RawConnection(port: port)
            let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 200000"
            try connection.send("POST /a HTTP/1.1\r\n\(framing)\r\n\r\n")
            if isChunked { try connection.send("30d40\r\n") }
            try connection.send(String(repeating: "x", count: 200_000))
            let response = try connection.response()
            #expect(response.status == 413)
            #expect(response.body.contains("1000 bytes"))
            #expect(response.headers["connection"] == "close")
        }
    }

    @Test func exactlyTheLimit() async throws {
        var limits = HTTPServiceLimits()
        limits.bodyBytesMax = 1000
        try await Self.withService(limits: limits) { port in
            let connection = try RawConnection(port: port)
            let body = String(repeating: "x", count: 1000)
            try connection.send("POST /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\n\(body)")
            #expect(try connection.response().status == 200)
        }
    }

    @Test(arguments: [
        "nonsense\r\n\r\n", "GET /\r\nHost x\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "GET / HTTP/1.1\r\nA\u{1}B: c\r\n\r\n",
    ])
    func malformedRequest(text: String) async throws {
        try await Self.withService { port in
            let connection = try RawConnection(port: port)
            try connection.send(text)
            let response = try connection.response()
            #expect(response.status == 400)
            #expect(response.headers["connection"] == "close")
            #expect(try connection.isAtEnd())
        }
    }

    /// A malformed request does not take the place of the answer to the one before it.
    @Test func malformedAfterValid() async throws {
        let responder: ServiceResponder = { request, answer in
            DispatchQueue.global().asyncAfter(deadline: .now() + 0.05) { answer(.text(request.path)) }
        }
        try await Self.withService(responder: responder) { port in
            let connection = try RawConnection(port: port)
            try connection.send("GET /first HTTP/1.1\r\n\r\nnonsense\r\n\r\n")
            #expect(try connection.response().body == "/first")
            #expect(try connection.response().status == 400)
            #expect(try connection.isAtEnd())
        }
    }

    @Test func headersTooLarge() async throws {
        try await Self.withService { port in
            for header in [
                "A: " + String(repeating: "x", count: 9000), String(repeating: "A: b\r\n", count: 200) + "A: b",
            ] {
                let connection = try RawConnection(port: port)
                try connection.send("GET / HTTP/1.1\r\n\(header)\r\n\r\n")
                #expect(try connection.response().status == 431)
            }
        }
    }

    /// A client that has shut down its sending side gets all its answers, then the end.
    @Test func halfClosed() async throws {
        let responder: ServiceResponder = { request, answer in
            DispatchQueue.global().asyncAfter(deadline: .now() + 0.02) { answer(.text(request.path)) }
        }
        try await Self.withService(responder: responder) { port in
            let connection = try RawConnection(port: port)
            try connection.send((0..<5).map { "GET /\($0) HTTP/1.1\r\n\r\n" }.joined())
            connection.shutDownSending()
            for index in 0..<5 { #expect(try connection.response().body == "/\(index)") }
            #expect(try connection.isAtEnd())
        }
    }

    @Test func dropConnection() async throws {
        let responder: ServiceResponder = { request, answer in
            answer(request.path == "/drop" ? .dropConnection : .text("fine"))
        }
        try await Self.withService(responder: responder) { port in
            let connection = try RawConnection(port: port)
            try connection.send("GET / HTTP/1.1\r\n\r\n")
            #expect(try connection.response().body == "fine")
            try connection.send("GET /drop HTTP/1.1\r\n\r\n")
            #expect(try connection.isAtEnd())
        }
    }

    /// A connection that does not complete a request in time is closed; the time of an answer does not count.
    @Test func requestTime() async throws {
        var limits = HTTPServiceLimits()
        limits.requestTimeMax = .milliseconds(1000)
        let responder: ServiceResponder = { _, answer in
            DispatchQueue.global().asyncAfter(deadline: .now() + 2.5) { answer(.text("late but there")) }
        }
        try await Self.withService(limits: limits, responder: responder) { port in
            let idle = try RawConnection(port: port)
            let slow = try RawConnection(port: port)
            let patient = try RawConnection(port: port)
            try slow.send("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nab")
            try patient.send("GET /a HTTP/1.1\r\n\r\n")
            #expect(try idle.isAtEnd())
            #expect(try slow.isAtEnd())
            #expect(try patient.response().body == "late but there")
            #expect(try patient.isAtEnd())
        }
    }

    /// A client that sends and never reads does not make the process keep its answers: requests wait instead.
    @Test func neverReading() async throws {
        let served = Mutex(0)
        let block = String(repeating: "x", count: 100_000)
        let responder: ServiceResponder = { _, answer in
            served.withLock { $0 += 1 }
            answer(.text(block))
        }
        try await Self.withService(responder: responder) { port in
            let connection = try RawConnection(port: port)
            try connection.send(String(repeating: "GET / HTTP/1.1\r\n\r\n", count: 2000))
            // Long enough for a service without the bound to answer all 2000.
            usleep(500_000)
            let before = served.withLock { $0 }
            #expect(before < 200, "answers of 200 MB would be kept in memory")
            for _ in 0..<2000 { #expect(try connection.response().body.utf8.count == block.utf8.count) }
            #expect(served.withLock { $0 } == 2000)
        }
    }
}
