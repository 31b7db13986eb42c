import Foundation
import Testing

@testable import Harness

extension Integration {
    /// The server dies at each point of the protocol; what it left is found as expected, and brought to its end.
    @Suite struct CrashPointTests {
        @Test(
            "Goal: a start resolves what the crash left, and a retry gets the true answer",
            arguments: CrashPoint.allCases, [1, 2])
        func startResolves(point: CrashPoint, databases: Int) throws {
            try World.run(databases: databases) { world in
                let payment = try crash(at: point, in: world)
                try world.simulator.set(.none)
                let took = try world.launch().waitUntilReady()
                #expect(took <= Limits.assertedStart)
                try expectTrueAnswer(to: payment, at: point, in: world)
                try world.finish()
            }
        }

        @Test(
            "Goal: recover does what its dry run shows, once; the dry run changes nothing",
            arguments: CrashPoint.allCases, [1, 2])
        func recoverResolves(point: CrashPoint, databases: Int) throws {
            try World.run(databases: databases) { world in
                let payment = try crash(at: point, in: world)
                try world.simulator.set(.none)
                let recover = try world.recover()
                let transaction = try world.simulator.book().first?.transactionID

                let before = try held(world)
                let dryRun = try recover.plan()
                #expect(dryRun.status == RecoverTool.somethingLeft, "\(dryRun.plan)")
                if let transaction { #expect(dryRun.plan.contains(transaction)) }
                #expect(try held(world) == before, "a dry run changes nothing at the participants")
                let second = try recover.plan()
                #expect(
                    second.status == dryRun.status && second.plan == dryRun.plan, "a dry run changes nothing in the log"
                )

                let result = try recover.run()
                #expect(result.status == RecoverTool.nothingLeft, "\(result)")
                let after = try held(world)
                #expect(after.prepared == [] && !after.book.contains { $0.state == .held })
                let isMade = try world.rows().contains { $0.requestID == payment.requestID }
                #expect(isMade == point.isMade)

                let again = try recover.run()
                #expect(again.status == RecoverTool.nothingLeft, "\(again)")
                #expect(try held(world) == after, "the second time there is nothing to do")
                let plan = try recover.plan()
                #expect(plan.status == RecoverTool.nothingLeft, "\(plan.plan)")
                if let transaction { #expect(!plan.plan.contains(transaction), "\(plan.plan)") }

                try world.start()
                try expectTrueAnswer(to: payment, at: point, in: world)
                try world.finish()
            }
        }

        @Test(
            "Goal: starts that are killed while they recover change nothing about the end",
            arguments: [CrashPoint.prepared, .decisionDurable])
        func crashDuringRecovery(point: CrashPoint) throws {
            try World.run { world in
                let payment = try crash(at: point, in: world)
                try world.simulator.set(Faults(latencyMilliseconds: 50))
                // From before the log is open until after the port is.
                for delay in stride(from: 0, through: 320, by: 40) {
                    let dying = try world.launch()
                    Wait.sleep(.milliseconds(delay))
                    dying.crash()
                }
                try world.start()
                try expectTrueAnswer(to: payment, at: point, in: world)
                try world.finish()
            }
        }

        @Test(
            "Goal: a server that stands still at any point, beyond every deadline, goes on to a true end",
            arguments: CrashPoint.allCases)
        func standsStill(point: CrashPoint) throws {
            try World.run(environment: ["TWOPC_PREPARE_TIMEOUT": "1", "CLEARING_TIMEOUT": "1"]) { world in
                let server = try world.start(fault: point.fault(.stop))
                try world.simulator.set(point.faults)
                let payment = Payment(requestID: "frozen")
                let client = try server.client()
                try client.send(payment)
                try server.process.waitUntilStopped()
                Wait.sleep(.milliseconds(1500))
                try world.simulator.set(.none)
                server.process.send(SIGCONT)
                let answer = try client.answer()
                world.ledger.note(payment, .answer(answer))
                if answer.status == .pending {
                    try Wait.until("the answer is final", within: Limits.pending, every: .milliseconds(100)) {
                        try world.pay(payment).status != .pending
                    }
                }
                // What was decided before stays decided, however late it is.
                if point.isMade { #expect(try world.rows().map(\.requestID) == ["frozen"]) }
                try world.finish()
            }
        }

        @Test("Goal: a server that ends by itself between the decision and the database has decided all the same")
        func exitsAfterTheDecision() throws {
            try World.run { world in
                let server = try world.start(fault: CrashPoint.decisionDurable.fault(.exit))
                let payment = Payment(requestID: "gone")
                #expect(throws: ConnectionError.self) { try world.pay(payment) }
                #expect(try server.process.wait(within: Limits.answer) == .code(70))
                try world.start()
                try expectTrueAnswer(to: payment, at: .decisionDurable, in: world)
                try world.finish()
            }
        }

        @Test(
            "Goal: recover list and show tell of what is in doubt; wrong usage and a log in use have codes of their own"
        )
        func recoverTells() throws {
            try World.run { world in
                _ = try crash(at: .prepared, in: world)
                let recover = try world.recover()
                let transaction = try #require(try world.simulator.book().first?.transactionID)
                let before = try held(world)
                let list = try recover.run("list")
                #expect(list.status == .code(0) && list.output.contains(transaction), "\(list)")
                let history = try recover.run("show", transaction)
                #expect(history.status == .code(0) && history.output.contains("BEGIN"), "\(history)")
                #expect(history.output.contains("crash"), "the request_id: \(history)")
                #expect(try recover.run("--no-such-flag").status == RecoverTool.usage)
                #expect(try held(world) == before)

                // Beside a live server it may look, and must not act.
                try world.start()
                #expect(try recover.run().status == RecoverTool.logInUse)
                try Wait.until("the server has finished what was left", within: Limits.settle) {
                    try recover.plan().status == RecoverTool.nothingLeft
                }
                #expect(try world.pay(Payment(requestID: "beside")).status == .approved)
                try world.finish()
            }
        }

        /// What the participants hold of the payment.
        private struct Held: Equatable {
            let prepared: [String]
            let rows: [PaymentRow]
            let entries: [MerchantRow]
            let book: Set<BookEntry>
        }

        private func held(_ world: World) throws -> Held {
            let evidence = try world.evidence()
            return Held(
                prepared: evidence.prepared, rows: evidence.rows, entries: evidence.entries, book: Set(evidence.book))
        }

        /// Starts a server that dies at `point`, pays into its death, and checks what it left.
        private func crash(at point: CrashPoint, in world: World) throws -> Payment {
            let isSharded = world.databases.count > 1
            let payment = isSharded ? try ShardScout.paymentWithTwoBranches() : Payment(requestID: "crash")
            try world.start(fault: point.fault(.kill))
            try world.simulator.set(point.faults)
            let answer = try world.payIntoTheCrash(payment)
            // An answer that came before must be true; the checker compares it with the end.
            if let answer { #expect(point.isMade ? answer.status != .declined : answer.status != .approved) }
            try world.waitUntilBackendsAreGone()
            let surprises = point.surprises(in: try world.evidence(), branches: isSharded ? 2 : 1)
            #expect(surprises == [], "right after \(point.rawValue)")
            return payment
        }

        private func expectTrueAnswer(
            to payment: Payment, at point: CrashPoint, in world: World,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            var answer = try world.pay(payment)
            try Wait.until(
                "\(point.rawValue): the retry has a final answer", within: Limits.pending, every: .milliseconds(100)
            ) {
                if answer.status == .pending { answer = try world.pay(payment) }
                return answer.status != .pending
            }
            // Not necessarily marked as idempotent: a repeat may join what is still being finished. That it is the first one's
            // answer and that nothing was made anew is what its txn_id says.
            let isTrue = point.isMade ? answer.status == .approved : answer.isFinalRefusal
            #expect(isTrue, "\(answer)", sourceLocation: sourceLocation)
            // The network hears of a payment that it was never asked for only with the reversal, perhaps after the answer.
            let known = try world.simulator.book().map(\.transactionID)
            let isOnlyOne = known.allSatisfy { $0 == answer.transactionID } && (known.count == 1 || !point.isHeld)
            #expect(isOnlyOne, "\(answer), the network knows \(known)", sourceLocation: sourceLocation)
        }
    }
}
