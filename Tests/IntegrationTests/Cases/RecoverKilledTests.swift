import Foundation
import Testing

@testable import Harness

extension Integration {
    /// Recovery dies at each of its own steps and is run again; it is run twice; it is run dry.
    @Suite struct RecoverKilledTests {
        @Test(
            "Goal: recover that was killed at any of its steps and is run again ends as if it had not been",
            arguments: RecoverHit.all)
        func recoverKilled(at hit: RecoverHit) throws {
            try World.run(databases: 2) { world in
                let intended = try leaveInEveryState(world)
                #expect(try run(world, killedAt: hit) == .signal(SIGKILL), "\(hit.fault) is never reached")
                let result = try world.recover().run()
                #expect(result.status == RecoverTool.nothingLeft, "\(result)")
                try expect(intended, in: world)
                try expectNothingMore(world)
                try world.start()
                try world.finish()
            }
        }

        @Test("Goal: a server that is killed at step after step of its starts ends what it began, and as intended")
        func startKilledAgainAndAgain() throws {
            try World.run(databases: 2) { world in
                let intended = try leaveInEveryState(world)
                let steps = [
                    RecoverHit(point: .logTakenOver, number: 1), RecoverHit(point: .databaseFenced, number: 2),
                    RecoverHit(point: .planMade, number: 1), RecoverHit(point: .decisionRecovered, number: 1),
                    RecoverHit(point: .reversalSent, number: 2), RecoverHit(point: .branchResolved, number: 1),
                ]
                for step in steps {
                    let server = try world.launch(fault: step.fault)
                    #expect(try server.process.wait(within: Limits.programStart) == .signal(SIGKILL), "\(step.fault)")
                }
                try world.start()
                try Wait.until("nothing is left prepared or held", within: Limits.settle) {
                    try world.preparedBranches().isEmpty && !world.simulator.book().contains { $0.state == .held }
                }
                try expect(intended, in: world)
                try world.finish()
            }
        }

        @Test(
            "Goal: a log that had lost its tail and was just declared whole when recover died is whole, and nothing is lost"
        )
        func killedAfterReconciling() throws {
            try World.run { world in
                try world.start(fault: CrashPoint.prepared.fault(.kill).replacingOccurrences(of: ":1:", with: ":4:"))
                for number in 1...3 {
                    #expect(try world.pay(Payment(requestID: "made-\(number)")).status == .approved)
                }
                try world.payIntoTheCrash(Payment(requestID: "in-the-tail"))
                try world.waitUntilBackendsAreGone()
                try FileManager.default.removeItem(atPath: world.stateDirectory(of: "a"))
                #expect(try world.recover().run("restore", "--lost-log").status == .code(0))
                let hit = RecoverHit(point: .reconciled, number: 1)
                #expect(try run(world, killedAt: hit) == .signal(SIGKILL), "\(hit.fault) is never reached")
                let result = try world.recover().run()
                #expect(result.status == RecoverTool.nothingLeft, "\(result)")
                #expect(try Set(world.rows().map(\.requestID)) == ["made-1", "made-2", "made-3"])
                try expectNothingMore(world)
                try world.start()
                try world.finish()
            }
        }

        @Test(
            "Goal: a dry run changes not a byte of the log, no row, no fence, no prepared transaction, nothing at the network"
        )
        func dryRunChangesNothing() throws {
            try World.run(databases: 2) { world in
                _ = try leaveInEveryState(world)
                let before = try everything(world)
                for arguments in [
                    ["--dry-run"], ["--dry-run", "--json"], ["--plan-out", world.directory + "/plan.json"],
                ] {
                    let result = try world.recover().run(arguments)
                    #expect(result.status == RecoverTool.somethingLeft, "\(result)")
                    let after = try everything(world)
                    let changed = before.keys.filter { before[$0] != after[$0] }
                    #expect(changed.isEmpty, "\(arguments) changed \(changed)")
                }
                #expect(try world.recover().run().status == RecoverTool.nothingLeft)
                try world.start()
                try world.finish()
            }
        }

        // MARK: - Steps

        /// Whether each transaction is to be made, by txn_id.
        private typealias Intended = [String: Bool]

        private static let paymentsAtOnce = 80

        /// Kills a server while payments are in all states at once; gives what is to become of them.
        private func leaveInEveryState(_ world: World) throws -> Intended {
            var intended: Intended = [:]
            for attempt in 1...5 {
                let server = try world.start(fault: "first-database-committed:20:kill")
                // Holds, confirmations and reversals get lost, so that some have to be repeated.
                try world.simulator.set(Faults(lostReplyRate: 0.4, latencyMilliseconds: 10))
                var plan = LoadPlan(connections: Self.paymentsAtOnce, prefix: "burst-\(attempt)")
                plan.payments = Self.paymentsAtOnce
                plan.resendsLostEvery = 0
                // The server may be dead before the last of them has connected, and no other one follows.
                plan.awaitsServer = false
                let load = Load(plan, port: server.configuration.port)
                #expect(try server.process.wait(within: Limits.answer) == .signal(SIGKILL))
                world.ledger.add(try load.finish(within: Limits.answer))
                try world.simulator.set(.none)
                try world.waitUntilBackendsAreGone()
                intended = try intentions(world)
                if intended.values.count(where: { $0 }) >= 4, intended.values.count(where: { !$0 }) >= 4 { break }
            }
            #expect(intended.values.contains(true) && intended.values.contains(false), "\(intended)")
            return intended
        }

        /// What the plan says is to become of each transaction.
        private func intentions(_ world: World) throws -> Intended {
            let result = try world.recover().run("--dry-run", "--json")
            let document = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
            var intended: Intended = [:]
            for entry in try #require(document?["transactions"] as? [[String: Any]], "\(result)") {
                let transaction = try #require(entry["txn_id"] as? String)
                switch entry["verdict"] as? String {
                case "commit": intended[transaction] = true
                case "presume_abort", "roll_back": intended[transaction] = false
                case let verdict: throw HarnessError("an unexpected verdict on \(transaction): \(verdict ?? "none")")
                }
            }
            return intended
        }

        private func run(_ world: World, killedAt hit: RecoverHit) throws -> ExitStatus {
            var recover = try world.recover()
            recover.environment["HOLDFAST_FAULT"] = hit.fault
            return try recover.run().status
        }

        private func expect(
            _ intended: Intended, in world: World, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let made = try Set(world.rows().map(\.transactionID))
            let wrong = intended.filter { made.contains($0.key) != $0.value }
            #expect(wrong.isEmpty, "not as the first plan said", sourceLocation: sourceLocation)
        }

        /// Runs recover once more: the second time nothing changes but the epoch.
        private func expectNothingMore(_ world: World, sourceLocation: SourceLocation = #_sourceLocation) throws {
            let before = try settled(world)
            let again = try world.recover().run()
            #expect(again.status == RecoverTool.nothingLeft, "\(again)", sourceLocation: sourceLocation)
            let after = try settled(world)
            let changed = before.keys.filter { before[$0] != after[$0] }
            #expect(changed.isEmpty, "the second run changed \(changed)", sourceLocation: sourceLocation)
        }

        /// Everything that recovery is about: the log's records without those of starts, the rows, what is prepared, and the network's book.
        private func settled(_ world: World) throws -> [String: String] {
            let dump = try world.recover().run("dump")
            let records = dump.output.split(separator: "\n").filter { !$0.contains(#""kind":"start""#) }
            var state = ["log": records.joined(separator: "\n")]
            #expect(dump.status == .code(0) && !records.isEmpty, "\(dump.errors)")
            for (number, database) in world.databases.enumerated() {
                state["payments \(number + 1)"] = "\(try database.query("SELECT * FROM transactions ORDER BY id"))"
                state["entries \(number + 1)"] =
                    "\(try database.query("SELECT * FROM merchant_entries ORDER BY txn_id"))"
            }
            state["prepared"] = "\(try prepared(world))"
            state["book"] = "\(try world.simulator.book().sorted { $0.transactionID < $1.transactionID })"
            return state
        }

        /// Every byte that a dry run could change.
        private func everything(_ world: World) throws -> [String: String] {
            let path = try world.stateDirectory(of: "a")
            let data = try Data(contentsOf: URL(fileURLWithPath: path + "/data.mdb"))
            var state = [
                "log": data.base64EncodedString(), "prepared": "\(try prepared(world))",
                "files": "\(try FileManager.default.contentsOfDirectory(atPath: path).sorted())",
                "book": "\(try world.simulator.book().sorted { $0.transactionID < $1.transactionID })",
                "fences": "\(try world.fences())",
            ]
            for database in world.databases {
                // Newer versions write a random key into each dump.
                let lines = try database.cluster.dump(database.name).split(separator: "\n")
                state[database.name] = lines.filter { !$0.contains("restrict ") }.joined(separator: "\n")
            }
            return state
        }

        private func prepared(_ world: World) throws -> [[String]] {
            try world.databases[0].cluster.query(
                "SELECT gid, transaction, prepared, owner, database FROM pg_prepared_xacts ORDER BY gid")
        }
    }
}
