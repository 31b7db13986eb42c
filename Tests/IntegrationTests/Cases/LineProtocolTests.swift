import Foundation
import Testing

@testable import Harness

extension Integration {
    /// The line protocol as its clients know it.
    @Suite struct LineProtocolTests {
        @Test("Goal: the forms of a request that the contract allows are all taken, and written down exactly")
        func acceptedForms() throws {
            try World.run { world in
                let client = try world.start().client()
                func taken(
                    _ payment: Payment, _ line: String, amount: String,
                    sourceLocation: SourceLocation = #_sourceLocation
                ) throws {
                    try client.send(line: line)
                    let answer = try client.answer()
                    world.ledger.note(payment, .answer(answer))
                    #expect(answer.status == .approved, "\(line.count) bytes", sourceLocation: sourceLocation)
                    let row = try world.rows().first { $0.transactionID == answer.transactionID }
                    #expect(row.map { Amount.areEqual($0.amount, amount) } == true, sourceLocation: sourceLocation)
                }
                for digits in [12, 16, 19] {
                    let payment = Payment(requestID: "digits-\(digits)", pan: TestCards.make(digits: digits))
                    try taken(payment, payment.json, amount: "12.34")
                }
                for amount in ["0.01", "10000.00", "10000", "7", "7.5", "0010.50"] {
                    let payment = Payment(requestID: "amount-\(amount)", amount: amount)
                    try taken(payment, payment.json, amount: amount)
                }
                let numbers = Payment(requestID: "numbers", amount: "10.50")
                try taken(numbers, #"{"pan":\#(numbers.pan),"amount":10.50,"request_id":"numbers"}"#, amount: "10.50")
                let alias = Payment(requestID: "alias", merchant: "SHOP 7")
                try taken(
                    alias, #"{"merchant_id":"SHOP 7","request_id":"alias","amount":"12.34","pan":"\#(alias.pan)"}"#,
                    amount: "12.34")
                let spaced = Payment(requestID: "spaced")
                try taken(
                    spaced,
                    "  { \"pan\" : \"\(spaced.pan)\" ,\t\"amount\" : \"12.34\", \"request_id\":\"spaced\", \"later\":{\"a\":[1]} , \"type\":\"AUTH\" } \r",
                    amount: "12.34")
                let yen = Payment(requestID: "yen", amount: "500", currency: "JPY")
                try taken(yen, yen.json, amount: "500")
                let longest = Payment(requestID: String(repeating: "x", count: 64))
                try taken(longest, longest.json, amount: "12.34")
                // A line of exactly 8 KiB: the limit itself is allowed.
                let big = Payment(requestID: "big")
                let filler = String(repeating: "f", count: 8192 - big.json.utf8.count - #","filler":"""#.utf8.count)
                try taken(big, big.json.dropLast() + #","filler":"\#(filler)"}"#, amount: "12.34")

                let rows = try world.rows()
                #expect(rows.first { $0.requestID == "alias" }?.merchant == "SHOP 7")
                #expect(rows.first { $0.requestID == "numbers" }?.merchant == "MERCHANT001")
                #expect(rows.first { $0.requestID == "yen" }?.currency == "JPY")
                #expect(rows.allSatisfy { $0.kind == "AUTH" })
                try world.finish()
            }
        }

        @Test("Goal: 200 pipelined requests, good and bad, are answered in their order")
        func pipelining() throws {
            try World.run { world in
                let client = try world.start().client()
                let payments = (0..<200).map { Payment(requestID: "p-\($0)") }
                let isBad = { (number: Int) in number % 10 == 3 }
                let isQuestion = { (number: Int) in number % 10 == 7 }
                let lines = payments.enumerated().map { number, payment in
                    isBad(number) ? #"{"pan":"\#(payment.pan)"}"# : isQuestion(number) ? "GET /healthz" : payment.json
                }
                try client.connection.send(lines.joined(separator: "\n") + "\n")
                for (number, payment) in payments.enumerated() {
                    if isQuestion(number) {
                        #expect(try client.connection.readLine() == Array("OK".utf8))
                        continue
                    }
                    let answer = try client.answer()
                    if isBad(number) {
                        #expect(answer.isRefusal("bad_request"), "answer \(number)")
                    } else {
                        world.ledger.note(payment, .answer(answer))
                        #expect(answer.status == .approved, "answer \(number): \(answer)")
                    }
                }
                // The checker compares each answer's txn_id with the row of its request_id: an answer out of order shows.
                try world.finish()
                #expect(try world.rows().count == 160)
            }
        }

        @Test("Goal: half-closed sockets, slow writers, CR LF and empty lines get their answers")
        func unusualClients() throws {
            try World.run { world in
                let server = try world.start()

                let halfClosed = Payment(requestID: "half-closed")
                let first = try server.client()
                try first.send(halfClosed)
                first.connection.shutDownWriting()
                let answer = try first.answer()
                world.ledger.note(halfClosed, .answer(answer))
                #expect(answer.status == .approved)
                #expect(
                    try first.connection.isClosedByPeer(within: .seconds(5)), "nothing more can come: the server closes"
                )

                // The end of the input ends a line too; JSON that was cut anywhere is not a request.
                for (requestID, cut) in [("without-end", 0), ("cut", 1)] {
                    let unterminated = Payment(requestID: requestID)
                    let second = try server.client()
                    try second.connection.send(String(unterminated.json.dropLast(cut)))
                    second.connection.shutDownWriting()
                    let answer = try second.answer()
                    if cut > 0 {
                        #expect(answer.isRefusal("bad_request"))
                    } else {
                        world.ledger.note(unterminated, .answer(answer))
                        #expect(answer.status == .approved)
                    }
                }

                let slow = Payment(requestID: "slow")
                let third = try server.client()
                for byte in (slow.json + "\r\n").utf8 {
                    try third.connection.send([byte])
                    Wait.sleep(.milliseconds(2))
                }
                let slowAnswer = try third.answer()
                world.ledger.note(slow, .answer(slowAnswer))
                #expect(slowAnswer.status == .approved)

                let spaced = Payment(requestID: "after-empty-lines")
                try third.connection.send("\n\r\n\n\(spaced.json)\r\n\r\n")
                let spacedAnswer = try third.answer()
                world.ledger.note(spaced, .answer(spacedAnswer))
                #expect(spacedAnswer.status == .approved)
                #expect(try third.ask("GET /healthz") == "OK", "empty lines have no answers")
                try world.finish()
            }
        }

        @Test("Goal: the clients of the original program work unchanged")
        func originalClients() throws {
            try World.run { world in
                let server = try world.start()
                // printf 'GET /healthz\r\n' | nc
                #expect(try server.ask("GET /healthz") == "OK")
                #expect(try server.ask("GET /readyz") == "OK")

                // One request a connection, without a request_id.
                let anonymous = [Payment(requestID: nil), Payment(requestID: nil)]
                for payment in anonymous { #expect(try world.pay(payment).status == .approved) }

                // Two JSON lines on one connection, the commands between them.
                let client = try server.client()
                #expect(try world.pay(Payment(requestID: nil), over: client).status == .approved)
                #expect(try client.ask("GET /healthz") == "OK")
                let named = Payment(requestID: "orig-1", amount: "12.30")
                let approved = try world.pay(named, over: client)
                #expect(approved.raw.hasPrefix(#"{"status":"APPROVED","txn_id":"visa_"#))
                let again = try world.pay(named, over: client)
                #expect(again.raw.hasPrefix(#"{"status":"APPROVED","idempotent":true,"txn_id":"visa_"#))

                let shown = try client.ask("GET /tx?request_id=orig-1")
                #expect(shown.hasPrefix(#"{"request_id":"orig-1","amount":"12.30","status":"APPROVED""#), "\(shown)")
                #expect(try client.ask("GET /tx?request_id=nobody").hasPrefix(#"{"status":"NOT_FOUND""#))
                for command in ["GET /tx", "GET /tx?", "GET /tx?request_id=", "GET /tx?other=1"] {
                    #expect(try client.ask(command).hasPrefix(#"{"error":"missing_request_id""#), "\(command)")
                }
                let version = try client.ask("GET /version")
                let fields = try JSONSerialization.jsonObject(with: Data(version.utf8)) as? [String: Any]
                #expect((fields?["version"] as? String)?.isEmpty == false)
                #expect(fields?["schema"] is Int)

                // The queries of the original's runbook.
                let database = world.databases[0]
                #expect(
                    try database.query("SELECT status, COUNT(*) FROM transactions GROUP BY 1") == [["APPROVED", "4"]])
                #expect(
                    try database.query(
                        "SELECT request_id, amount, status FROM transactions WHERE request_id = 'orig-1'")
                        == [["orig-1", "12.30", "APPROVED"]])
                let minutes = try database.query(
                    "SELECT date_trunc('minute', created_at), COUNT(*) FROM transactions GROUP BY 1")
                #expect(minutes.compactMap { Int($0[1]) }.reduce(0, +) == 4)
                try world.finish()
            }
        }

        @Test("Goal: GET /metrics has the original's keys in their order, and counts")
        func metrics() throws {
            try World.run { world in
                let server = try world.start()
                try world.pay(Payment(requestID: "m-1"))
                try world.simulator.set(Faults(declineRate: 1))
                #expect(try world.pay(Payment(requestID: "m-2")).reason == "clearing_declined")
                let text = try server.ask("GET /metrics")
                let expected = [
                    "total", "approved", "declined", "server_busy", "risk_declined", "twopc_committed", "twopc_aborted",
                    "clearing_cb_short_circuit", "reversal_enqueued", "reversal_succeeded", "reversal_failed",
                ]
                let keys = text.matches(of: /"([a-z_]+)":/).map { String($0.1) }
                #expect(Array(keys.prefix(expected.count)) == expected, "\(text)")
                let counters = try server.metrics()
                #expect(counters["total"] == 2 && counters["approved"] == 1 && counters["declined"] == 1, "\(text)")
                #expect(counters["twopc_committed"] == 1 && counters["twopc_aborted"] == 1, "\(text)")
                try world.finish()
            }
        }

        @Test("Goal: a connection that sends nothing is closed after the idle timeout; one over the limit is told so")
        func connectionLimits() throws {
            try World.run(environment: ["IDLE_TIMEOUT": "1"]) { world in
                let idle = try world.start().client()
                #expect(try idle.ask("GET /healthz") == "OK")
                #expect(try idle.connection.isClosedByPeer(within: .seconds(10)))
                try world.finish()
            }
            try World.run(environment: ["MAX_CONNECTIONS": "4"]) { world in
                let server = try world.start()
                var clients: [LineClient] = []
                // The connection that asked for readiness may still be counted while it is being closed: then all four try again.
                try Wait.until("four connections are served", within: .seconds(5)) {
                    clients = try (0..<4).map { _ in try server.client() }
                    return clients.allSatisfy { (try? $0.ask("GET /healthz")) == "OK" }
                }
                let fifth = try server.client()
                #expect(try fifth.answer().isRefusal("server_busy"))
                // Those who are turned away take no place, however many come.
                for _ in 0..<20 { #expect(try server.client().answer().isRefusal("server_busy")) }
                #expect(try fifth.connection.isClosedByPeer(within: .seconds(5)))
                clients[0].connection.close()
                try Wait.until("a place is free again", within: .seconds(5)) {
                    (try? server.ask("GET /healthz")) == "OK"
                }
                for client in clients { client.connection.close() }
                try world.finish()
            }
        }

        @Test("Goal: log lines are JSON and answer the greps of the original's runbook")
        func logLines() throws {
            try World.run { world in
                let server = try world.start()
                let answer = try world.pay(Payment(requestID: "abc123"))
                let transaction = try #require(answer.transactionID)
                try Wait.until("the payment is logged", within: .seconds(5)) {
                    server.errors.contains(#""request_id":"abc123""#)
                }
                let lines = server.errors.split(separator: "\n")
                let logged = lines.filter { $0.contains(#""request_id":"abc123""#) && $0.contains(#""event":"tx""#) }
                #expect(logged.count == 1, "\(server.errors.suffix(2000))")
                let line = logged.first.map(String.init) ?? ""
                #expect(line.contains(#""txn_id":"\#(transaction)""#) && line.contains(#""status":"APPROVED""#))
                #expect(
                    line.contains(#""lvl":"INFO""#) && line.contains(#""ts":""#) && line.contains(#""latency_us":"#))
                for line in lines {
                    let isObject = (try? JSONSerialization.jsonObject(with: Data(line.utf8))) is [String: Any]
                    #expect(isObject, "not a JSON object: \(line)")
                }
                #expect(!server.errors.contains(#""lvl":"ERROR""#))
                try world.finish()
            }
        }
    }
}
