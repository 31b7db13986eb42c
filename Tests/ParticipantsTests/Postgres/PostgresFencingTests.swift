import Foundation
import Payments
import Synchronization
import Testing

@testable import Coordinator
@testable import PostgresParticipant

extension PostgresTests {
    @Suite("Fencing")
    struct FencingTests {
        let target: PostgresCluster.Database

        init() throws { target = try PostgresCluster.shared.get().makeDatabase() }

        private func fence(confirmed: FencePair?, attempted: [FencePair] = [], number: UInt8 = 1) throws
            -> DatabaseFence
        {
            DatabaseFence(
                database: DatabaseIndex(rawValue: number), identity: try identity(), confirmed: confirmed,
                attempted: attempted)
        }

        private func identity() throws -> DatabaseIdentity {
            let row = try target.run(
                "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()) "
                    + "FROM pg_control_system()"
            ).split(separator: "|")
            return DatabaseIdentity(
                systemIdentifier: UInt64(bitPattern: try #require(Int64(row[0]))),
                databaseOID: try #require(UInt32(row[1])))
        }

        private func pairThere(_ log: LogID) throws -> String {
            try target.run("SELECT epoch, incarnation FROM holdfast_fence WHERE log_id = '\(log)'")
        }

        @Test("The attempt is in the log before the database is touched, the confirmation after")
        func order() throws {
            let log = randomLogID()
            let rowsSeen = Mutex<[String]>([])
            let target = target
            let records = RememberingLog { write in
                let there = (try? target.run("SELECT epoch FROM holdfast_fence WHERE log_id = '\(log)'")) ?? "no table"
                rowsSeen.withLock { $0.append(there) }
            }
            let server = try TestServer(target, log: log, owner: pair(5), records: records)
            #expect(try server.firstAttempt() == .available)
            #expect(
                Array(records.all.prefix(2)) == [
                    .fenceAttempted(TestServer.index, pair(5)),
                    .fenceConfirmed(TestServer.index, try identity(), pair(5)),
                ])
            #expect(rowsSeen.withLock { Array($0.prefix(2)) } == ["", "5"])
            try server.close()
        }

        @Test("What the database may hold: the confirmed pair, an attempted one, ours")
        func takenOver() throws {
            let log = randomLogID()
            let first = try TestServer(target, log: log, owner: pair(1))
            #expect(try first.firstAttempt() == .available)
            try first.close()
            let second = try TestServer(target, log: log, owner: pair(2), fence: fence(confirmed: pair(1)))
            #expect(try second.firstAttempt() == .available)
            try second.close()
            // A crash came between the change there and its confirmation here.
            let third = try TestServer(
                target, log: log, owner: pair(3), fence: fence(confirmed: pair(1), attempted: [pair(2)]))
            #expect(try third.firstAttempt() == .available)
            #expect(try pairThere(log) == "3|0000000000000007")
            try third.close()
        }

        @Test("A clone is refused, touches nothing, and says what to do")
        func clone() throws {
            let log = randomLogID()
            let first = try TestServer(target, log: log, owner: pair(2, 100))
            #expect(try first.firstAttempt() == .available)
            let clone = try TestServer(target, log: log, owner: pair(2, 200), fence: fence(confirmed: pair(1)))
            guard case .failed(let message) = try clone.firstAttempt() else { Issue.record("a clone got in"); return }
            #expect(message.contains("copy of this state directory"))
            #expect(clone.fatal.count == 1 && clone.records.all.isEmpty)
            #expect(!clone.database.isAvailable && first.database.isAvailable)
            #expect(try pairThere(log) == "2|0000000000000064")
            guard case .no(.unavailable) = try clone.prepare(clone.begin()) else { Issue.record("it prepared"); return }
            try clone.close()
            try first.close()
        }

        @Test("A database that lost its fence is refused")
        func lostRow() throws {
            let log = randomLogID()
            let first = try TestServer(target, log: log, owner: pair(1))
            #expect(try first.firstAttempt() == .available)
            try first.close()
            try target.run("DELETE FROM holdfast_fence")
            let second = try TestServer(target, log: log, owner: pair(2), fence: fence(confirmed: pair(1)))
            guard case .failed(let message) = try second.firstAttempt() else { Issue.record("it got in"); return }
            #expect(message.contains("restored"))
            try second.close()
        }

        @Test("Another database than the one the log knows, and one database under two numbers, are refused")
        func otherDatabase() throws {
            let other = DatabaseIdentity(systemIdentifier: 1, databaseOID: 2)
            let moved = try TestServer(
                target, owner: pair(2),
                fence: DatabaseFence(database: TestServer.index, identity: other, confirmed: pair(1), attempted: []))
            guard case .failed(let message) = try moved.firstAttempt() else { Issue.record("it got in"); return }
            #expect(message.contains("another database"))
            try moved.close()

            let log = randomLogID()
            let first = try TestServer(target, log: log, owner: pair(1))
            #expect(try first.firstAttempt() == .available)
            let twice = try TestServer(target, log: log, owner: pair(1), fence: fence(confirmed: nil, number: 2))
            guard case .failed(let text) = try twice.firstAttempt() else { Issue.record("it got in"); return }
            #expect(text.contains("two of the configured databases"))
            try twice.close()
            try first.close()
        }

        @Test("A newer server takes over: it terminates the older one's backends, which finds itself fenced out")
        func fencedOut() throws {
            let log = randomLogID()
            let older = try TestServer(target, log: log, owner: pair(1))
            #expect(try older.firstAttempt() == .available)
            let left = older.begin()
            #expect(try older.prepare(left) == .yes(authorizationCode: ""))
            let newer = try TestServer(target, log: log, owner: pair(2), fence: fence(confirmed: pair(1)))
            #expect(try newer.firstAttempt() == .available)
            #expect(try !newer.statistics().olderBackendsAlive)
            try eventually { !older.fencedOut.isEmpty }
            #expect(older.fencedOut.count == 1 && !older.database.isAvailable)
            try eventually {
                try target.count("pg_stat_activity", where: "application_name = 'holdfast/\(log)/1'") == 0
            }
            guard case .no = try older.prepare(older.begin()) else { Issue.record("it prepared"); return }
            // What the older one left is resolved by the newer one, and takes none of its slots afterwards.
            #expect(try newer.statistics().slots == PostgresCluster.preparedMax - 1)
            #expect(try newer.ownPrepared() == [older.gid(left.record.transaction)])
            #expect(try newer.resolve(left, .aborted) == .done(.acknowledgement))
            #expect(try newer.resolve(left, .aborted) == .done(.absence))
            #expect(try newer.statistics().slots == PostgresCluster.preparedMax)
            try older.close()
            try newer.close()
        }

        @Test("Two servers start at once on an empty database: both make the tables, each its own fence")
        func together() throws {
            let servers = try (0..<3).map { _ in try TestServer(target) }
            for server in servers { #expect(try server.firstAttempt() == .available) }
            #expect(try target.count("holdfast_fence") == 3)
            #expect(try target.count("holdfast_schema") == 1)
            for server in servers { try server.close() }
        }

        @Test("An observer sees and changes nothing, and no server takes it for an older backend")
        func observer() throws {
            let server = try TestServer(ready: target)
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            let observer = try PostgresDatabase(
                index: TestServer.index, configuration: PostgresConfiguration(uri: target.uri), log: server.log,
                role: .observer(current: Epoch(rawValue: 2), fence: fence(confirmed: pair(1))), events: PostgresEvents()
            )
            try observer.start()
            let attempt = Awaited<PostgresDatabase.FirstAttempt>()
            observer.firstAttempt { attempt.set($0) }
            #expect(try attempt.get() == .available)
            #expect(!observer.isAvailable)
            let observation = Awaited<DatabaseObservation>()
            observer.observe(witnessesOf: [begin.record.transaction]) { observation.set($0) }
            guard case .seen(let sighting) = try observation.get().state else { Issue.record("unseen"); return }
            #expect(sighting.prepared.map(\.gid).contains(server.gid(begin.record.transaction)))
            // The server's backends are of an epoch before the observer's.
            #expect(sighting.olderBackendsAlive)
            #expect(try server.resolve(begin, .aborted) == .done(.acknowledgement))
            let closed = Awaited<Bool>()
            observer.close { closed.set(true) }
            #expect(try closed.get())
            try server.close()
        }
    }

    @Suite("Servers that cannot be used")
    struct UnusableTests {
        @Test("No prepared transactions: the message says what to set")
        func switchedOff() throws {
            let cluster = try PostgresCluster(settings: [])
            defer { cluster.stop() }
            let target = try cluster.makeDatabase()
            let server = try TestServer(target)
            guard case .failed(let message) = try server.firstAttempt() else { Issue.record("it got in"); return }
            #expect(message.contains("set `max_prepared_transactions = 256` in postgresql.conf and restart PostgreSQL"))
            #expect(server.fatal.count == 1 && server.records.all.isEmpty)
            #expect(server.database.state == .refused(message))
            try server.close()
        }

        @Test("A database that is away at the start is fenced when it returns")
        func away() throws {
            let cluster = try PostgresCluster(settings: ["max_prepared_transactions = 8"])
            defer { cluster.stop() }
            let target = try cluster.makeDatabase()
            try cluster.shutDown(.fast)
            let server = try TestServer(target)
            guard case .failed = try server.firstAttempt() else { Issue.record("nobody was there"); return }
            #expect(server.records.all.isEmpty)
            let begin = server.begin()
            guard case .no(.unavailable) = try server.prepare(begin) else { Issue.record("it prepared"); return }
            #expect(try server.resolve(begin, .aborted) == .done(.absence))
            guard case .unreachable = try server.observe([]) else { Issue.record("it saw something"); return }
            try cluster.startUp()
            try eventually { server.database.isAvailable }
            #expect(server.records.all.filter { if case .databaseSeen = $0 { false } else { true } }.count == 2)
            let paid = server.begin()
            #expect(try server.prepare(paid) == .yes(authorizationCode: ""))
            // A prepared branch outlives the server's immediate stop.
            try cluster.shutDown(.immediate)
            try eventually { !server.database.isAvailable }
            guard case .open = try server.resolve(paid, .committed) else { Issue.record("who said so?"); return }
            try cluster.startUp()
            #expect(try server.resolveToTheEnd(paid, .committed) == .done(.acknowledgement))
            #expect(try target.count("transactions") == 1)
            #expect(server.fatal.isEmpty && server.fencedOut.isEmpty)
            try server.close()
        }

        @Test("A standby is no participant; one that is promoted is, and its new timeline is told")
        func standby() throws {
            let cluster = try PostgresCluster(settings: ["max_prepared_transactions = 8"])
            defer { cluster.stop() }
            let target = try cluster.makeDatabase()
            let server = try TestServer(ready: target)
            try cluster.shutDown(.fast)
            try PostgresCluster.run(["/usr/bin/touch", cluster.folder + "/data/standby.signal"])
            try cluster.startUp()
            try eventually {
                guard case .away(let reason) = server.database.state else { return false }
                return reason.contains("standby")
            }
            #expect(!server.database.isAvailable && server.fatal.isEmpty)
            try target.run("SELECT pg_promote()")
            try eventually { server.database.isAvailable }
            guard case .position(let before, let after)? = server.regressions.first?.cause else {
                Issue.record("\(server.regressions)")
                return
            }
            #expect(before.timeline == 1 && after.timeline == 2 && server.regressions.count == 1)
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            try server.close()
        }
    }

    @Suite("Tables")
    struct SchemaTests {
        let target: PostgresCluster.Database

        init() throws { target = try PostgresCluster.shared.get().makeDatabase() }

        @Test("A predecessor's table is widened, its rows stay, its queries work")
        func predecessor() throws {
            try target.run(
                """
                CREATE TABLE transactions (id serial PRIMARY KEY, request_id varchar(36), pan_masked varchar(20),
                    amount numeric(12,2), status varchar(8), created_at timestamp DEFAULT now())
                """,
                "CREATE UNIQUE INDEX by_request ON transactions (request_id)",
                "INSERT INTO transactions (request_id, amount, status) VALUES ('old', 1.5, 'APPROVED')")
            let server = try TestServer(ready: target)
            let long = String(repeating: "r", count: 64)
            let begin = server.begin(makeIntent(request: long))
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            #expect(
                try target.run("SELECT request_id, amount, status FROM transactions ORDER BY id")
                    == "old|1.50|APPROVED\n\(long)|12.30|APPROVED")
            #expect(try target.run("SELECT status, COUNT(*) FROM transactions GROUP BY 1") == "APPROVED|2")
            // The unique index that was there is enough.
            #expect(try target.count("pg_indexes", where: "indexdef LIKE '%UNIQUE%(request_id)'") == 1)
            #expect(try target.count("pg_indexes", where: "indexdef LIKE '%(created_at)'") == 1)
            let again = server.begin(makeIntent(request: "old"))
            #expect(try server.prepare(again) == .no(.conflict))
            try server.close()
        }

        @Test("A role without special rights is enough; a newer program's tables are refused")
        func ordinaryRole() throws {
            try target.run(
                "DROP ROLE IF EXISTS \(target.name)_app", "CREATE ROLE \(target.name)_app LOGIN",
                "ALTER DATABASE \(target.name) OWNER TO \(target.name)_app")
            let uri = target.uri(user: "\(target.name)_app")
            let server = try TestServer(target, uri: uri)
            #expect(try server.firstAttempt() == .available)
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            #expect(try server.resolve(begin, .committed) == .done(.acknowledgement))
            try server.close()
            try target.run("INSERT INTO holdfast_schema (version, usable_from) VALUES (9, 9)")
            let older = try TestServer(target, uri: uri)
            guard case .failed(let message) = try older.firstAttempt() else { Issue.record("it got in"); return }
            #expect(message.contains("newer program"))
            try older.close()
        }

        @Test("A role that may not create tables is told so")
        func noRights() throws {
            try target.run("DROP ROLE IF EXISTS \(target.name)_poor", "CREATE ROLE \(target.name)_poor LOGIN")
            let server = try TestServer(target, uri: target.uri(user: "\(target.name)_poor"))
            guard case .failed(let message) = try server.firstAttempt() else { Issue.record("it got in"); return }
            #expect(message.contains("right to create"))
            try server.close()
        }
    }
}
