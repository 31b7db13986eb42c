import Foundation
import Testing

@testable import Coordinator
@testable import PostgresParticipant

extension PostgresTests {
    @Suite("What prepared transactions block")
    struct InDoubtTests {
        private func locks(_ server: TestServer) throws -> [InDoubtLocks] {
            let locks = Awaited<Result<[InDoubtLocks], PostgresReadError>>()
            server.database.inDoubtLocks { locks.set($0) }
            return try locks.get().get()
        }

        /// Runs SQL that waits, in a session of its own.
        private func startWaiting(_ target: PostgresCluster.Database, _ sql: String) {
            Thread.detachNewThread { _ = try? target.run("SET lock_timeout = '30s'", sql) }
        }

        private func waiting(_ target: PostgresCluster.Database) throws -> Int {
            try target.count(
                "pg_stat_activity", where: "datname = current_database() AND wait_event_type = 'Lock'")
        }

        @Test("Goal: a branch in doubt is shown with its tables, with those who wait for it and those behind them")
        func blocked() throws {
            let target = try PostgresCluster.shared.get().makeDatabase()
            let server = try TestServer(ready: target)
            #expect(try locks(server) == [])
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            let gid = server.gid(begin.record.transaction)
            let alone = try #require(try locks(server).first)
            #expect(alone.gid == gid && alone.blockedSessions == 0)
            #expect(alone.lockedRelations == ["merchant_entries", "transactions"])

            let request = begin.record.intent.requestID.text
            startWaiting(target, "INSERT INTO transactions (request_id) VALUES ('\(request)')")
            try eventually { try waiting(target) == 1 }
            #expect(try locks(server).map(\.blockedSessions) == [1])
            startWaiting(target, "ALTER TABLE transactions ADD COLUMN later integer")
            try eventually { try waiting(target) == 2 }
            // It conflicts with the session before it in the queue, not with the prepared transaction.
            startWaiting(target, "SELECT count(*) FROM transactions")
            try eventually { try waiting(target) == 3 }
            #expect(try locks(server).map(\.blockedSessions) == [3])

            #expect(try server.resolveToTheEnd(begin, .aborted) == .done(.acknowledgement))
            try eventually { try waiting(target) == 0 }
            #expect(try locks(server) == [])
            try server.close()
        }

        @Test("Goal: the oldest in the cluster is told from one that something older hides, and others' are not shown")
        func horizon() throws {
            let cluster = try PostgresCluster.shared.get()
            let other = try cluster.makeDatabase()
            let server = try TestServer(ready: try cluster.makeDatabase())
            let first = server.begin()
            let second = server.begin()
            try other.run(
                "CREATE TABLE t (v integer)", "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'older'")
            #expect(try server.prepare(first) == .yes(authorizationCode: ""))
            #expect(try server.prepare(second) == .yes(authorizationCode: ""))
            #expect(try locks(server).map(\.holdsHorizon) == [false, false])
            try other.run("ROLLBACK PREPARED 'older'")
            // A snapshot that some background process of the cluster took before may be older for a moment.
            try eventually { try locks(server).map(\.holdsHorizon) == [true, false] }
            let found = try locks(server)
            #expect(found.map(\.gid) == [first, second].map { server.gid($0.record.transaction) })
            #expect(found[0].xidAge > found[1].xidAge && found[1].xidAge > 0)
            for begin in [first, second] {
                #expect(try server.resolveToTheEnd(begin, .aborted) == .done(.acknowledgement))
            }
            try server.close()
        }

        @Test("Goal: after a restart of PostgreSQL, when no session's number is left, the locks are found as well")
        func afterRestart() throws {
            let cluster = try PostgresCluster(settings: ["max_prepared_transactions = 4"])
            defer { cluster.stop() }
            let target = try cluster.makeDatabase()
            let server = try TestServer(ready: target)
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            try cluster.restart(.fast)
            try eventually { server.database.isAvailable && (try? locks(server))?.isEmpty == false }
            let request = begin.record.intent.requestID.text
            startWaiting(target, "INSERT INTO transactions (request_id) VALUES ('\(request)')")
            try eventually { try waiting(target) == 1 }
            let found = try #require(try locks(server).first)
            #expect(found.blockedSessions == 1)
            #expect(found.lockedRelations == ["merchant_entries", "transactions"])
            #expect(try server.resolveToTheEnd(begin, .aborted) == .done(.acknowledgement))
            try server.close()
        }
    }
}

@Suite("Judging locks")
struct LockJudgementTests {
    private static let modes = [
        "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
        "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
    ]

    @Test("Goal: conflicts are mutual, and are those of PostgreSQL's table")
    func conflicts() {
        for one in Self.modes {
            for other in Self.modes {
                #expect(LockJudgement.conflict(one, other) == LockJudgement.conflict(other, one), "\(one), \(other)")
            }
        }
        let counts = Self.modes.map { mode in Self.modes.count { LockJudgement.conflict(mode, $0) } }
        #expect(counts == [1, 2, 4, 5, 5, 6, 7, 8])
        #expect(!LockJudgement.conflict("RowExclusiveLock", "RowExclusiveLock"))
        #expect(LockJudgement.conflict("ShareLock", "ExclusiveLock"))
        #expect(!LockJudgement.conflict("SIReadLock", "AccessExclusiveLock"))
    }

    @Test("Goal: a session that waits for somebody else's lock on the same table is not counted")
    func othersLocks() throws {
        let rows: [[String?]] = [
            [nil, "3/1", "ExclusiveLock", "true", "(xid,7)", "7", nil],
            [nil, "3/1", "RowExclusiveLock", "true", "(relation,1)", nil, "t"],
            // Waits for an exclusive lock that a third holds; the prepared transaction's does not hinder it.
            ["40", "4/1", "RowExclusiveLock", "false", "(relation,1)", nil, "t"],
            ["50", "5/1", "ShareLock", "false", "(relation,1)", nil, "t"],
        ]
        let waiting: [[String?]] = [["40", "60"], ["70", "50"], ["50", "70"]]
        let judgement = try #require(LockJudgement(locks: rows, waiting: waiting))
        let found = try #require(judgement.locks(ofPrepared: ["g", "7", "3", "true"]))
        // 50 itself and 70 behind it; the two wait for each other until the deadlock is noticed.
        #expect(found.blockedSessions == 2)
        #expect(found.lockedRelations == ["t"] && found.xidAge == 3 && found.holdsHorizon)
        #expect(judgement.locks(ofPrepared: ["g", "8", "3", "false"])?.blockedSessions == 0)
        #expect(judgement.locks(ofPrepared: ["g", "8", "x", "false"]) == nil)
        #expect(LockJudgement(locks: [["1", "3/1", nil, "true", "", nil, nil]], waiting: []) == nil)
    }
}
