import Foundation
import Synchronization
import Testing

@testable import Harness

extension Integration {
    /// A connection of the running server hangs: at a lock, or waiting for a synchronous standby that does not come.
    @Suite struct HangingPrepareTests {
        /// The deadline is 1 s. An answer may come later by the time that a database may overrun it, and what a debug build needs.
        private static let answerMax = Duration.seconds(4)

        @Test(
            "Goal: a payment whose insert waits for a lock is answered by its deadline, and nothing of it is left when the lock goes"
        )
        func lock() throws {
            try World.run(environment: Self.impatient) { world in
                try world.start()
                let lock = try Session(locking: "transactions", at: world.databases[0])
                let payment = Payment(requestID: "locked")
                let answer = try payInTime(payment, in: world)
                #expect(answer.status != .approved, "\(answer)")
                try lock.end()
                #expect(try world.finalAnswer(to: payment).isFinalRefusal)
                try Wait.until("it has ended", within: Limits.settle) {
                    try world.hasEnded(world.onlyTransaction())
                }
                #expect(try world.rows() == [])
                try world.finish()
            }
        }

        @Test("Goal: an abort does not end while the backend that may still prepare is there; it is ended first")
        func frozenBackend() throws {
            try World.run(environment: Self.impatient) { world in
                try world.start()
                let lock = try Session(locking: "transactions", at: world.databases[0])
                let payment = Payment(requestID: "frozen")
                let client = try world.server().client()
                try client.send(payment)
                let backend = try world.waitingBackend(for: "relation")
                kill(backend, SIGSTOP)
                defer { kill(backend, SIGCONT) }
                let answer = try client.answer(within: Self.answerMax)
                world.ledger.note(payment, .answer(answer))
                #expect(answer.status != .approved, "\(answer)")
                try lock.end()
                let transaction = try world.onlyTransaction()
                let deadline = Deadline(in: .seconds(3))
                while !deadline.hasPassed {
                    #expect(try !world.hasEnded(transaction), "its backend is still there")
                    Wait.sleep(.milliseconds(200))
                }
                kill(backend, SIGCONT)
                try Wait.until("it has ended", within: Limits.settle) { try world.hasEnded(transaction) }
                #expect(try world.databases[0].query("SELECT 1 FROM pg_stat_activity WHERE pid = \(backend)") == [])
                #expect(try world.preparedBranches() == [] && world.rows() == [])
                #expect(try world.finalAnswer(to: payment).isFinalRefusal)
                try world.finish()
            }
        }

        @Test(
            "Goal: PREPARE that waits for a standby is not counted as a yes, not even if its wait is cancelled, and its branch is rolled back"
        )
        func prepareAtStandby() throws {
            try StandbyCluster.run(environment: Self.impatient) { world, standby in
                try world.start()
                #expect(try world.pay(Payment(requestID: "before")).status == .approved)
                try standby.isMissed()
                let payment = Payment(requestID: "unconfirmed")
                let answer = try payInTime(payment, in: world)
                #expect(answer.status != .approved, "\(answer)")
                let cancelled = Payment(requestID: "cancelled")
                let client = try world.server().client()
                try client.send(cancelled)
                try Wait.until("its wait is cancelled", within: Limits.answer) {
                    try world.databases[0].query(
                        """
                        SELECT pg_cancel_backend(pid) FROM pg_stat_activity
                        WHERE wait_event = 'SyncRep' AND query LIKE 'PREPARE TRANSACTION%'
                        """
                    ).isEmpty == false
                }
                let second = try client.answer(within: Self.answerMax)
                world.ledger.note(cancelled, .answer(second))
                #expect(second.status != .approved, "\(second)")
                try standby.isNotNeeded()
                for payment in [payment, cancelled] { #expect(try world.finalAnswer(to: payment).isFinalRefusal) }
                #expect(try world.pay(Payment(requestID: "after")).status == .approved)
                try world.finish()
                #expect(try Set(world.rows().map(\.requestID)) == ["before", "after"])
            }
        }

        @Test(
            "Goal: COMMIT PREPARED that waits for a standby is answered PENDING, and APPROVED once the standby is not waited for"
        )
        func commitAtStandby() throws {
            try StandbyCluster.run(environment: Self.impatient) { world, standby in
                let (payment, client) = try decide(in: world)
                try standby.isMissed()
                try world.server().process.send(SIGCONT)
                try expectPending(payment, client, in: world)
                try standby.isNotNeeded()
                #expect(try world.finalAnswer(to: payment).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: a cancelled wait for the standby is not taken for its confirmation, though the row is visible")
        func cancelledCommit() throws {
            try StandbyCluster.run(environment: Self.impatient) { world, standby in
                let (payment, client) = try decide(in: world)
                try standby.isMissed()
                try world.server().process.send(SIGCONT)
                let backend = try world.waitingBackend(for: "SyncRep")
                try world.databases[0].query("SELECT pg_cancel_backend(\(backend))")
                try Wait.until("the row is visible", within: Limits.answer) { try world.rows().count == 1 }
                try expectPending(payment, client, in: world)
                Wait.sleep(.milliseconds(500))
                #expect(try world.pay(payment).status == .pending, "no standby has it")
                #expect(try world.simulator.book().map(\.state) == [.held])
                try standby.isNotNeeded()
                #expect(try world.finalAnswer(to: payment).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: a branch that somebody else works on is busy, and tried again until that one is done")
        func busyBranch() throws {
            try StandbyCluster.run(environment: Self.impatient) { world, standby in
                let (payment, client) = try decide(in: world)
                try standby.isMissed()
                let gid = try #require(try world.preparedBranches().first)
                let other = try Session(
                    at: world.databases[0], as: PrivateCluster.serverRole, name: "operator", waitingFor: "SyncRep",
                    "COMMIT PREPARED '\(gid)';")
                try world.server().process.send(SIGCONT)
                try expectPending(payment, client, in: world)
                #expect(try world.waitingBackends(for: "SyncRep") == [], "ours does not hang: it was told busy")
                try standby.isNotNeeded()
                #expect(try other.finish() == .code(0))
                #expect(try world.finalAnswer(to: payment).status == .approved)
                #expect(try world.server().metrics()["heuristic"] == 0)
                try world.finish()
            }
        }

        // MARK: Steps

        private static let impatient = [
            "TWOPC_PREPARE_TIMEOUT": "1", "TWOPC_COMMIT_TIMEOUT": "1", "CLEARING_TIMEOUT": "1",
            "LOCK_TIMEOUT_MS": "60000",
        ]

        private func payInTime(_ payment: Payment, in world: World) throws -> Answer {
            var answer: Answer?
            let took = try Wait.measure { answer = try world.pay(payment) }
            #expect(took <= Self.answerMax)
            return try #require(answer)
        }

        /// A server that stands still when its decision to commit is in the log, and the client that waits for the answer.
        private func decide(in world: World) throws -> (Payment, LineClient) {
            let server = try world.start(fault: CrashPoint.decisionDurable.fault(.stop))
            let payment = Payment(requestID: "decided")
            let client = try server.client()
            try client.send(payment)
            try server.process.waitUntilStopped()
            return (payment, client)
        }

        private func expectPending(_ payment: Payment, _ client: LineClient, in world: World) throws {
            let answer = try client.answer(within: Self.answerMax)
            world.ledger.note(payment, .answer(answer))
            #expect(answer.status == .pending, "\(answer)")
        }
    }
}

/// A cluster whose commits can be made to wait for a synchronous standby that there is not.
private final class StandbyCluster: Sendable {
    private static let shared = Mutex<StandbyCluster?>(nil)
    let cluster: PrivateCluster

    /// Lends a world on that cluster; whatever happens, nobody waits for a standby afterwards.
    static func run(environment: [String: String], _ body: (World, StandbyCluster) throws -> Void) throws {
        let standby = try shared.withLock { shared in
            let made = try shared ?? StandbyCluster()
            shared = made
            return made
        }
        try World.run(environment: environment, cluster: standby.cluster) { world in
            defer { try? standby.isNotNeeded() }
            try body(world, standby)
        }
    }

    private init() throws {
        cluster = try PrivateCluster(name: "standby", preparedTransactionsMax: 50)
        // The tests' own statements wait for nobody.
        try cluster.query("ALTER ROLE \(PrivateCluster.superuser) SET synchronous_commit = local")
    }

    /// From now on every commit waits.
    func isMissed() throws {
        try set("'nobody'")
        // What a session shows says nothing: that commits wait is noted by the checkpointer, whenever it comes to it.
        try Wait.until("commits wait for the standby", within: Limits.answer) {
            try cluster.query(Self.waitingCommit).last == ["true"]
        }
    }

    /// Whatever waits goes on.
    func isNotNeeded() throws { try set("''") }

    private func set(_ names: String) throws {
        try cluster.query("ALTER SYSTEM SET synchronous_standby_names = \(names)")
        try cluster.query("SELECT pg_reload_conf()")
    }

    /// Commits, waits for half a second if it has to wait for a standby, and says whether it did.
    private static let waitingCommit = """
        SET synchronous_commit = on;
        SET statement_timeout = '500ms';
        DO $$
        DECLARE began timestamptz := clock_timestamp();
        BEGIN
            COMMENT ON SCHEMA public IS 'waits';
            COMMIT;
            PERFORM set_config('test.waited', (clock_timestamp() - began > '450ms')::text, false);
        END $$;
        SELECT current_setting('test.waited');
        """
}
