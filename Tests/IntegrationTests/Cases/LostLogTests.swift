import Foundation
import Testing

@testable import Harness

extension Integration {
    /// The state directory is gone: what was answered is still true, and nothing is decided by a guess.
    @Suite struct LostLogTests {
        /// Faults at the network, so that payments are in every state when the directory goes.
        private static let faults = Faults(errorRate: 0.02, lostReplyRate: 0.02, latencyMilliseconds: 10)

        @Test(
            "Goal: a log destroyed under load and made anew: every payment answered APPROVED is there, all branches are resolved",
            arguments: [1, 2])
        func lostLog(databases: Int) throws {
            try World.run(databases: databases) { world in
                try world.start()
                try loadUntilDestroyed(world) {
                    let made = try world.recover().run("restore", "--lost-log")
                    #expect(made.status == .code(0) && made.output.contains("made anew"), "\(made)")
                }
                try expectWholeBooks(world)
            }
        }

        @Test(
            "Goal: a log restored from a backup presumes nothing: no committed payment is reversed, none that was answered is lost",
            arguments: [1, 2])
        func restored(databases: Int) throws {
            try World.run(databases: databases) { world in
                try world.start()
                let before = (0..<20).map { Payment(requestID: "before-\($0)") }
                for payment in before { try world.pay(payment) }
                let backup = world.directory + "/backup"
                // Beside the running server.
                let copied = try world.recover().run("backup", backup)
                #expect(copied.status == .code(0), "\(copied)")
                try loadUntilDestroyed(world) {
                    let made = try world.recover().run("restore", backup)
                    #expect(made.status == .code(0) && made.output.contains("restored"), "\(made)")
                }
                // What the backup knew is still answered as it was.
                let again = try world.pay(before[7])
                #expect(again.status == .approved && again.isIdempotent)
                try expectWholeBooks(world)
            }
        }

        @Test("Goal: a restored log takes no payment before the network has told what was in the lost tail")
        func waitsForEvidence() throws {
            try World.run { world in
                try world.start()
                try world.pay(Payment(requestID: "first"))
                let backup = world.directory + "/backup"
                _ = try world.server().drain()
                try copyState(world, to: backup)
                // Prepared and undecided when the directory goes: the database alone cannot tell.
                try world.start(fault: CrashPoint.prepared.fault(.kill))
                try world.payIntoTheCrash(Payment(requestID: "in-the-tail"))
                try world.waitUntilBackendsAreGone()
                try destroyState(world)
                let recover = try world.recover()
                #expect(try recover.run("restore", backup).status == .code(0))
                #expect(try recover.run("restore", backup).status == .code(1), "nothing is overwritten")
                world.simulator.crash()
                let blind = try recover.run("--dry-run")
                #expect(blind.output.contains("await_evidence"), "\(blind)")
                #expect(blind.status != .code(0))
                let server = try world.launch()
                try server.waitUntilListening()
                #expect(try server.ask("GET /readyz") == "NOT_READY")
                let early = Payment(requestID: "too-early")
                #expect(try server.client().pay(early).isRefusal("server_busy"))
                #expect(try world.preparedBranches().count == 1, "nothing is rolled back by presumption")
                try world.simulator.start()
                try server.waitUntilReady()
                try Wait.until("the branch of the tail is resolved", within: Limits.settle) {
                    try world.preparedBranches().isEmpty
                }
                #expect(try world.pay(early).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: an orphan is kept where the network has confirmed what no database shows")
        func contradictionIsKept() throws {
            try World.run { world in
                try world.start(fault: CrashPoint.prepared.fault(.kill))
                try world.payIntoTheCrash(Payment(requestID: "odd"))
                try world.waitUntilBackendsAreGone()
                let transaction = try #require(try world.simulator.book().first?.transactionID)
                try world.simulator.commit(transaction)
                try destroyState(world)
                let recover = try world.recover()
                #expect(try recover.run("restore", "--lost-log").status == .code(0))
                let plan = try recover.run("--dry-run")
                #expect(plan.output.contains("contradiction") && plan.output.contains(transaction), "\(plan)")
                _ = try recover.run("--wait", "1")
                #expect(try world.preparedBranches().count == 1, "it is nobody's to decide but an operator's")
            }
        }

        @Test(
            "Goal: a backup is not worked on by mistake: the server that has the databases goes on, and the remedy is told"
        )
        func backupsAreNotWorkedOn() throws {
            try World.run { world in
                try world.start()
                let backup = world.directory + "/backup"
                #expect(try world.recover().run("backup", backup).status == .code(0))
                let there = RecoverTool(
                    stateDirectory: backup, environment: try world.configuration(of: "a").environment)
                for result in [try there.run(), try there.run("--dry-run")] {
                    #expect(result.status == .code(78) && result.errors.contains("recover restore"), "\(result)")
                }
                #expect(try there.run("list").status == .code(0), "it may be looked at")
                #expect(try world.pay(Payment(requestID: "still-served")).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: a copy taken beside a running server and put in its place is refused, and taken as a restored one")
        func olderCopyOfTheSameStart() throws {
            try World.run { world in
                try world.start()
                try world.pay(Payment(requestID: "before"))
                let copy = world.directory + "/copy"
                // Nothing is written while nobody pays, so the copy is whole.
                Wait.sleep(.milliseconds(500))
                try copyState(world, to: copy)
                try world.pay(Payment(requestID: "after"))
                try world.server().crash()
                try destroyState(world)
                try Files.copyDirectory(copy, to: state(world))
                let refused = try world.launch()
                #expect(try refused.process.wait(within: Limits.programStart) == .code(78))
                #expect(refused.errors.contains("older copy") && refused.errors.contains("recover restore"))
                let recover = try world.recover()
                let result = try recover.run()
                #expect(result.status == .code(78) && result.errors.contains("older copy"), "\(result)")
                try destroyState(world)
                #expect(try recover.run("restore", copy).status == .code(0))
                #expect(try recover.run().status == RecoverTool.nothingLeft)
                try world.start()
                try world.finish()
            }
        }

        // MARK: - Steps

        /// Pays on many connections, kills the server in the middle of it, destroys its state directory, makes another by `body`, and
        /// starts the server on it while the clients go on.
        private func loadUntilDestroyed(_ world: World, remake: () throws -> Void) throws {
            try world.simulator.set(Self.faults)
            let load = Load(LoadPlan(connections: 16, prefix: "d"), port: try world.server().configuration.port)
            defer { load.stop() }
            try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= 300 }
            try world.server().crash()
            try destroyState(world)
            try remake()
            let plan = try world.recover().run("--dry-run")
            #expect(plan.output.contains("nothing is presumed"), "\(plan)")
            let before = load.answers
            try world.start()
            try Wait.until("payments are answered again", within: .seconds(30)) { load.answers >= before + 100 }
            load.stop()
            world.ledger.add(try load.finish(within: Limits.reconnect + Limits.pending))
            try world.simulator.set(.none)
        }

        private func state(_ world: World) throws -> String { try world.configuration(of: "a").stateDirectory }

        private func destroyState(_ world: World) throws {
            try FileManager.default.removeItem(atPath: state(world))
        }

        private func copyState(_ world: World, to path: String) throws {
            try Files.copyDirectory(state(world), to: path)
        }

        /// Every answer is true, every committed payment is confirmed, nothing is left prepared. What the network holds for payments
        /// that never reached a database is known to it alone, and ends when the hold expires.
        private func expectWholeBooks(_ world: World) throws {
            try Wait.until("nothing is prepared and every row is confirmed", within: Limits.settle) {
                let evidence = try world.evidence()
                let settled = Set(evidence.book.filter { $0.state == .settled }.map(\.transactionID))
                return evidence.prepared.isEmpty && evidence.rows.allSatisfy { settled.contains($0.transactionID) }
            }
            var evidence = try world.evidence()
            let rows = Set(evidence.rows.map(\.transactionID))
            let settled = evidence.book.filter { $0.state == .settled }
            #expect(settled.allSatisfy { rows.contains($0.transactionID) }, "confirmed without a row")
            let forgotten = evidence.book.filter { $0.state == .held }
            print("\(rows.count) payments, \(forgotten.count) holds that only the network knows")
            #expect(forgotten.count <= 32)
            evidence.book.removeAll { $0.state == .held }
            let approved = evidence.exchanges.filter { $0.answers.contains { $0.status == .approved } }
            #expect(approved.count > 200)
            for exchange in approved {
                let request = exchange.payment.requestID
                #expect(evidence.rows.contains { $0.requestID == request }, "\(request ?? "") was answered APPROVED")
            }
            #expect(Set(evidence.rows.map(\.requestID)).count == evidence.rows.count)
            let server = try world.server()
            #expect(try server.drain() == .code(0))
            let (status, plan) = try world.recover().plan()
            #expect(status == RecoverTool.nothingLeft, "\(plan)")
        }
    }
}
