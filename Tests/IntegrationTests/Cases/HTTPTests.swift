import Foundation
import Testing

@testable import Harness

extension Integration {
    /// HTTP/1.1 on the port of the line protocol, as curl speaks it.
    @Suite struct HTTPTests {
        @Test("Goal: what a bare line asks can be asked by curl on the same port, on a connection that stays")
        func curl() throws {
            try World.run { world in
                let server = try world.start()
                let http = try HTTPConnection(port: server.configuration.port)
                for path in ["/healthz", "/readyz", "/healthz"] {
                    let reply = try http.request("GET", path)
                    #expect(
                        reply.status == 200 && reply.text.trimmingCharacters(in: .newlines) == "OK", "\(path): \(reply)"
                    )
                    #expect(reply.headers["connection"]?.lowercased() != "close")
                }
                #expect(try http.request("GET", "/livez").status == 200)
                #expect(try http.request("GET", "/no-such-path").status == 404)
                let head = try http.request("HEAD", "/healthz")
                #expect(head.status == 200)

                try world.pay(Payment(requestID: "h 1".replacingOccurrences(of: " ", with: "+"), amount: "12.34"))
                let shown = try http.request("GET", "/tx?request_id=h%2B1")
                #expect(shown.status == 200 && shown.text.contains(#""amount":"12.34""#), "\(shown)")

                let version = try http.request("GET", "/version")
                #expect(version.text.contains(#""version":""#))
                // Over HTTP the metrics are Prometheus' text, with a help and a type for each.
                let metrics = try http.request("GET", "/metrics")
                #expect(metrics.status == 200 && metrics.headers["content-type"]?.hasPrefix("text/plain") == true)
                #expect(metrics.text.contains("# TYPE "))
                #expect(try http.request("GET", "/readyz?verbose").status == 200)
                #expect(try http.request("GET", "/healthz").status == 200, "the connection is still there")
                try world.finish()
            }
        }

        @Test("Goal: pipelined HTTP requests are answered in order; Connection: close is honoured")
        func pipelining() throws {
            try World.run { world in
                let server = try world.start()
                let http = try HTTPConnection(port: server.configuration.port)
                let targets = (0..<30).map { $0 % 3 == 0 ? "/healthz" : "/tx?request_id=none-\($0)" }
                for target in targets { try http.send("GET", target) }
                for target in targets {
                    let reply = try http.receive()
                    #expect(reply.text.contains(target == "/healthz" ? "OK" : "NOT_FOUND"))
                }
                let last = try http.request("GET", "/healthz", headers: ["Connection": "close"])
                #expect(last.status == 200)
                #expect(try http.connection.isClosedByPeer(within: .seconds(5)))
                try world.finish()
            }
        }

        @Test("Goal: /secure takes payments from whoever has the token, with HTTP's status codes")
        func secure() throws {
            try World.run(environment: ["API_TOKEN": "integration-token"]) { world in
                let server = try world.start()
                let port = server.configuration.port
                let token = ["Authorization": "Bearer integration-token", "Content-Type": "application/json"]
                let payment = Payment(requestID: "secure-1")

                for headers in [[:], ["Authorization": "Bearer wrong"], ["Authorization": "integration-token"]] {
                    let refused = try HTTPConnection.once(
                        port: port, "POST", "/secure/tx", headers: headers, body: payment.json)
                    #expect(refused.status == 401 && refused.text.contains(#"{"error":"unauthorized""#), "\(refused)")
                }
                #expect(try world.rows() == [])
                #expect(try HTTPConnection.once(port: port, "GET", "/secure/ping", headers: token).status == 200)

                let http = try HTTPConnection(port: port)
                func post(_ body: String) throws -> (status: Int, answer: Answer) {
                    let reply = try http.request("POST", "/secure/tx", headers: token, body: body)
                    return (reply.status, try Answer(line: Array(reply.text.trimmingCharacters(in: .newlines).utf8)))
                }
                let made = try post(payment.json)
                world.ledger.note(payment, .answer(made.answer))
                #expect(made.status == 200 && made.answer.status == .approved)
                let again = try post(payment.json)
                #expect(
                    again.status == 200 && again.answer.isIdempotent
                        && again.answer.transactionID == made.answer.transactionID)

                let other = try post(Payment(requestID: "secure-1", pan: payment.pan, amount: "99.00").json)
                #expect(other.status == 422 && other.answer.isRefusal("idempotency_conflict"))
                #expect(try post("{").status == 400)
                #expect(try post(Payment(requestID: nil, pan: TestCards.invalid()).json).status == 400)
                #expect(try post(Payment(requestID: nil, amount: "-1").json).status == 400)
                try world.simulator.set(Faults(declineRate: 1))
                let declined = Payment(requestID: "secure-2")
                let refusal = try post(declined.json)
                world.ledger.note(declined, .answer(refusal.answer))
                #expect(refusal.status == 402 && refusal.answer.reason == "clearing_declined")
                try world.finish()
            }
        }

        @Test(
            "Goal: a payment over HTTP whose connection breaks before its answer is made once, and a repeat is told",
            arguments: ["request-read", "answer-ready"])
        func answerLost(point: String) throws {
            try World.run(environment: ["API_TOKEN": "integration-token"]) { world in
                let server = try world.start(fault: "\(point):1:error")
                let token = ["Authorization": "Bearer integration-token", "Content-Type": "application/json"]
                let payment = Payment(requestID: "http-lost")
                func post() throws -> Answer {
                    let reply = try HTTPConnection.once(
                        port: server.configuration.port, "POST", "/secure/tx", headers: token, body: payment.json)
                    return try Answer(line: Array(reply.text.trimmingCharacters(in: .newlines).utf8))
                }
                #expect(throws: (any Error).self) { try post() }
                let answer = try post()
                world.ledger.note(payment, .answer(answer))
                #expect(answer.status == .approved && answer.isIdempotent == (point == "answer-ready"))
                try world.finish()
            }
        }

        @Test("Goal: without API_TOKEN nothing is served under /secure")
        func secureWithoutToken() throws {
            try World.run { world in
                let server = try world.start()
                for headers in [[:], ["Authorization": "Bearer "], ["Authorization": "Bearer x"]] {
                    let reply = try HTTPConnection.once(
                        port: server.configuration.port, "POST", "/secure/tx", headers: headers,
                        body: Payment(requestID: "insecure").json)
                    #expect(reply.status == 401, "\(reply)")
                }
                #expect(try world.rows() == [])
                try world.finish()
            }
        }
    }
}
