import Foundation
import Testing

@testable import Harness

extension Integration {
    /// The plan as a file, parts of it, and what `recover` tells scripts and terminals.
    @Suite struct RecoverPlanTests {
        private static let patient = [
            "LOCK_TIMEOUT_MS": "15000", "TWOPC_PREPARE_TIMEOUT": "30", "TWOPC_COMMIT_TIMEOUT": "30",
        ]
        private static let unreachable = ExitStatus.code(6)
        private static let damaged = ExitStatus.code(4)

        /// What the log says of each unfinished transaction: its state, by txn_id.
        private func states(_ recover: RecoverTool) throws -> [String: String] {
            let plan = try recover.run("--dry-run", "--json")
            let document = try JSONSerialization.jsonObject(with: Data(plan.output.utf8)) as? [String: Any]
            let list = try #require(document?["transactions"] as? [[String: Any]], "\(plan)")
            var states: [String: String] = [:]
            for entry in list {
                states[try #require(entry["txn_id"] as? String)] = try #require(entry["log_state"] as? String)
            }
            return states
        }

        @Test("Goal: a plan that was written is carried out as written; then it matches nothing any more")
        func planOutThenApply() throws {
            try World.run(environment: Self.patient) { world in
                let payments = (1...3).map { Payment(requestID: "doubt-\($0)") }
                let transactions = try world.leaveUndecided(payments)
                let recover = try world.recover()
                let file = world.directory + "/plan.json"
                let before = try world.preparedBranches()

                let written = try recover.run("--plan-out", file)
                #expect(written.status == RecoverTool.somethingLeft, "\(written)")
                let text = try Files.text(file)
                #expect(transactions.allSatisfy { text.contains($0) && written.output.contains($0) })
                let again = try recover.run("--plan-out", file)
                #expect(again.status == .code(1) && again.errors.contains("exists"), "\(again)")
                #expect(try Files.text(file) == text, "a plan is not written over")
                #expect(try world.preparedBranches() == before)

                let dry = try recover.run("--apply", file, "--dry-run")
                #expect(dry.status == RecoverTool.somethingLeft && !dry.output.contains("no longer"), "\(dry)")
                #expect(try world.preparedBranches() == before)

                let applied = try recover.run("--apply", file)
                #expect(applied.status == RecoverTool.nothingLeft, "\(applied)")
                #expect(try world.preparedBranches() == [])
                let book = try world.simulator.book()
                #expect(book.count == 3 && book.allSatisfy { $0.state == .released && $0.aborts == 1 }, "\(book)")

                let second = try recover.run("--apply", file)
                #expect(second.status == RecoverTool.somethingLeft, "\(second)")
                #expect(transactions.allSatisfy { second.output.contains("no longer matches: \($0)") }, "\(second)")
                #expect(try world.simulator.book() == book)
                try world.start()
                try world.finish()
            }
        }

        @Test(
            "Goal: an entry whose branch was committed by hand meanwhile is refused and untouched, the other is carried out"
        )
        func staleEntry() throws {
            try World.run(environment: Self.patient) { world in
                let transactions = try world.leaveUndecided([Payment(requestID: "stale"), Payment(requestID: "fresh")])
                let recover = try world.recover()
                let file = world.directory + "/plan.json"
                #expect(try recover.run("--plan-out", file).status == RecoverTool.somethingLeft)
                let database = try #require(world.databases.first)
                try database.query("COMMIT PREPARED '\(world.branch(of: transactions[0]))'")

                let applied = try recover.run("--apply", file)
                #expect(applied.status == RecoverTool.somethingLeft, "\(applied)")
                #expect(applied.output.contains("no longer matches: \(transactions[0])"), "\(applied)")
                #expect(applied.output.contains("db1 was prepared, is committed"), "\(applied)")
                #expect(!applied.output.contains("no longer matches: \(transactions[1])"), "\(applied)")
                #expect(try world.preparedBranches() == [])
                let states = try Dictionary(
                    uniqueKeysWithValues: world.simulator.book().map { ($0.transactionID, $0.state) })
                #expect(states == [transactions[0]: .held, transactions[1]: .released])
                #expect(try self.states(recover) == [transactions[0]: "PREPARING"], "neither decided nor parked")
            }
        }

        @Test("Goal: --only acts on the named transactions, and the rest stays as it is, though the log was opened")
        func onlyOne() throws {
            try World.run(environment: Self.patient) { world in
                let transactions = try world.leaveUndecided((1...3).map { Payment(requestID: "only-\($0)") })
                let recover = try world.recover()
                let dry = try recover.run("--dry-run", "--only", transactions[1])
                #expect(dry.status == RecoverTool.somethingLeft && dry.output.contains(transactions[1]))
                #expect(!dry.output.contains(transactions[0]) && !dry.output.contains(transactions[2]), "\(dry)")

                let acted = try recover.run("--only", transactions[1])
                #expect(acted.status == RecoverTool.nothingLeft, "of what was selected nothing is in doubt: \(acted)")
                #expect(
                    try states(recover) == [transactions[0]: "PREPARING", transactions[2]: "PREPARING"])
                #expect(try world.preparedBranches().count == 2)
                let touched = try world.simulator.book().filter { $0.aborts > 0 }.map(\.transactionID)
                #expect(touched == [transactions[1]])

                let both = try recover.run("--only", transactions[0], "--only", transactions[2])
                #expect(both.status == RecoverTool.nothingLeft, "\(both)")
                #expect(try recover.plan().status == RecoverTool.nothingLeft)
                try world.start()
                try world.finish()
            }
        }

        @Test("Goal: --older-than leaves what is younger alone, in the dry run, in a plan file and in the execution")
        func olderThan() throws {
            try World.run(environment: Self.patient) { world in
                let transactions = try world.leaveUndecided([Payment(requestID: "young")])
                let recover = try world.recover()
                let before = try world.preparedBranches()
                #expect(try recover.run("--dry-run", "--older-than", "1h").status == RecoverTool.nothingLeft)
                let file = world.directory + "/plan.json"
                #expect(try recover.run("--plan-out", file, "--older-than", "1h").status == RecoverTool.nothingLeft)
                let acted = try recover.run("--older-than", "1h")
                #expect(acted.status == RecoverTool.nothingLeft, "\(acted)")
                // An empty plan does nothing, and what is beside it is said to be left.
                let applied = try recover.run("--apply", file)
                #expect(applied.status == RecoverTool.somethingLeft, "\(applied)")
                #expect(try world.preparedBranches() == before)
                #expect(try states(recover) == [transactions[0]: "PREPARING"])
                #expect(try recover.run("--older-than", "0s").status == RecoverTool.nothingLeft)
                #expect(try world.preparedBranches() == [])
                try world.start()
                try world.finish()
            }
        }

        @Test(
            "Goal: wrong usage is 64, also a file that is no plan of this log; a log that is missing or damaged has a code too"
        )
        func refusedFilesAndLogs() throws {
            try World.run(environment: Self.patient) { world in
                _ = try world.leaveUndecided([Payment(requestID: "of-a")])
                let recover = try world.recover()
                let file = world.directory + "/plan.json"
                #expect(try recover.run("--plan-out", file).status == RecoverTool.somethingLeft)
                for arguments in [
                    ["--apply", world.directory + "/none"], ["--apply", "/bin/sh"],
                    ["--apply", file, "--only", "visa_1"],
                    ["--apply", file, "--older-than", "5m"], ["--apply", file, "--plan-out", file + ".2"],
                    ["--only", "visa_1"], ["--wait", "soon"], ["--older-than", "-1s"], ["--no-such-flag"],
                ] {
                    let result = try recover.run(arguments)
                    #expect(result.status == RecoverTool.usage && !result.errors.isEmpty, "\(arguments): \(result)")
                }
                try world.start("b")
                _ = try world.server("b").drain()
                let other = try world.recover("b").run("--apply", file)
                #expect(other.status == RecoverTool.usage && other.errors.contains("is of the log"), "\(other)")

                let missing = RecoverTool(
                    stateDirectory: world.directory + "/nothing", environment: recover.environment)
                for command in [[], ["--dry-run"], ["list"]] {
                    #expect(try missing.run(command).status == .code(1))
                }
                #expect(
                    !FileManager.default.fileExists(atPath: world.directory + "/nothing"), "no log is made by looking")

                let log = recover.stateDirectory + "/data.mdb"
                let handle = try #require(FileHandle(forWritingAtPath: log))
                try handle.write(contentsOf: Data(count: 16_384))
                try handle.close()
                for command in [[], ["--dry-run"], ["list"]] {
                    let result = try recover.run(command)
                    #expect(result.status == Self.damaged, "\(command): \(result)")
                }
            }
        }

        @Test("Goal: beside a server the code is 5; with a database or the network away it is 6, and the rest is done")
        func codesFiveAndSix() throws {
            try World.run(environment: Self.patient, behindProxy: true) { world in
                let proxy = try #require(world.proxy)
                let payment = Payment(requestID: "away")
                let transactions = try world.leaveUndecided([payment])
                let recover = try world.recover()
                try proxy.set(.cut)
                let dry = try recover.run("--dry-run")
                #expect(dry.status == Self.unreachable && dry.output.contains("db1 could not be reached"), "\(dry)")
                let acted = try recover.run("--wait", "1s")
                #expect(acted.status == Self.unreachable, "\(acted)")
                #expect(try states(recover) == [transactions[0]: "ABORTING"], "what needs no database is done")
                // The money stays held until the payment's database has proven that it did not commit.
                #expect(try world.simulator.book().map(\.state) == [.held])
                try proxy.set(.forwarding)
                #expect(try recover.run().status == RecoverTool.nothingLeft)
                #expect(try world.simulator.book().map(\.state) == [.released])
                #expect(try world.preparedBranches() == [])

                try world.start()
                #expect(try recover.run().status == RecoverTool.logInUse)
                #expect(try recover.run("--only", transactions[0]).status == RecoverTool.logInUse)
                _ = try world.server().drain()
                _ = try world.leaveUndecided([Payment(requestID: "network")])
                world.simulator.crash()
                let silent = try recover.run("--wait", "1s")
                #expect(silent.status == Self.unreachable, "\(silent)")
                #expect(silent.errors.contains("the network could not be reached"), "\(silent)")
                #expect(try world.preparedBranches() == [], "the database's part is done")
                try world.simulator.start()
                #expect(try recover.run().status == RecoverTool.nothingLeft)
                try world.start()
                try world.finish()
            }
        }

        @Test("Goal: pipes and NO_COLOR get no escape, a terminal does; a reader that goes away is no failure")
        func streams() throws {
            try World.run(environment: Self.patient) { world in
                let transaction = try world.leaveUndecided([Payment(requestID: "seen")])[0]
                let recover = try world.recover()
                for arguments in [["--dry-run"], ["--dry-run", "--json"], ["list"], ["show", transaction]] {
                    let result = try recover.run(arguments)
                    #expect(result.output.contains(transaction))
                    #expect(!(result.output + result.errors).contains("\u{1B}"), "\(arguments)")
                }
                func onTerminal(_ extra: [String: String]) throws -> ToolResult {
                    var environment = recover.environment
                    environment["TERM"] = "xterm"
                    environment.merge(extra) { _, new in new }
                    let command = "\(recover.program) --dry-run --state-dir \(recover.stateDirectory)"
                    return try Tool.run(
                        Tool.locate("script"), ["-qec", command, "/dev/null"], environment: environment)
                }
                let coloured = try onTerminal([:])
                #expect(coloured.output.contains("\u{1B}[1m") && coloured.status == .code(3), "\(coloured)")
                let plain = try onTerminal(["NO_COLOR": "1"])
                #expect(plain.output.contains("TRANSACTION") && !plain.output.contains("\u{1B}"), "\(plain)")
                let narrow = try onTerminal(["NO_COLOR": "1", "COLUMNS": "60"])
                let widths = narrow.output.split(whereSeparator: \.isNewline).map(\.count)
                #expect(
                    widths.allSatisfy { $0 <= 100 } && narrow.output.contains("  verdict: presume_abort"), "\(narrow)")

                // The reader is gone before the first byte.
                for (arguments, code) in [("list", 0), ("show \(transaction)", 0), ("--dry-run", 3), ("", 0)] {
                    let pipeline =
                        "{ sleep 0.3; \(recover.program) \(arguments) --state-dir \(recover.stateDirectory); } | true; "
                        + "exit ${PIPESTATUS[0]}"
                    let result = try Tool.run(
                        Tool.locate("bash"), ["-c", pipeline], environment: recover.environment)
                    #expect(result.status == .code(Int32(code)), "\(arguments): \(result)")
                    #expect(!result.errors.lowercased().contains("pipe"), "\(result)")
                }
                #expect(try world.preparedBranches() == [], "what was to be done is done, though nobody read the plan")
                let full = try Tool.run(
                    Tool.locate("bash"),
                    ["-c", "\(recover.program) list --state-dir \(recover.stateDirectory) > /dev/full"],
                    environment: recover.environment)
                #expect(full.status == .code(1) && full.errors.contains("cannot be written"), "\(full)")
                try world.start()
                try world.finish()
            }
        }
    }
}
