import Foundation
import Testing

@testable import Coordinator
@testable import PostgresParticipant

extension PostgresTests {
    @Suite("The look of a preflight")
    struct DiagnoseTests {
        /// Looks as an observer, which is what a preflight is.
        private func diagnose(
            _ target: PostgresCluster.Database, uri: String? = nil, log: LogID = randomLogID(),
            probeAge: Milliseconds = PostgresLimits.probeAgeMax
        ) throws -> Result<PostgresDiagnosis, PostgresDiagnosisError> {
            let configuration = try PostgresConfiguration(
                uri: uri ?? target.uri, poolSize: 4, lockTimeout: Milliseconds(300), resolveTimeout: .seconds(2),
                connectTimeout: .seconds(3))
            let database = try PostgresDatabase(
                index: TestServer.index, configuration: configuration, log: log,
                role: .observer(
                    current: Epoch(rawValue: 1), fence: DatabaseFence(database: TestServer.index, takesOver: true)),
                events: PostgresEvents())
            try database.start()
            let first = Awaited<PostgresDatabase.FirstAttempt>()
            database.firstAttempt { first.set($0) }
            _ = try first.get()
            let diagnosis = Awaited<Result<PostgresDiagnosis, PostgresDiagnosisError>>()
            database.diagnose(removingProbesOlderThan: probeAge) { diagnosis.set($0) }
            // A probe may take its timeout, its removal as long again, and a busy machine its own time.
            let result = try diagnosis.get(within: 60)
            let closed = Awaited<Bool>()
            database.close { closed.set(true) }
            _ = try closed.get()
            return result
        }

        private func error(_ result: Result<PostgresDiagnosis, PostgresDiagnosisError>) -> PostgresDiagnosisError? {
            do {
                _ = try result.get()
                return nil
            } catch {
                return error
            }
        }

        @Test("Goal: a sound database is described as it is, beside its server, and nothing stays prepared")
        func sound() throws {
            let target = try PostgresCluster.shared.get().makeDatabase()
            let server = try TestServer(ready: target)
            let begin = server.begin()
            #expect(try server.prepare(begin) == .yes(authorizationCode: ""))
            let seen = try diagnose(target, log: server.log).get()
            #expect(seen.unreadable == [])
            #expect(seen.settings["max_prepared_transactions"] == "\(PostgresCluster.preparedMax)")
            #expect(seen.settings["fsync"] == "off" && seen.settings["lock_timeout"] == "300")
            #expect(seen.timeline == 1 && seen.synchronousStandbys == 0)
            let role = try #require(seen.role)
            #expect(role.name == "postgres" && role.isSuperuser && role.mayCreateTables && role.connectionsMax == nil)
            #expect(role.databaseName == target.name && role.connectionsUsed >= 6)
            #expect(seen.rightsMissing == [])
            #expect(seen.fence?.pair == pair(1) && seen.fence?.database == TestServer.index && seen.otherFences == 0)
            #expect(seen.schema?.applied == Schema.version)
            #expect(try #require(seen.schema).usableFrom <= Schema.version)
            // The pool and the control connection; the observer is none of them.
            #expect(seen.backends == .init(count: 5, notTerminable: 0, foreignRoles: ""))
            let prepared = try #require(seen.prepared.first { $0.gid == server.gid(begin.record.transaction) })
            #expect(prepared.owner == "postgres" && prepared.databaseName == target.name && prepared.xidAge > 0)
            let clock = try #require(seen.clock)
            #expect(clock.microseconds.magnitude <= clock.boundMicroseconds + 1000)
            guard case .passed = seen.probe?.outcome else { throw PostgresCluster.Failure(description: "\(seen)") }
            #expect(try target.count("pg_prepared_xacts", where: "gid LIKE 'visa\\_doctor%'") == 0)
            #expect(try server.resolveToTheEnd(begin, .aborted) == .done(.acknowledgement))
            try server.close()
        }

        @Test("Goal: a database without tables is not one that cannot be read")
        func withoutTables() throws {
            let seen = try diagnose(try PostgresCluster.shared.get().makeDatabase()).get()
            #expect(seen.unreadable == [] && seen.schema == nil && seen.fence == nil && seen.rightsMissing == [])
        }

        @Test("Goal: a role that lacks rights is told which, and what it may not see is said to be unread")
        func poorRole() throws {
            let target = try PostgresCluster.shared.get().makeDatabase()
            let server = try TestServer(ready: target)
            let role = "poor_\(target.name)"
            try target.run(
                "CREATE ROLE \(role) LOGIN CONNECTION LIMIT 3",
                "GRANT SELECT ON transactions, holdfast_schema TO \(role)",
                "REVOKE SELECT ON pg_catalog.pg_prepared_xacts FROM PUBLIC")
            let seen = try diagnose(target, uri: target.uri(user: role), log: server.log).get()
            #expect(seen.role?.name == role && seen.role?.isSuperuser == false && seen.role?.connectionsMax == 3)
            #expect(seen.role?.mayCreateTables == false)
            #expect(seen.rightsMissing.contains("INSERT on transactions"))
            #expect(seen.rightsMissing.contains("UPDATE on holdfast_fence"))
            #expect(seen.rightsMissing.contains("USAGE on the sequence of transactions.id"))
            #expect(!seen.rightsMissing.contains("SELECT on transactions"))
            let unread = seen.unreadable.map(\.what)
            #expect(unread == ["pg_prepared_xacts", "holdfast_fence"])
            #expect(seen.unreadable.allSatisfy { $0.reason.contains("42501") })
            #expect(seen.backends == .init(count: 5, notTerminable: 5, foreignRoles: "postgres"))
            try server.close()
        }

        @Test("Goal: without prepared transactions the probe is refused in the server's words")
        func switchedOff() throws {
            let cluster = try PostgresCluster(settings: ["max_prepared_transactions = 0"])
            defer { cluster.stop() }
            let seen = try diagnose(try cluster.makeDatabase()).get()
            let probe = try #require(seen.probe)
            #expect(seen.settings["max_prepared_transactions"] == "0" && !probe.isLeft)
            guard case .refused(let reason) = probe.outcome else {
                throw PostgresCluster.Failure(description: "\(probe)")
            }
            #expect(reason.contains("55000"))
        }

        @Test(
            "Goal: a missing synchronous standby is seen, and the probe that waits for it does not hang the preflight")
        func missingStandby() throws {
            let cluster = try PostgresCluster(settings: ["max_prepared_transactions = 4"])
            defer { cluster.stop() }
            let target = try cluster.makeDatabase()
            try target.waitForMissingStandby()
            let seen = try diagnose(target).get()
            #expect(seen.synchronousStandbys == 0)
            let probe = try #require(seen.probe)
            guard case .unclear = probe.outcome else { throw PostgresCluster.Failure(description: "\(probe)") }
            // Whether the list still shows the probe depends on how far its rollback, which waits as well, had come.
            try target.waitForNobody()
            // The server goes on by itself, and the rollback is behind the PREPARE.
            try eventually { try target.count("pg_prepared_xacts") == 0 }
        }

        @Test("Goal: what a killed preflight left is removed once it is old, and only what a preflight can have made")
        func leftovers() throws {
            let cluster = try PostgresCluster(settings: ["max_prepared_transactions = 8"])
            defer { cluster.stop() }
            let target = try cluster.makeDatabase()
            let other = try cluster.makeDatabase()
            try target.run("CREATE ROLE bob LOGIN")
            let digits = String(repeating: "a", count: 31)
            let (here, elsewhere) = ("visa_doctor_\(digits)1", "visa_doctor_\(digits)2")
            // Too short, no digit, and quoted: somebody else's.
            let others = ["visa_doctor_\(digits)", "visa_doctor_\(digits)G", "visa_doctor_''\(digits)"]
            for gid in [here] + others { try target.run("BEGIN; PREPARE TRANSACTION '\(gid)'") }
            try other.run("BEGIN; PREPARE TRANSACTION '\(elsewhere)'")
            func listed() throws -> Int { try target.count("pg_prepared_xacts") }

            #expect(try diagnose(target).get().leftovers == [], "another preflight may be at work")
            #expect(try listed() == 5)
            let bobs = try diagnose(target, uri: target.uri(user: "bob"), probeAge: .zero).get()
            #expect(
                bobs.leftovers == [
                    .init(gid: here, keptBecause: "it belongs to role postgres"),
                    .init(gid: elsewhere, keptBecause: "it is in database \(other.name)"),
                ])
            #expect(try listed() == 5)
            let ours = try diagnose(target, probeAge: .zero).get()
            #expect(
                ours.leftovers == [
                    .init(gid: elsewhere, keptBecause: "it is in database \(other.name)"),
                    .init(gid: here, keptBecause: nil),
                ])
            #expect(try listed() == 4)
            #expect(try target.count("pg_prepared_xacts", where: "gid = '\(here)'") == 0)
        }

        @Test("Goal: a database that is away, and one that refuses us, are told apart")
        func notSeen() throws {
            let target = try PostgresCluster.shared.get().makeDatabase()
            let away = error(try diagnose(target, uri: "postgresql://postgres@127.0.0.1:1/nothing"))
            #expect(away?.kind == .unreachable)
            let unknown = error(try diagnose(target, uri: target.uri(user: "nobody_of_that_name")))
            #expect(unknown?.kind == .unreachable && unknown?.reason.contains("nobody_of_that_name") == true)
        }
    }
}
