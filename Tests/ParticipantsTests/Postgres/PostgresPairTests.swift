import Foundation
import Payments
import Testing

@testable import Coordinator
@testable import PostgresParticipant

extension PostgresTests {
    /// With one connection, which is kept busy by a branch that waits for a lock, what is asked meanwhile is sent together.
    @Suite("A branch right behind a decision")
    struct PairTests {
        let target: PostgresCluster.Database

        init() throws { target = try PostgresCluster.shared.get().makeDatabase() }

        /// Far enough for pairs.
        private static let resolveTimeout = Milliseconds.seconds(30)

        private func makeServer(lockTimeout: Milliseconds = .seconds(60)) throws -> TestServer {
            let server = try TestServer(
                target, poolSize: 1, lockTimeout: lockTimeout, resolveTimeout: Self.resolveTimeout)
            #expect(try server.firstAttempt() == .available)
            return server
        }

        /// Keeps the connection busy until a decision and a branch wait for it, lets it go, and sees to it that they were sent as a pair.
        private func sendPair(
            _ server: TestServer, _ decided: Durable<BeginRecord>, _ decision: Outcome,
            behindIt branch: Durable<BeginRecord>
        ) throws -> (resolution: Awaited<Resolution>, vote: Awaited<Vote>) {
            let name = "busy-\(UInt64.random(in: 0...UInt64.max))"
            try target.hold(name)
            let before = server.startPrepare(server.begin(makeIntent(request: name)))
            try eventually { try server.statistics().connectionsBusy == 1 }
            let pair = (resolution: server.startResolve(decided, decision), vote: server.startPrepare(branch))
            try eventually { try server.statistics().jobsWaiting == 2 }
            let pairs = try server.statistics().pairsSent
            try target.letGo(name)
            #expect(try before.get() == .yes(authorizationCode: ""))
            try eventually { try server.statistics().pairsSent == pairs + 1 }
            return pair
        }

        @Test("Both are done, and each is told its own")
        func both() throws {
            let server = try makeServer()
            let (first, second) = (server.begin(), server.begin())
            #expect(try server.prepare(first) == .yes(authorizationCode: ""))
            let (resolution, vote) = try sendPair(server, first, .committed, behindIt: second)
            #expect(try resolution.get() == .done(.acknowledgement))
            #expect(try vote.get() == .yes(authorizationCode: ""))
            #expect(try target.count("transactions", where: "txn_id = '\(first.record.transaction)'") == 1)
            #expect(try server.ownPrepared().contains(server.gid(second.record.transaction)))
            try server.close()
        }

        @Test("A decision that finds no branch, a branch whose key is taken: neither disturbs the other")
        func bothFail() throws {
            let server = try makeServer()
            let (made, gone) = (server.begin(makeIntent(request: "made")), server.begin())
            for begin in [made, gone] { #expect(try server.prepare(begin) == .yes(authorizationCode: "")) }
            #expect(try server.resolve(made, .committed) == .done(.acknowledgement))
            try target.run("ROLLBACK PREPARED '\(server.gid(gone.record.transaction))'")
            let conflicting = server.begin(makeIntent(request: "made", hash: 2))
            let (resolution, vote) = try sendPair(server, gone, .aborted, behindIt: conflicting)
            #expect(try resolution.get() == .done(.absence))
            #expect(try vote.get() == .no(.conflict))
            let after = server.begin()
            #expect(try server.prepare(after) == .yes(authorizationCode: ""))
            #expect(try server.resolve(after, .committed) == .done(.acknowledgement))
            try server.close()
        }

        @Test("The connection is lost while the branch waits for a lock: the decision is done, the vote unknown")
        func lostBehind() throws {
            let server = try makeServer()
            let (first, second) = (server.begin(), server.begin(makeIntent(request: "held")))
            #expect(try server.prepare(first) == .yes(authorizationCode: ""))
            try target.hold("held")
            let (resolution, vote) = try sendPair(server, first, .committed, behindIt: second)
            #expect(try resolution.get() == .done(.acknowledgement))
            try eventually {
                try target.run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
                        + "'holdfast/\(server.log)/%' AND wait_event_type = 'Lock'") == "t"
            }
            guard case .unknown = try vote.get() else { Issue.record("the end of a session was certain"); return }
            #expect(try server.resolveToTheEnd(second, .aborted) == .done(.absence))
            try target.letGo("held")
            try server.close()
        }

        @Test("A decision before a branch takes longer than the branch may: both are answered at the branch's deadline")
        func deadlineBehind() throws {
            let server = try makeServer(lockTimeout: Milliseconds(1500))
            let (first, second) = (server.begin(), server.begin())
            #expect(try server.prepare(first) == .yes(authorizationCode: ""))
            try target.hold("busy")
            defer { try? target.waitForNobody() }
            // What commits waits for ever from now on; what gives up at its lock does not.
            try target.waitForMissingStandby()
            let busy = server.startPrepare(server.begin(makeIntent(request: "busy")))
            try eventually { try server.statistics().connectionsBusy == 1 }
            let resolution = server.startResolve(first, .committed)
            let before = PostgresDatabase.now()
            let vote = server.startPrepare(second, within: .seconds(5))
            guard case .no(.contended) = try busy.get() else { Issue.record("the lock was not waited for"); return }
            #expect(try server.statistics().pairsSent == 1)
            guard case .open = try resolution.get() else { Issue.record("no standby, and yet done"); return }
            guard case .unknown = try vote.get() else { Issue.record("a vote without an answer"); return }
            let took = PostgresDatabase.now().since(before)
            #expect(took >= .seconds(5) && took <= Milliseconds(5000 + PostgresLimits.voteOverrunMax.count))
            try target.waitForNobody()
            #expect(try server.resolveToTheEnd(first, .committed) == .done(.witness))
            // The server may have come to it before it was told that the connection is given up.
            guard case .done = try server.resolveToTheEnd(second, .aborted) else {
                Issue.record("an abort did not end")
                return
            }
            #expect(try server.ownPrepared().isEmpty)
            #expect(try target.count("transactions", where: "txn_id = '\(second.record.transaction)'") == 0)
            try target.letGo("busy")
            try server.close()
        }

        @Test("A read takes no branch along, nor does a decision that has to be answered soon")
        func aloneBehind() throws {
            let impatient = try TestServer(
                target, poolSize: 1, lockTimeout: .seconds(60), resolveTimeout: PostgresLimits.pairTimeMin)
            #expect(try impatient.firstAttempt() == .available)
            let (first, second) = (impatient.begin(), impatient.begin())
            #expect(try impatient.prepare(first) == .yes(authorizationCode: ""))
            try target.hold("busy")
            let busy = impatient.startPrepare(impatient.begin(makeIntent(request: "busy")))
            try eventually { try impatient.statistics().connectionsBusy == 1 }
            let resolution = impatient.startResolve(first, .committed)
            let prior = Awaited<PriorPayment>()
            impatient.database.lookUp(LookUpOrder(allowedBy: impatient.begin())) { prior.set($0) }
            let vote = impatient.startPrepare(second)
            try eventually { try impatient.statistics().jobsWaiting == 3 }
            try target.letGo("busy")
            #expect(try busy.get() == .yes(authorizationCode: ""))
            #expect(try resolution.get() == .done(.acknowledgement))
            #expect(try prior.get() == .none)
            #expect(try vote.get() == .yes(authorizationCode: ""))
            #expect(try impatient.statistics().pairsSent == 0)
            try impatient.close()
        }

        @Test(
            "Many payments through few connections: every branch comes to its end",
            arguments: [(1, false), (3, false), (3, true)])
        func load(connections: Int, overUnixSocket: Bool) throws {
            let server = try TestServer(
                target, uri: overUnixSocket ? target.uriOverUnixSocket : nil, poolSize: connections,
                resolveTimeout: Self.resolveTimeout)
            #expect(try server.firstAttempt() == .available)
            let load = Load(server)
            load.start(24)
            try eventually { load.committedCount > 300 }
            load.stop()
            try eventually { load.running == 0 }
            #expect(load.surprises.isEmpty)
            #expect(try server.statistics().pairsSent > 0)
            #expect(try server.statistics().slotsTaken == 0)
            #expect(try server.ownPrepared().isEmpty)
            let rows = Set(try target.run("SELECT txn_id FROM transactions").split(separator: "\n").map(String.init))
            #expect(rows == Set(load.committed.map(\.description)))
            try server.close()
        }
    }
}
