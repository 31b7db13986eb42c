import Foundation
import Testing

@testable import Harness

extension Integration {
    /// One request_id is one payment, and every answer to it is true.
    @Suite struct IdempotencyTests {
        /// Lets a payment be in flight for 1.5 s without any attempt of it timing out.
        private static let patient = [
            "TWOPC_PREPARE_TIMEOUT": "20", "CLEARING_TIMEOUT": "10", "CLEARING_RETRY_MAX": "0",
        ]

        @Test("Goal: a repeat gets the first answer and executes nothing, also after kill -9 and after a drain")
        func repeats() throws {
            try World.run { world in
                try world.start()
                let made = Payment(requestID: "made", amount: "10.50")
                let first = try world.pay(made)
                #expect(first.status == .approved && !first.isIdempotent)
                try world.simulator.set(Faults(declineRate: 1))
                let refused = Payment(requestID: "refused")
                let refusal = try world.pay(refused)
                #expect(refusal.isFinalRefusal && refusal.reason == "clearing_declined" && !refusal.isIdempotent)
                try world.simulator.set(.none)

                func repeatBoth(_ occasion: String) throws {
                    let again = try world.pay(made)
                    #expect(
                        again.status == .approved && again.isIdempotent && again.transactionID == first.transactionID,
                        "\(occasion): \(again)")
                    let never = try world.pay(refused)
                    #expect(
                        never.status == .declined && never.isIdempotent && never.reason == refusal.reason,
                        "\(occasion): \(never)")
                    #expect(never.transactionID == refusal.transactionID, "\(occasion)")
                }
                try repeatBoth("at once")
                try world.server().crash()
                try world.start()
                try repeatBoth("after kill -9")
                #expect(try world.server().drain() == .code(0))
                try world.start()
                try repeatBoth("after a drain")
                #expect(try world.rows().count == 1)
                #expect(
                    try world.simulator.book().map(\.prepares).reduce(0, +) == 2, "the network was asked once for each")
                try world.finish()
            }
        }

        @Test("Goal: another form of the same request is a repeat; other content is a conflict and executes nothing")
        func conflicts() throws {
            try World.run { world in
                let client = try world.start().client()
                let payment = Payment(requestID: "key", amount: "10.50", merchant: "M1")
                let first = try world.pay(payment, over: client)
                #expect(first.status == .approved)
                let sameForms = [
                    #"{"pan":\#(payment.pan),"amount":10.5,"request_id":"key","merchant":"M1"}"#,
                    #"{"merchant_id":"M1","request_id":"key","currency":"USD","type":"AUTH","amount":"010.50","pan":"\#(payment.pan)"}"#,
                ]
                for form in sameForms {
                    try client.send(line: form)
                    let answer = try client.answer()
                    #expect(answer.isIdempotent && answer.transactionID == first.transactionID, "\(answer)")
                }
                let others = [
                    Payment(requestID: "key", pan: payment.pan, amount: "10.51", merchant: "M1"),
                    Payment(requestID: "key", pan: TestCards.next(), amount: "10.50", merchant: "M1"),
                    Payment(requestID: "key", pan: payment.pan, amount: "10.50", merchant: "M2"),
                    Payment(requestID: "key", pan: payment.pan, amount: "10.50", merchant: "M1", currency: "EUR"),
                    Payment(requestID: "key", pan: TestCards.invalid(), amount: "10.50", merchant: "M1"),
                ]
                for other in others {
                    #expect(try client.pay(other).isRefusal("idempotency_conflict"))
                }
                #expect(try world.rows().count == 1)
                #expect(try world.simulator.book().count == 1)
                try world.finish()
            }
        }

        @Test("Goal: ten requests with one request_id at once are one payment, and all get its answer")
        func joins() throws {
            try World.run { world in
                let server = try world.start()
                try world.simulator.set(Faults(latencyMilliseconds: 300))
                for (round, declines) in [false, true].enumerated() {
                    try world.simulator.set(Faults(declineRate: declines ? 1 : 0, latencyMilliseconds: 300))
                    let payment = Payment(requestID: "join-\(round)")
                    let clients = try (0..<10).map { _ in try server.client() }
                    for client in clients { try client.send(payment) }
                    // A different request with the same key must not be let in while the first is in flight.
                    let other = Payment(requestID: payment.requestID, pan: payment.pan, amount: "99.99")
                    #expect(try server.client().pay(other).isRefusal("idempotency_conflict"))
                    let answers = try clients.map { try $0.answer() }
                    for answer in answers { world.ledger.note(payment, .answer(answer)) }
                    #expect(Set(answers.map(\.transactionID)).count == 1, "\(answers)")
                    #expect(answers.allSatisfy { $0.status == (declines ? .declined : .approved) }, "\(answers)")
                    #expect(try world.simulator.book().count == round + 1)
                }
                try world.finish()
            }
        }

        @Test("Goal: a retry of an APPROVED whose answer was lost is answered APPROVED while the server is full")
        func retryWhileBusy() throws {
            try World.run(environment: Self.patient) { world in
                let server = try world.start(with: ["QUEUE_CAP": "1", "MAX_IN_FLIGHT": "1"])
                let payment = Payment(requestID: "lost")
                try world.payAndLoseTheAnswer(payment)

                try world.simulator.set(Faults(latencyMilliseconds: 1500))
                let others = (0..<8).map { Payment(requestID: "other-\($0)") }
                let clients = try others.map { other in
                    let client = try server.client()
                    try client.send(other)
                    return client
                }
                let turnedAway = Payment(requestID: "turned-away")
                #expect(try world.pay(turnedAway).isRefusal("server_busy"), "the condition of this test")
                try expectTrueAnswer(to: payment, in: world)
                for (client, other) in zip(clients, others) {
                    let answer = try client.answer()
                    world.ledger.note(other, .answer(answer))
                    #expect(answer.status == .approved || answer.isRefusal("server_busy"), "\(answer)")
                }
                try world.simulator.set(.none)
                #expect(try world.pay(turnedAway).status == .approved, "server_busy claims nothing")
                try world.finish()
            }
        }

        @Test("Goal: likewise while the card is over its velocity limit")
        func retryWhileOverTheVelocityLimit() throws {
            try World.run(environment: ["RISK_VEL_LIMIT": "1"]) { world in
                try world.start()
                let payment = Payment(requestID: "lost")
                try world.payAndLoseTheAnswer(payment)
                #expect(try world.pay(Payment(requestID: "second", pan: payment.pan)).isRefusal("risk_velocity"))
                try expectTrueAnswer(to: payment, in: world)
                #expect(try world.pay(Payment(requestID: "other-card")).status == .approved)
                #expect(try world.server().metrics()["risk_declined"] == 1)
                try world.finish()
            }
        }

        @Test("Goal: likewise while the breaker is open")
        func retryWhileTheBreakerIsOpen() throws {
            let breaker = ["CLEARING_CB_FAILS": "2", "CLEARING_CB_OPEN_SECS": "3", "CLEARING_RETRY_MAX": "0"]
            try World.run(environment: breaker) { world in
                try world.start()
                let payment = Payment(requestID: "lost")
                try world.payAndLoseTheAnswer(payment)
                try world.waitUntilConfirmed(payment)
                try world.simulator.set(Faults(isOut: true))
                try world.openTheBreaker()
                try expectTrueAnswer(to: payment, in: world)
                try world.finish()
            }
        }

        @Test("Goal: likewise while the server drains, and new payments are refused then")
        func retryWhileDraining() throws {
            try World.run(environment: Self.patient) { world in
                let server = try world.start()
                let payment = Payment(requestID: "lost")
                try world.payAndLoseTheAnswer(payment)

                try world.simulator.set(Faults(latencyMilliseconds: 1500))
                let slow = Payment(requestID: "slow")
                let (slowClient, client) = (try server.client(), try server.client())
                #expect(try client.ask("GET /healthz") == "OK")
                try slowClient.send(slow)
                try Wait.until("the slow payment is under way", within: .seconds(5)) {
                    try world.server().transaction("slow")["status"] != "NOT_FOUND"
                }
                server.process.send(SIGTERM)
                // Until the signal is taken; a payment that came earlier would be in flight for as long as the slow one.
                Wait.sleep(.milliseconds(300))
                #expect(try world.pay(Payment(requestID: "new"), over: client).isRefusal("shutting_down"))
                let again = try world.pay(payment, over: client)
                #expect(again.status == .approved && again.isIdempotent, "\(again)")
                let answer = try slowClient.answer()
                world.ledger.note(slow, .answer(answer))
                #expect(answer.status == .approved)
                #expect(try server.process.wait(within: Limits.drain) == .code(0))
                try world.start()
                try world.finish()
            }
        }

        @Test("Goal: likewise after kill -9 and a start")
        func retryAfterRestart() throws {
            try World.run { world in
                try world.start()
                let payment = Payment(requestID: "lost")
                try world.payAndLoseTheAnswer(payment)
                try world.server().crash()
                try world.start()
                try expectTrueAnswer(to: payment, in: world)
                try world.finish()
            }
        }

        private func expectTrueAnswer(
            to payment: Payment, in world: World, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            for _ in 1...3 {
                let answer = try world.pay(payment)
                #expect(answer.status == .approved && answer.isIdempotent, "\(answer)", sourceLocation: sourceLocation)
            }
        }
    }
}
