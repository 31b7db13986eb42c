import Foundation
import Testing

@testable import Harness

extension Integration {
    /// An operator finishes a branch by hand behind the coordinator's back. "Does not exist" then proves nothing: the payment's row
    /// is the witness of what was done.
    @Suite struct ManualResolutionTests {
        /// Who has the payment in hand when the operator acts.
        enum Hand: CaseIterable {
            /// The server, which stands still right after its decision.
            case server
            /// Nobody: the server died, and recover comes later.
            case recover
        }

        @Test(
            "Goal: a branch that an operator committed by hand, as decided, is recognised by its row and done",
            arguments: Hand.allCases, [1, 2])
        func committed(hand: Hand, databases: Int) throws {
            try World.run(databases: databases) { world in
                let decided = try decide(in: world, hand)
                let payment = decided.payment
                let branches = try world.preparedBranches()
                #expect(branches.count == databases)
                for database in world.databases { try byHand("COMMIT", at: database) }
                switch hand {
                case .server:
                    try goOn(decided, in: world)
                    #expect(try world.finalAnswer(to: payment).status == .approved)
                    #expect(try world.server().metrics()["heuristic"] == 0)
                case .recover:
                    let result = try world.recover().run()
                    #expect(result.status == RecoverTool.nothingLeft, "\(result)")
                    try world.start()
                    #expect(try world.pay(payment).status == .approved)
                }
                try world.finish()
            }
        }

        @Test(
            "Goal: a branch that was rolled back by hand although the decision is commit is a heuristic outcome: parked, counted, shown, never answered approved",
            arguments: Hand.allCases)
        func rolledBack(hand: Hand) throws {
            try World.run(environment: ["TWOPC_COMMIT_TIMEOUT": "1"]) { world in
                let decided = try decide(in: world, hand)
                let payment = decided.payment
                try byHand("ROLLBACK", at: world.databases[0])
                switch hand {
                case .server:
                    let answer = try goOn(decided, in: world)
                    #expect(answer.status == .pending, "\(answer)")
                case .recover:
                    try recoverParks(in: world)
                    try world.start()
                }
                try expectHeuristic(payment, isCounted: hand == .server, in: world)
                // Nothing is told to the network: the payment's own database does not have it.
                #expect(try world.simulator.book().map(\.state) == [.held])
                #expect(try world.rows() == [])
                try outlivesRestarts(payment, in: world)
            }
        }

        @Test(
            "Goal: with two databases the one that was rolled back by hand is parked, the other does what was decided",
            arguments: Hand.allCases, [true, false])
        func oneOfTwo(hand: Hand, ofThePayment: Bool) throws {
            let home = try ShardScout.paymentDatabase()
            try World.run(databases: 2, environment: ["TWOPC_COMMIT_TIMEOUT": "1"]) { world in
                let decided = try decide(in: world, hand)
                let payment = decided.payment
                try byHand("ROLLBACK", at: world.databases[ofThePayment ? home - 1 : 2 - home])
                switch hand {
                case .server:
                    let answer = try goOn(decided, in: world)
                    #expect(answer.status == (ofThePayment ? .pending : .approved), "\(answer)")
                case .recover:
                    try recoverParks(in: world)
                    try world.start()
                }
                try expectHeuristic(payment, isCounted: hand == .server, in: world)
                #expect(try world.preparedBranches() == [])
                let evidence = try world.evidence()
                #expect(
                    evidence.rows.count == (ofThePayment ? 0 : 1) && evidence.entries.count == (ofThePayment ? 1 : 0))
                // The network is told exactly if the payment's own database has it.
                let told: BookEntry.State = ofThePayment ? .held : .settled
                try Wait.until("the network has it \(told)", within: Limits.settle) {
                    try world.simulator.book().map(\.state) == [told]
                }
            }
        }

        @Test("Goal: an undecided payment whose branch was rolled back by hand is aborted, and nothing is parked")
        func rolledBackUndecided() throws {
            try World.run { world in
                try world.start(fault: CrashPoint.prepared.fault(.kill))
                let payment = Payment(requestID: "undecided")
                try world.payIntoTheCrash(payment)
                try world.waitUntilBackendsAreGone()
                try byHand("ROLLBACK", at: world.databases[0])
                let result = try world.recover().run()
                #expect(result.status == RecoverTool.nothingLeft, "\(result)")
                try world.start()
                #expect(try world.pay(payment).isFinalRefusal)
                #expect(try world.server().metrics()["parked"] == 0)
                try world.finish()
            }
        }

        @Test(
            "Goal: an undecided payment whose branch was committed by hand is parked: neither its row nor its hold is undone on our own",
            arguments: Hand.allCases)
        func committedUndecided(hand: Hand) throws {
            try World.run { world in
                try world.start(fault: CrashPoint.prepared.fault(.kill))
                let payment = Payment(requestID: "undecided")
                try world.payIntoTheCrash(payment)
                try world.waitUntilBackendsAreGone()
                try byHand("COMMIT", at: world.databases[0])
                if hand == .recover { try recoverParks(in: world) }
                try world.start()
                try expectHeuristic(payment, isCounted: hand == .server, in: world)
                #expect(try world.rows().map(\.requestID) == ["undecided"])
                let transaction = try world.onlyTransaction()
                try outlivesRestarts(payment, in: world)
                let booked = try world.simulator.book().first { $0.transactionID == transaction }
                #expect(booked?.state == .held)
            }
        }

        // MARK: Steps

        /// Until the decision to commit is in the log and nobody has been told. The server dies there, or stands still.
        private func decide(in world: World, _ hand: Hand) throws -> Decided {
            let payment =
                world.databases.count > 1 ? try ShardScout.paymentWithTwoBranches() : Payment(requestID: "by-hand")
            switch hand {
            case .server:
                let server = try world.start(fault: CrashPoint.decisionDurable.fault(.stop))
                let client = try server.client()
                try client.send(payment)
                try server.process.waitUntilStopped()
                return Decided(payment: payment, client: client)
            case .recover:
                try world.start(fault: CrashPoint.decisionDurable.fault(.kill))
                try world.payIntoTheCrash(payment)
                try world.waitUntilBackendsAreGone()
                return Decided(payment: payment, client: nil)
            }
        }

        private struct Decided {
            let payment: Payment
            /// Still waits for the answer, if a server stands still.
            let client: LineClient?
        }

        /// The server goes on, and answers.
        @discardableResult
        private func goOn(_ decided: Decided, in world: World) throws -> Answer {
            try world.server().process.send(SIGCONT)
            let client = try #require(decided.client)
            let answer = try client.answer()
            world.ledger.note(decided.payment, .answer(answer))
            return answer
        }

        private func byHand(_ verb: String, at database: Database) throws {
            for gid in try database.preparedBranches() { try database.query("\(verb) PREPARED '\(gid)'") }
        }

        /// recover parks it, says so, and changes nothing the second time.
        private func recoverParks(in world: World) throws {
            let recover = try world.recover()
            let first = try recover.run("--wait", "3")
            #expect(first.status == RecoverTool.somethingLeft, "\(first)")
            let plan = try recover.plan()
            #expect(plan.status == RecoverTool.somethingLeft && plan.plan.contains("parked"), "\(plan)")
            let second = try recover.run("--wait", "1")
            #expect(second.status == RecoverTool.somethingLeft, "\(second)")
            #expect(try recover.plan() == plan)
        }

        private func expectHeuristic(
            _ payment: Payment, isCounted: Bool, in world: World, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let server = try world.server()
            let requestID = try #require(payment.requestID)
            try Wait.until("it is shown as heuristic: \(server.errors.suffix(2000))", within: Limits.settle) {
                try server.transaction(requestID)["status"] == "HEURISTIC"
            }
            let metrics = try server.metrics()
            #expect(metrics["parked"] == 1, sourceLocation: sourceLocation)
            // The count is of this process: what was parked before it began is only shown.
            #expect(metrics["heuristic"] == (isCounted ? 1 : 0), sourceLocation: sourceLocation)
            #expect(try world.recover().plan().status == RecoverTool.somethingLeft, sourceLocation: sourceLocation)
        }

        /// It stays parked, and the server takes other payments.
        private func outlivesRestarts(
            _ payment: Payment, in world: World, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            #expect(try world.pay(Payment(requestID: "another")).status == .approved, sourceLocation: sourceLocation)
            try world.waitUntilConfirmed(Payment(requestID: "another"))
            try world.stop("a", sourceLocation: sourceLocation)
            let result = try world.recover().run("--wait", "1")
            #expect(result.status == RecoverTool.somethingLeft, "\(result)", sourceLocation: sourceLocation)
            try world.start()
            try expectHeuristic(payment, isCounted: false, in: world, sourceLocation: sourceLocation)
            #expect(try world.preparedBranches() == [], sourceLocation: sourceLocation)
        }
    }
}
