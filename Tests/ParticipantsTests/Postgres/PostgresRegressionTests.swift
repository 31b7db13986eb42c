import Payments
import Testing

@testable import Coordinator
@testable import PostgresParticipant

extension PostgresTests {
    /// How far a database is, as the log remembers it, and what follows when it is not as far any more.
    @Suite("Back in time")
    struct RegressionTests {
        let target: PostgresCluster.Database
        private static let far = DatabasePosition(timeline: 1, walBytes: 1 << 60)

        init() throws { target = try PostgresCluster.shared.get().makeDatabase() }

        private func positions(_ records: RememberingLog) -> [DatabasePosition] {
            records.all.compactMap { if case .databaseSeen(_, let position) = $0 { position } else { nil } }
        }

        /// A fence that the log remembers after a first server.
        private func fence(
            confirmed: FencePair = pair(1), former: [FencePair] = [], position: DatabasePosition? = nil,
            takesOver: Bool = false, oid: UInt32? = nil
        ) throws -> DatabaseFence {
            let row = try target.run(
                "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()) "
                    + "FROM pg_control_system()"
            ).split(separator: "|")
            let identity = DatabaseIdentity(
                systemIdentifier: UInt64(bitPattern: try #require(Int64(row[0]))),
                databaseOID: try oid ?? #require(UInt32(row[1])))
            return DatabaseFence(
                database: TestServer.index, identity: identity, confirmed: confirmed, former: former,
                position: position, takesOver: takesOver)
        }

        private func fenced(by owner: FencePair = pair(1)) throws -> LogID {
            let log = randomLogID()
            let first = try TestServer(target, log: log, owner: owner)
            #expect(try first.firstAttempt() == .available)
            try first.close()
            return log
        }

        private func finish(_ server: TestServer) throws -> Bool {
            let regression = try #require(server.database.regression)
            let isNoted = Awaited<Bool>()
            server.database.finishRegression(regression) { isNoted.set($0) }
            return try isNoted.get()
        }

        private func record(_ server: TestServer) throws {
            let done = Awaited<Bool>()
            server.database.recordPosition { done.set(true) }
            _ = try done.get()
        }

        @Test("Goal: the position is noted after the fencing and again when asked, and only ever grows")
        func noted() throws {
            let server = try TestServer(ready: target)
            try eventually { positions(server.records).count == 1 }
            #expect(server.database.regression == nil && server.regressions.isEmpty)
            #expect(try server.prepare(server.begin()) == .yes(authorizationCode: ""))
            try record(server)
            try eventually { positions(server.records).count == 2 }
            let seen = positions(server.records)
            #expect(seen[0].timeline == 1 && seen[1].timeline == 1 && seen[0].walBytes < seen[1].walBytes)
            // What a crash would leave of it.
            let flushed = try #require(
                UInt64(target.run("SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')")))
            #expect(seen[1].walBytes <= flushed)
            try server.close()
        }

        @Test(
            "Goal: the log hears of a regression before the fence is touched, and of the real position only after the verification"
        )
        func position() throws {
            let log = try fenced()
            let server = try TestServer(
                target, log: log, owner: pair(2), fence: fence(position: Self.far))
            #expect(try server.firstAttempt() == .available)
            let unverified = LogWrite.databaseSeen(TestServer.index, .unverified)
            #expect(Array(server.records.all.prefix(2)) == [unverified, .fenceAttempted(TestServer.index, pair(2))])
            #expect(server.regressions.count == 1 && server.database.regression == server.regressions.first)
            guard case .position(let before, let after)? = server.regressions.first?.cause else {
                Issue.record("\(server.regressions)")
                return
            }
            #expect(before == Self.far && after.walBytes < Self.far.walBytes)
            try record(server)
            #expect(positions(server.records) == [.unverified], "nothing hides it before it is verified")
            #expect(try finish(server))
            #expect(server.database.regression == nil)
            #expect(positions(server.records).count == 2 && positions(server.records)[1].walBytes >= after.walBytes)
            try server.close()
        }

        @Test(
            "Goal: another timeline, and a verification that was not finished, are regressions; a shorter memory is none"
        )
        func causes() throws {
            let log = try fenced()
            let otherTimeline = DatabasePosition(timeline: 9, walBytes: 1)
            for position in [otherTimeline, .unverified] {
                let server = try TestServer(target, log: log, owner: pair(1), fence: fence(position: position))
                #expect(try server.firstAttempt() == .available)
                #expect(server.regressions.count == 1)
                #expect((server.regressions.first?.cause == .unfinished) == (position == .unverified))
                try server.close()
            }
            let behind = DatabasePosition(timeline: 1, walBytes: 1)
            let server = try TestServer(target, log: log, owner: pair(1), fence: fence(position: behind))
            #expect(try server.firstAttempt() == .available)
            #expect(server.regressions.isEmpty && server.database.regression == nil)
            try server.close()
        }

        @Test(
            "Goal: a database that shows a former pair is taken over by compare-and-set, loudly, and has to be verified"
        )
        func formerPair() throws {
            let log = try fenced(by: pair(1))
            let server = try TestServer(
                target, log: log, owner: pair(3), fence: fence(confirmed: pair(2), former: [pair(1)]))
            #expect(try server.firstAttempt() == .available)
            #expect(server.regressions.map(\.cause) == [.formerFence(pair(1))])
            #expect(
                Array(server.records.all.prefix(2)) == [
                    .databaseSeen(TestServer.index, .unverified), .fenceAttempted(TestServer.index, pair(3)),
                ])
            #expect(try target.run("SELECT epoch FROM holdfast_fence WHERE log_id = '\(log)'") == "3")
            try server.close()
        }

        @Test("Goal: a restored log takes over an unknown pair, and another database only then")
        func takesOver() throws {
            let log = try fenced(by: pair(40, 4))
            let plain = try TestServer(target, log: log, owner: pair(3), fence: fence(confirmed: pair(2)))
            guard case .failed = try plain.firstAttempt() else { Issue.record("it got in"); return }
            try plain.close()
            let server = try TestServer(
                target, log: log, owner: pair(41), fence: fence(confirmed: pair(2), takesOver: true))
            #expect(try server.firstAttempt() == .available && server.regressions.isEmpty)
            try server.close()

            let moved = try TestServer(
                target, log: log, owner: pair(42), fence: fence(confirmed: pair(41), oid: 1))
            guard case .failed = try moved.firstAttempt() else { Issue.record("it got in"); return }
            try moved.close()
            let taken = try TestServer(
                target, log: log, owner: pair(42), fence: fence(confirmed: pair(41), takesOver: true, oid: 1))
            #expect(try taken.firstAttempt() == .available)
            guard case .otherDatabase? = taken.regressions.first?.cause else {
                Issue.record("its commits are not verified: \(taken.regressions)")
                return
            }
            try taken.close()
        }

        @Test("Goal: one who only looks sees the regression and writes nothing")
        func observer() throws {
            let log = try fenced()
            let observer = try PostgresDatabase(
                index: TestServer.index, configuration: PostgresConfiguration(uri: target.uri), log: log,
                role: .observer(current: Epoch(rawValue: 2), fence: fence(position: Self.far)), events: PostgresEvents()
            )
            try observer.start()
            let first = Awaited<PostgresDatabase.FirstAttempt>()
            observer.firstAttempt { first.set($0) }
            #expect(try first.get() == .available)
            #expect(observer.regression != nil)
            let closed = Awaited<Bool>()
            observer.close { closed.set(true) }
            _ = try closed.get()
        }
    }
}
