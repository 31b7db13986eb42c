import Testing

@testable import Harness

extension Integration {
    /// Input that must be refused, and must leave no trace.
    @Suite struct BadInputTests {
        /// A line and the reason of its refusal. `PAN` in it stands for a fresh valid card number.
        private struct Bad {
            let reason: String
            let line: [UInt8]

            init(_ reason: String, _ line: String) {
                self.reason = reason
                self.line = Array(line.replacingOccurrences(of: "PAN", with: TestCards.next()).utf8)
            }

            init(_ reason: String, bytes: [UInt8]) {
                self.reason = reason
                line = bytes
            }
        }

        private static let malformed: [Bad] = [
            "{", "}", "[]", #""text""#, "42", "null", "{}", "hello", #"{"pan":"PAN"}"#, #"{"amount":"1.00"}"#,
            #"{"pan":null,"amount":"1.00"}"#, #"{"pan":true,"amount":"1.00"}"#, #"{"pan":"PAN","amount":[]}"#,
            #"{"pan":"PAN","amount":NaN}"#, #"{"pan":"PAN","amount":Infinity}"#, #"{"pan":"PAN","amount":1e400}"#,
            #"{"pan":"PAN","amount":01}"#, #"{"pan":"PAN","amount":.5}"#, #"{"pan":"PAN","amount":5.}"#,
            #"{"pan":"PAN","amount":+5}"#, #"{"pan":"PAN","amount":"1.00"}x"#, #"{"pan":"PAN","amount":"1.00"}{}"#,
            #"{"pan":"PAN","amount":"1.00",}"#, #"{'pan':'PAN','amount':'1.00'}"#, #"{"pan":"PAN" "amount":"1.00"}"#,
            // Duplicate keys, plainly, escaped, and within a field that is ignored.
            #"{"pan":"PAN","amount":"1.00","amount":"9.00"}"#, #"{"pan":"PAN","p\u0061n":"PAN","amount":"1.00"}"#,
            #"{"pan":"PAN","amount":"1.00","x":{"a":1,"a":2}}"#,
            #"{"pan":"PAN","amount":"1.00","x":[[[[[[[[1]]]]]]]]}"#,
            #"{"pan":"PAN","amount":"1.00","x":\#(String(repeating: "[", count: 3000))}"#,
            #"{"pan":"PAN","amount":"1.00","request_id":""}"#, #"{"pan":"PAN","amount":"1.00","request_id":7}"#,
            #"{"pan":"PAN","amount":"1.00","request_id":"a b"}"#,
            #"{"pan":"PAN","amount":"1.00","request_id":"caf\u00e9"}"#,
            #"{"pan":"PAN","amount":"1.00","request_id":"\#(String(repeating: "x", count: 65))"}"#,
            #"{"pan":"PAN","amount":"1.00","merchant":"a\u0000b"}"#,
            #"{"pan":"PAN","amount":"1.00","merchant":"\ud800"}"#,
            "{\"pan\":\"PAN\",\"amount\":\"1.00\",\"merchant\":\"a\tb\"}",
            #"{"pan":"PAN","amount":"1.00","currency":"usd"}"#, #"{"pan":"PAN","amount":"1.00","currency":"QQQ"}"#,
            #"{"pan":"PAN","amount":"1.00","type":"auth"}"#, #"{"pan":"PAN","amount":"1.00","type":"VOID"}"#,
            #"{"pan":"PAN","amount":"1.00","type":"CAPTURE"}"#, #"{"pan":"PAN","amount":"1.00","type":"REFUND"}"#,
            #"{"pan":"PAN","amount":"1.00","type":"REVERSAL"}"#,
        ].map { Bad("bad_request", $0) }

        private static let invalidBytes: [Bad] = [
            [0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0x00],
        ].map { bytes in
            Bad(
                "bad_request",
                bytes: Array(#"{"pan":"\#(TestCards.next())","amount":"1.00","merchant":"a"#.utf8) + bytes
                    + Array(#""}"#.utf8))
        }

        private static var badCards: [Bad] {
            let pans = [
                TestCards.make(digits: 11), TestCards.make(digits: 20), TestCards.invalid(), "", "0",
                "4111 1111 1111 1111", "4111-1111-1111-1111", "411111111111111a", "٤١١١١١١١١١١١١١١١",
                "-4111111111111111",
            ]
            return pans.map { Bad("luhn_failed", #"{"pan":"\#($0)","amount":"1.00"}"#) }
        }

        private static let badAmounts: [Bad] =
            [
                "10abc", "1e3", "1E3", "-5", "+5", "-0.01", " 5", "5 ", "5 0", "", "0", "0.00", "0.001", "0.010",
                "10.555", "10000.01",
                "10001", "99999999999999999999999999", "NaN", "Infinity", ".5", "5.", "1.2.3", "1,50", "0x10", "$5",
                "٥",
                "1;DROP TABLE transactions",
            ].map { Bad("amount_invalid", #"{"pan":"PAN","amount":"\#($0)"}"#) }
            + ["1e3", "-5", "0", "0.001", "1E+2", "10000.01", "-0"].map {
                Bad("amount_invalid", #"{"pan":"PAN","amount":\#($0)}"#)
            }
            + [
                Bad("amount_invalid", #"{"pan":"PAN","amount":"100.5","currency":"JPY"}"#),
                // The card is looked at first.
                Bad("luhn_failed", #"{"pan":"4111111111111112","amount":"-5"}"#),
            ]

        @Test("Goal: every bad line gets its reason and leaves no trace in the database, the log or the network")
        func refusals() throws {
            try World.run { world in
                let server = try world.start()
                let client = try server.client()
                for bad in Self.malformed + Self.invalidBytes + Self.badCards + Self.badAmounts {
                    try client.connection.send(bad.line + [UInt8(ascii: "\n")])
                    let answer = try client.answer()
                    let shown = String(decoding: bad.line.prefix(120), as: UTF8.self)
                    #expect(answer.isRefusal(bad.reason), "\(shown) -> \(answer), expected \(bad.reason)")
                }
                let evidence = try world.evidence()
                #expect(evidence.rows == [] && evidence.entries == [] && evidence.prepared == [])
                #expect(evidence.book == [])
                // The connection has survived all of it, and none of it counts as a payment in flight.
                #expect(try world.pay(Payment(requestID: "good"), over: client).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: a refused request claims nothing: the same request_id may be sent again, corrected")
        func refusalsClaimNothing() throws {
            try World.run { world in
                let client = try world.start().client()
                for (number, reason) in ["luhn_failed", "amount_invalid", "bad_request"]
                    .enumerated()
                {
                    let requestID = "again-\(number)"
                    let good = Payment(requestID: requestID)
                    let bad: [String: String] = [
                        "luhn_failed":
                            #"{"pan":"\#(TestCards.invalid())","amount":"1.00","request_id":"\#(requestID)"}"#,
                        "amount_invalid": #"{"pan":"\#(good.pan)","amount":"-1","request_id":"\#(requestID)"}"#,
                        "bad_request": #"{"amount":"1.00","request_id":"\#(requestID)"}"#,
                    ]
                    try client.send(line: try #require(bad[reason]))
                    #expect(try client.answer().isRefusal(reason))
                    #expect(try world.server().transaction(requestID)["status"] == "NOT_FOUND")
                    let answer = try world.pay(good, over: client)
                    #expect(answer.status == .approved && !answer.isIdempotent)
                }
                try world.finish()
            }
        }

        @Test(
            "Goal: operations on an earlier payment, not offered yet, are refused, claim nothing and leave no trace",
            arguments: ["CAPTURE", "REFUND", "REVERSAL"])
        func operationsOnEarlierPayments(type: String) throws {
            try World.run(environment: ["API_TOKEN": "integration-token"]) { world in
                let server = try world.start()
                let client = try server.client()
                let good = Payment(requestID: "again")
                let line =
                    #"{"pan":"\#(good.pan)","amount":"1.00","type":"\#(type)","ref_request_id":"nobody","request_id":"again"}"#
                try client.send(line: line)
                let answer = try client.answer()
                #expect(answer.isRefusal("invalid_state"), "\(answer)")
                let reply = try HTTPConnection.once(
                    port: server.configuration.port, "POST", "/secure/tx",
                    headers: ["Authorization": "Bearer integration-token"], body: line)
                #expect(reply.status == 409, "\(reply)")
                #expect(try world.rows() == [])
                #expect(try world.simulator.book() == [])
                #expect(try world.pay(good, over: client).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: SQL in a client's values is data")
        func sqlIsData() throws {
            try World.run { world in
                let client = try world.start().client()
                let requestIDs = [
                    "a';DROP/**/TABLE/**/transactions;--", "x'||(SELECT/**/version())||'", "$1", "%s%n", "\\'",
                    "\"quoted\"",
                    "visa_0_1_visa_0_db1';ROLLBACK/**/PREPARED/**/'x",
                ]
                let merchant = "'); DELETE FROM transactions; --"
                for requestID in requestIDs {
                    let answer = try world.pay(Payment(requestID: requestID, merchant: merchant), over: client)
                    #expect(answer.status == .approved, "\(requestID): \(answer)")
                }
                let rows = try world.rows()
                #expect(Set(rows.map(\.requestID)) == Set(requestIDs))
                #expect(rows.allSatisfy { $0.merchant == merchant })
                try world.finish()
            }
        }

        @Test("Goal: a line over 8 KiB is refused and its connection closed, with or without its end")
        func longLines() throws {
            try World.run { world in
                let server = try world.start()
                let payment = Payment(requestID: "long")
                let long = payment.json.dropLast() + #","filler":"\#(String(repeating: "f", count: 9 * 1024))"}"#
                for line in [
                    long + "\n", String(repeating: "x", count: 9 * 1024),
                    String(repeating: " ", count: 9 * 1024) + "\n",
                ] {
                    let client = try server.client()
                    try client.connection.send(line)
                    #expect(try client.answer().isRefusal("bad_request"))
                    #expect(try client.connection.isClosedByPeer(within: .seconds(5)))
                }
                // What was answered before a long line on the same connection stays answered.
                let before = Payment(requestID: "before")
                let client = try server.client()
                try client.connection.send(before.json + "\n" + long + "\n")
                let answer = try client.answer()
                world.ledger.note(before, .answer(answer))
                #expect(answer.status == .approved)
                #expect(try client.answer().isRefusal("bad_request"))
                #expect(try client.connection.isClosedByPeer(within: .seconds(5)))
                #expect(try world.rows().map(\.requestID) == ["before"])
                try world.finish()
            }
        }
    }
}
