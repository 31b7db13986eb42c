import Testing

@testable import Harness

extension Integration {
    /// Two servers, each with a log of its own, on the same database and network.
    @Suite struct TwoServersTests {
        @Test("Goal: the same request_id at two servers at once is one payment, and both say so in the end")
        func sameRequestAtBoth() throws {
            try World.run(environment: ["LOCK_TIMEOUT_MS": "200"]) { world in
                let servers = ["a", "b"]
                for name in servers { try world.start(name) }
                let clients = try servers.map { try world.server($0).client() }
                var contended = 0
                for round in 0..<Settings.contendedRounds {
                    let payment = Payment(requestID: "both-\(round)")
                    for client in clients { try client.send(payment) }
                    var answers = try clients.map { try $0.answer() }
                    for answer in answers { world.ledger.note(payment, .answer(answer)) }
                    if answers.contains(where: { $0.status != .approved }) { contended += 1 }
                    let deadline = Deadline(in: Limits.pending)
                    while answers.contains(where: { $0.status != .approved }), !deadline.hasPassed {
                        if answers.contains(where: \.isFinalRefusal) {
                            throw HarnessError("round \(round): refused for ever at one server: \(answers)")
                        }
                        Wait.sleep(.milliseconds(20))
                        answers = try clients.map { try world.pay(payment, over: $0) }
                    }
                    #expect(Set(answers.map(\.transactionID)).count == 1, "round \(round): \(answers)")
                    #expect(answers.allSatisfy { $0.status == .approved }, "round \(round): \(answers)")
                }
                print("\(Settings.contendedRounds) rounds, in \(contended) of them one server had to ask again")
                #expect(try world.rows().count == Settings.contendedRounds)
                let orders = try world.simulator.book()
                #expect(orders.count > Settings.contendedRounds, "the servers never met: the test shows nothing")
                try world.finish()
            }
        }

        @Test("Goal: a server leaves another's unfinished work alone, at its start and in recover")
        func foreignWorkIsLeftAlone() throws {
            try World.run { world in
                try world.start("a", fault: CrashPoint.prepared.fault(.kill))
                let payment = Payment(requestID: "of-a")
                try world.payIntoTheCrash(payment, at: "a")
                try world.waitUntilBackendsAreGone()
                let left = try world.preparedBranches()
                #expect(left.count == 1)

                try world.start("b")
                #expect(try world.pay(Payment(requestID: "of-b"), at: "b").status == .approved)
                // Longer than b's periodic pass.
                Wait.sleep(.seconds(3))
                #expect(try world.preparedBranches() == left)
                let drained = try world.server("b").drain()
                #expect(drained == .code(0), "what is left is not b's")
                let recover = try world.recover("b").run()
                #expect(recover.status == RecoverTool.nothingLeft, "\(recover)")
                #expect(try world.preparedBranches() == left)

                try world.start("a")
                try world.start("b")
                try world.finish()
            }
        }

        @Test("Goal: what one server made, the other answers as made, and a conflict is one at both")
        func answersOfTheOther() throws {
            try World.run { world in
                try world.start("a")
                try world.start("b")
                let payment = Payment(requestID: "shared")
                let first = try world.pay(payment, at: "a")
                #expect(first.status == .approved)
                try world.waitUntilConfirmed(payment)
                let other = try world.pay(payment, at: "b")
                #expect(other.status == .approved && other.transactionID == first.transactionID, "\(other)")
                let conflict = Payment(requestID: "shared", pan: payment.pan, amount: "77.00")
                #expect(try world.server("b").client().pay(conflict).isRefusal("idempotency_conflict"))
                #expect(try world.rows().count == 1)
                try world.finish()
            }
        }
    }
}
