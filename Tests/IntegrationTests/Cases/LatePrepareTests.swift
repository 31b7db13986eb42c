import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A connection of a dead server may prepare its branch after recovery has looked: the branch is never left and never
    /// committed.
    @Suite struct LatePrepareTests {
        @Test("Goal: a backend that waits for a lock when its server dies prepares nothing after recover")
        func waitsForLock() throws {
            try World.run(environment: ["LOCK_TIMEOUT_MS": "60000"]) { world in
                try world.start()
                let lock = try Session(claiming: "late", at: world.databases[0])
                let payment = try payAndDie(waitingFor: "transactionid", in: world)
                let result = try world.recover().run("--wait", "10")
                #expect(result.status == RecoverTool.nothingLeft, "\(result)")
                #expect(try world.waitingBackends(for: "transactionid") == [], "recover has ended it")
                try lock.end()
                try expectAborted(payment, in: world)
                try world.finish()
            }
        }

        @Test(
            "Goal: a change of the table that waits for what is in doubt does not keep recovery from finishing it",
            arguments: [CrashPoint.prepared, .decisionDurable], Healer.allCases)
        func tableChangeWaits(point: CrashPoint, healer: Healer) throws {
            try World.run { world in
                try world.start(fault: point.fault(.kill))
                let payment = Payment(requestID: "in-doubt")
                try world.payIntoTheCrash(payment)
                try world.waitUntilBackendsAreGone()
                // Whoever wants to write to the table now stands in line behind it, and a reader too.
                let change = try Session(
                    at: world.databases[0], name: "operator", waitingFor: "relation",
                    "ALTER TABLE transactions ADD COLUMN remark text;")
                switch healer {
                case .recover:
                    let result = try world.recover().run("--wait", "10")
                    #expect(result.status == RecoverTool.nothingLeft, "\(result)")
                case .server: try world.start()
                }
                #expect(try change.finish() == .code(0))
                if healer == .recover { try world.start() }
                let answer = try world.finalAnswer(to: payment)
                // The change keeps readers away too: where nobody could look whether the payment was made before, its request_id is given up
                // with the abort, and the retry makes it.
                #expect(answer.status == .approved, "\(answer)")
                try world.finish()
            }
        }

        @Test(
            "Goal: while a backend that stands still may yet prepare, its abort stays open; afterwards nothing is left")
        func standsStill() throws {
            try World.run(environment: ["LOCK_TIMEOUT_MS": "60000"]) { world in
                try world.start()
                let lock = try Session(locking: "transactions", at: world.databases[0])
                let client = try world.server().client()
                let payment = Payment(requestID: "late")
                try client.send(payment)
                let backend = try world.waitingBackend(for: "relation")
                kill(backend, SIGSTOP)
                defer { kill(backend, SIGCONT) }
                try die(payment, in: world)
                let result = try world.recover().run("--wait", "0")
                #expect(result.status == RecoverTool.somethingLeft, "\(result)")
                let transaction = try world.onlyTransaction()
                #expect(try !world.hasEnded(transaction))
                // Its hold is not taken; it is given back when nobody can prepare the branch any more.
                #expect(try world.simulator.book().allSatisfy { $0.state != .settled })
                try lock.end()
                kill(backend, SIGCONT)
                let again = try world.recover().run("--wait", "10")
                #expect(again.status == RecoverTool.nothingLeft, "\(again)")
                #expect(try world.hasEnded(transaction))
                try expectAborted(payment, in: world)
                try world.finish()
            }
        }

        /// Who recovers.
        enum Healer: CaseIterable {
            case recover, server
        }

        @Test(
            "Goal: a branch that an old session prepares after the first look is found and rolled back",
            arguments: Healer.allCases)
        func preparesLate(healer: Healer) throws {
            try World.run { world in
                try world.start(fault: CrashPoint.holdPlaced.fault(.kill))
                let payment = Payment(requestID: "late")
                try world.payIntoTheCrash(payment)
                try world.waitUntilBackendsAreGone()
                let transaction = try world.onlyTransaction()
                let fence = try world.fence()
                let gid = "visa_\(fence.log)_\(fence.epoch)_\(transaction)_db1"
                // It stands in for a connection of the dead server. It was opened as another role, so that nobody of ours ends it.
                let old = try Session(
                    at: world.databases[0], name: world.applicationName(), waitingFor: "PgSleep",
                    """
                    SET SESSION AUTHORIZATION \(PrivateCluster.serverRole);
                    BEGIN;
                    INSERT INTO transactions (request_id, txn_id, status) VALUES ('late', '\(transaction)', 'APPROVED');
                    SELECT pg_sleep(3);
                    PREPARE TRANSACTION '\(gid)';
                    """)
                switch healer {
                case .recover:
                    let early = try world.recover().run("--wait", "0")
                    #expect(early.status == RecoverTool.somethingLeft, "it may still prepare: \(early)")
                    #expect(try !world.hasEnded(transaction))
                    let late = try world.recover().run("--wait", "15")
                    #expect(late.status == RecoverTool.nothingLeft, "\(late)")
                case .server:
                    let took = try world.launch().waitUntilReady()
                    #expect(took <= Limits.assertedStart, "nobody waits for a session that is not ours")
                    #expect(try !world.hasEnded(transaction))
                    #expect(try world.pay(Payment(requestID: "meanwhile")).status == .approved)
                }
                #expect(try old.finish() == .code(0), "nobody has ended it")
                try Wait.until("the late branch is rolled back", within: Limits.settle) {
                    try world.hasEnded(transaction) && world.preparedBranches() == []
                }
                try expectAborted(payment, in: world)
                try world.finish()
            }
        }

        // MARK: Steps

        /// A payment whose insert waits, and the death of its server.
        private func payAndDie(waitingFor event: String, in world: World) throws -> Payment {
            let payment = Payment(requestID: "late")
            let client = try world.server().client()
            try client.send(payment)
            _ = try world.waitingBackend(for: event)
            try die(payment, in: world)
            return payment
        }

        private func die(_ payment: Payment, in world: World) throws {
            try world.server().crash()
            world.ledger.note(payment, .lost)
        }

        private func expectAborted(
            _ payment: Payment, in world: World, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            #expect(try world.preparedBranches() == [], sourceLocation: sourceLocation)
            if try !world.server().process.isRunning { try world.start() }
            #expect(try world.pay(payment).isFinalRefusal, sourceLocation: sourceLocation)
            #expect(
                try !world.rows().contains { $0.requestID == payment.requestID }, sourceLocation: sourceLocation)
        }
    }
}
