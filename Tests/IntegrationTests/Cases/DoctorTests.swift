import Foundation
import Testing

@testable import Harness

extension Integration {
    /// `recover doctor` against real participants.
    @Suite struct DoctorTests {
        private static let participantAway = ExitStatus.code(6)
        private static let problem = ExitStatus.code(1)

        private struct Document: Decodable {
            let version: Int
            let isIncomplete: Bool
            let problems: Int
            let findings: [Finding]

            struct Finding: Decodable {
                let id, subject, level, found: String
                let advice: String?
            }

            func level(_ id: String, _ subject: String = "db1") -> String? { finding(id, subject)?.level }

            func finding(_ id: String, _ subject: String = "db1") -> Finding? {
                findings.first { $0.id == id && $0.subject == subject }
            }
        }

        private func examine(_ world: World) throws -> (status: ExitStatus, document: Document) {
            let result = try world.recover().run("doctor", "--json")
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            do {
                return (result.status, try decoder.decode(Document.self, from: Data(result.output.utf8)))
            } catch {
                throw HarnessError("recover doctor --json: \(error); \(result)")
            }
        }

        @Test(
            "Goal: a deployment in which all is well is found so, before the first start, beside a server and after it")
        func healthy() throws {
            // One that is durable, as the tests' own clusters are not.
            let cluster = try PrivateCluster(
                name: "postgres-durable", preparedTransactionsMax: 600, settings: ["fsync=on", "full_page_writes=on"])
            try World.run(databases: 2, environment: ["MAX_IN_FLIGHT": "64"], cluster: cluster) { world in
                let before = try examine(world)
                #expect(before.status == .code(0), "\(before.document)")
                #expect(before.document.version == 1)
                #expect(before.document.level("state.directory", "state") == "note")
                #expect(before.document.level("database.schema", "db2") == "note")

                try world.start()
                try world.pay(Payment(requestID: "paid"))
                let beside = try examine(world)
                #expect(beside.status == .code(0), "\(beside.document)")
                let pid = try world.server().process.pid
                #expect(beside.document.finding("state.lock", "state")?.found.contains("process \(pid)") == true)
                // How fast this machine is, is not the question.
                let slow: Set = ["state.sync", "database.probe", "clearing.status"]
                let complaints = beside.document.findings.filter { $0.level != "ok" && !slow.contains($0.id) }
                #expect(complaints.isEmpty, "\(complaints)")
                #expect(try world.server().drain() == .code(0))

                let text = try world.recover().run("doctor")
                #expect(text.status == .code(0), "\(text)")
                #expect(text.output.contains("0 problems, 0 warnings, "), "\(text)")
                #expect(text.errors.isEmpty)
                try world.finish()
            }
            try cluster.stop(.fast)
        }

        @Test("Goal: switched-off two-phase commit is a problem that is named, with what to set")
        func switchedOff() throws {
            let cluster = try PrivateCluster(name: "postgres-no-2pc", preparedTransactionsMax: 0)
            try World.run(cluster: cluster) { world in
                let found = try examine(world)
                #expect(found.status == Self.problem)
                let slots = try #require(found.document.finding("database.prepared_slots"))
                #expect(slots.level == "problem" && slots.found.contains("max_prepared_transactions is 0"))
                #expect(slots.advice?.contains("restart PostgreSQL") == true)
                #expect(found.document.level("database.probe") == "problem")
                #expect(found.document.level("database.fsync") == "problem")
            }
            try cluster.stop(.fast)
        }

        @Test("Goal: a participant that is away is exit code 6, and the rest is checked")
        func away() throws {
            let cluster = try PrivateCluster(
                name: "postgres-away", preparedTransactionsMax: 600, settings: ["fsync=on", "full_page_writes=on"])
            try World.run(behindProxy: true, cluster: cluster) { world in
                try world.start()
                let proxy = try #require(world.proxy)
                for mode in [TCPProxy.Mode.cut, .silent] {
                    try proxy.set(mode)
                    let found = try examine(world)
                    #expect(found.status == Self.participantAway, "\(found.document)")
                    #expect(found.document.isIncomplete && found.document.level("database.connection") == "problem")
                    #expect(found.document.level("clearing.status", "clearing") == "ok")
                    #expect(found.document.level("log.format", "log") == "ok")
                }
                try proxy.set(.forwarding)
                try world.simulator.set(Faults(isOut: true))
                #expect(try examine(world).status == Self.participantAway)
                world.simulator.crash()
                let found = try examine(world)
                #expect(found.status == Self.participantAway)
                #expect(found.document.level("clearing.status", "clearing") == "problem")
                #expect(found.document.level("database.probe") == "ok")
                try world.simulator.start()
                try world.finish()
            }
            try cluster.stop(.fast)
        }

        /// pg_dump draws a key for each dump against commands smuggled into it, and names it in two lines.
        private static func withoutKeys(_ dump: String) -> String {
            dump.split(separator: "\n").filter { !$0.hasPrefix("\\restrict") && !$0.hasPrefix("\\unrestrict") }
                .joined(separator: "\n")
        }

        @Test("Goal: it changes nothing, and others' prepared transactions are noted with owner and database")
        func changesNothing() throws {
            try World.run { world in
                try world.start("a", fault: CrashPoint.prepared.fault(.kill))
                try world.payIntoTheCrash(Payment(requestID: "in-doubt"))
                try world.waitUntilBackendsAreGone()
                let database = world.databases[0]
                let foreign = "visa_else'where"
                try database.query("CREATE TABLE theirs (v integer)")
                try database.query(
                    "BEGIN; INSERT INTO theirs VALUES (1); PREPARE TRANSACTION 'visa_else''where'")
                func everything() throws -> [String: String] {
                    let state = try world.configuration(of: "a").stateDirectory
                    let data = try Data(contentsOf: URL(fileURLWithPath: state + "/data.mdb"))
                    let prepared = try database.cluster.query(
                        "SELECT gid, transaction FROM pg_prepared_xacts ORDER BY 1")
                    return [
                        "rows": Self.withoutKeys(try database.cluster.dump(database.name)),
                        "plan": try world.recover().plan().plan, "prepared transactions": "\(prepared)",
                        "files": "\(try FileManager.default.contentsOfDirectory(atPath: state).sorted())",
                        "log": data.base64EncodedString(), "network": "\(try world.simulator.book())",
                    ]
                }
                let before = try everything()
                let found = try examine(world)
                let after = try everything()
                let changed = before.keys.filter { before[$0] != after[$0] }
                #expect(changed.isEmpty, "changed: \(changed)")

                let noted = try #require(found.document.finding("database.prepared_foreign"))
                #expect(noted.level == "note" && noted.found.contains(foreign))
                #expect(noted.found.contains("owner postgres, database \(database.name)"), "\(noted)")
                #expect(found.document.finding("database.prepared_own")?.found.hasPrefix("1 of this log") == true)
                #expect(found.document.finding("log.unfinished", "log")?.found.hasPrefix("1 transaction") == true)
                #expect(found.document.level("database.fence") == "ok")
                try database.query("ROLLBACK PREPARED 'visa_else''where'")
                try world.start()
                try world.finish()
            }
        }
    }
}
