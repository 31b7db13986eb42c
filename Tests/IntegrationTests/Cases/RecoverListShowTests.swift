import Foundation
import Testing

@testable import Harness

extension Integration {
    /// What `recover list` and `recover show` tell, and that they change nothing.
    @Suite struct RecoverListShowTests {
        private static let patient = [
            "LOCK_TIMEOUT_MS": "15000", "TWOPC_PREPARE_TIMEOUT": "30", "TWOPC_COMMIT_TIMEOUT": "30",
        ]
        private static let clean = ExitStatus.code(0)
        private static let failed = ExitStatus.code(1)
        private static let unreachable = ExitStatus.code(6)

        private func object(_ result: ToolResult) throws -> [String: Any] {
            try #require(
                try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any], "\(result)")
        }

        private func entries(_ object: [String: Any], _ key: String) throws -> [[String: Any]] {
            try #require(object[key] as? [[String: Any]], "\(object)")
        }

        @Test("Goal: list leaves out what its conditions do not take, and changes nothing")
        func filters() throws {
            try World.run(environment: Self.patient) { world in
                let transactions = try world.leaveUndecided([
                    Payment(requestID: "small", amount: "5.00"), Payment(requestID: "large", amount: "50.00"),
                ])
                let recover = try world.recover()
                let before = try world.preparedBranches()
                func listed(_ arguments: String...) throws -> [String] {
                    let result = try recover.run(["list", "--json"] + arguments)
                    #expect(result.status == Self.clean, "\(arguments): \(result)")
                    return try entries(object(result), "transactions").compactMap { $0["txn_id"] as? String }
                }
                #expect(try Set(listed()) == Set(transactions))
                #expect(try listed("--state", "preparing", "--state", "parked").count == 2)
                #expect(try listed("--state", "committing").isEmpty)
                #expect(try listed("--min-amount", "10") == [transactions[1]])
                #expect(try listed("--max-amount", "5") == [transactions[0]])
                #expect(try listed("--participant", "clearing").count == 2 && listed("--participant", "db1").count == 2)
                #expect(try listed("--older-than", "1h").isEmpty)
                let nothing = try recover.run("list", "--older-than", "1h")
                #expect(
                    nothing.status == Self.clean && nothing.output == "nothing matches (2 unfinished in all)\n",
                    "\(nothing)")
                for arguments in [
                    ["--state", "lost"], ["--participant", "db0"], ["--participant", "db9"], ["--min-amount", "-1"],
                    ["--older-than", "soon"],
                    ["--min-amount", "2", "--max-amount", "1"], ["--watch", "1ms"], ["--watch", "2h"],
                ] {
                    #expect(try recover.run(["list"] + arguments).status == RecoverTool.usage, "\(arguments)")
                }
                #expect(try world.preparedBranches() == before)

                // One of them is committed behind our back: an operator has to look.
                let database = try #require(world.databases.first)
                try database.query("COMMIT PREPARED '\(world.branch(of: transactions[0]))'")
                #expect(try recover.run().status == RecoverTool.somethingLeft)
                #expect(try listed("--state", "parked") == [transactions[0]])
                let parked = try recover.run("list", "--state", "parked")
                #expect(parked.output.contains("PARKED") && parked.output.contains("an operator: db1:"), "\(parked)")
            }
        }

        @Test(
            "Goal: show tells the history, what each participant shows and the verdict, beside a server and after its death"
        )
        func show() throws {
            try World.run(environment: Self.patient) { world in
                try world.start()
                let payment = Payment(requestID: "made")
                #expect(try world.pay(payment).status == .approved)
                try world.waitUntilConfirmed(payment)
                let made = try #require(try world.rows().first?.transactionID)
                let recover = try world.recover()
                // END is written with the next batch.
                try Wait.until("the payment has ended in the log", within: Limits.settle) {
                    try recover.run("show", made, "--offline").output.contains("END, committed")
                }
                let live = try recover.run("show", made, "--ask-network")
                #expect(live.status == Self.clean && live.output.contains("verdict: ended"), "\(live)")
                #expect(
                    live.output.contains("committed (its row is there)") && live.output.contains("settled"), "\(live)")
                let offline = try recover.run("show", "--request", "made", "--offline")
                #expect(offline.output.contains(made) && offline.output.contains("not asked"), "\(offline)")
                #expect(!offline.output.contains("verdict"))
                try checkPoints(recover, made)
                _ = try world.server().drain()

                let open = try world.leaveUndecided([Payment(requestID: "open")])[0]
                let dead = try recover.run("show", open, "--ask-network", "--json")
                let shown = try object(dead)
                #expect(dead.status == Self.clean && shown["state"] as? String == "PREPARING", "\(dead)")
                #expect((shown["verdict"] as? [String: String])?["code"] == "presume_abort", "\(dead)")
                #expect(
                    try entries(shown, "participants").map { $0["now"] as? String } == ["held", "prepared"], "\(dead)")
                #expect(try entries(shown, "records").map { $0["kind"] as? String } == ["begin"], "\(dead)")

                for arguments in [
                    [], ["visa_1"], [open, "--request", "open"], [open, "--ask-network", "--offline"],
                    [open, "--at", "soon"], [open, "--at", "1", "--ask-network"], ["--request", ""],
                ] {
                    #expect(try recover.run(["show"] + arguments).status == RecoverTool.usage, "\(arguments)")
                }
                let unknown = "visa_" + String(repeating: "0", count: 32)
                let missing = try recover.run("show", unknown)
                #expect(
                    missing.status == Self.failed && missing.errors.contains("no record of \(unknown)"), "\(missing)")
                #expect(try recover.run("show", "--request", "never").status == Self.failed)
                #expect(try recover.run().status == RecoverTool.nothingLeft)
                try world.start()
                try world.finish()
            }
        }

        /// A committed payment as it was after each of its records.
        private func checkPoints(_ recover: RecoverTool, _ transaction: String) throws {
            let whole = try object(recover.run("show", transaction, "--json"))
            let records = try entries(whole, "records")
            let kinds = records.compactMap { $0["kind"] as? String }
            #expect(kinds.prefix(2) == ["begin", "commit"] && kinds.last == "end", "\(kinds)")
            let stages = [
                "begin": "PREPARING", "commit": "COMMITTING", "acknowledged": "COMMITTING", "end": "COMMITTED",
            ]
            for (index, record) in records.enumerated() {
                let lsn = try #require(record["lsn"] as? Int)
                let then = try recover.run("show", transaction, "--at", "\(lsn)", "--json")
                let shown = try object(then)
                #expect(shown["state"] as? String == stages[kinds[index]], "at \(lsn): \(then)")
                #expect(shown["later_records"] as? Int == records.count - index - 1, "at \(lsn): \(then)")
                #expect(shown["verdict"] == nil, "the past is not judged: \(then)")
            }
            let decided = try #require(records[1]["at"] as? String)
            let then = try recover.run("show", transaction, "--at", decided)
            #expect(then.output.contains("state in the log: COMMITTING"), "\(then)")
            let first = try #require(records[0]["lsn"] as? Int)
            let before = try recover.run("show", transaction, "--at", "\(first - 1)")
            #expect(before.status == Self.failed && before.errors.contains("first record is \(first)"), "\(before)")
            #expect(try recover.run("show", transaction, "--at", "2001-01-01T00:00Z").status == Self.failed)
        }

        @Test("Goal: a session that waits for a branch in doubt is counted, and the held horizon is told")
        func locks() throws {
            try World.run(environment: Self.patient, behindProxy: true) { world in
                let proxy = try #require(world.proxy)
                let transaction = try world.leaveUndecided([Payment(requestID: "locked")])[0]
                let recover = try world.recover()
                let database = try #require(world.databases.first)
                func lock() throws -> [String: Any] {
                    let result = try recover.run("list", "--locks", "--json")
                    #expect(result.status == Self.clean, "\(result)")
                    return try #require(try entries(object(result), "locks").first, "\(result)")
                }
                let alone = try lock()
                #expect(alone["txn_id"] as? String == transaction && alone["blocked_sessions"] as? Int == 0)
                Thread.detachNewThread {
                    // Fails or succeeds when the branch is gone; what it waits for is what the test is about.
                    _ = try? database.query(
                        "BEGIN; INSERT INTO transactions (request_id) VALUES ('locked'); ROLLBACK;")
                }
                try Wait.until("a session waits for the branch", within: Limits.answer) {
                    try lock()["blocked_sessions"] as? Int == 1
                }
                let found = try lock()
                #expect(found["holds_xmin"] as? Bool == true && found["database"] as? String == "db1", "\(found)")
                #expect(found["tables"] as? [String] == ["merchant_entries", "transactions"], "\(found)")
                let table = try recover.run("list", "--locks")
                #expect(table.output.contains("SESSIONS BLOCKED") && table.output.contains("yes"), "\(table)")
                #expect(try object(recover.run("list", "--json"))["locks"] == nil, "nobody asked")
                let watched = try watch(recover, ["--json"]) { $0.count >= 1 }
                #expect(watched.output.contains(#""blocked_sessions":1"#), "implied by --watch: \(watched)")

                try proxy.set(.cut)
                let away = try recover.run("list", "--locks")
                #expect(away.status == Self.unreachable && away.output.contains("db1 could not be reached"), "\(away)")
                #expect(away.output.contains(transaction), "what the log holds is listed all the same")
                #expect(try recover.run("list").status == Self.clean)
                let shown = try recover.run("show", transaction)
                #expect(shown.status == Self.unreachable && shown.output.contains("could not be reached"), "\(shown)")
                try proxy.set(.forwarding)
                #expect(try recover.run().status == RecoverTool.nothingLeft)
                try world.start()
                try world.finish()
            }
        }

        /// Runs `list --watch` into a file until it has shown enough, then interrupts it.
        private func watch(
            _ recover: RecoverTool, _ arguments: [String], until isEnough: ([Substring]) -> Bool
        ) throws -> ToolResult {
            let stem = try RunDirectory.shared().path + "/watch-\(UInt64.random(in: 0 ... .max))"
            defer { for suffix in ["out", "err"] { unlink("\(stem).\(suffix)") } }
            let process = try ChildProcess(
                name: "recover list --watch", executable: recover.program,
                arguments: ["list", "--watch", "200ms", "--state-dir", recover.stateDirectory] + arguments,
                environment: recover.environment, output: "\(stem).out", errors: "\(stem).err")
            defer { process.kill() }
            try Wait.until("it has shown enough", within: Limits.answer) {
                isEnough(try Files.text("\(stem).out").split(separator: "\n"))
            }
            process.send(SIGINT)
            let status = try process.wait(within: Limits.answer)
            return ToolResult(
                status: status, output: try Files.text("\(stem).out"), errors: try Files.text("\(stem).err"))
        }

        @Test(
            "Goal: --watch prints again and again into a pipe, uses a terminal's second screen, and Ctrl-C ends it with 0"
        )
        func watching() throws {
            try World.run(environment: Self.patient) { world in
                let transaction = try world.leaveUndecided([Payment(requestID: "watched")])[0]
                let recover = try world.recover()
                let piped = try watch(recover, []) { lines in lines.count { $0.hasPrefix(transaction) } >= 6 }
                #expect(piped.status == Self.clean && piped.errors.isEmpty, "\(piped)")
                #expect(!piped.output.contains("\u{1B}") && piped.output.contains("Ctrl-C ends"), "\(piped)")
                let documents = try watch(recover, ["--json"]) { $0.count >= 3 }
                #expect(documents.status == Self.clean)
                for line in documents.output.split(separator: "\n") {
                    let document = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                    #expect(document?["kind"] as? String == "holdfast-list", "\(line)")
                }

                var environment = recover.environment
                environment["TERM"] = "xterm"
                let command =
                    "timeout --foreground --preserve-status -s INT 2 \(recover.program) list --watch 200ms "
                    + "--state-dir \(recover.stateDirectory)"
                let seen = try Tool.run(
                    Tool.locate("script"), ["-qec", command, "/dev/null"], environment: environment)
                #expect(seen.status == Self.clean, "\(seen)")
                #expect(seen.output.contains("\u{1B}[?1049h") && seen.output.contains(transaction), "\(seen)")
                let end = try #require(seen.output.range(of: "\u{1B}[?1049l", options: .backwards))
                #expect(
                    !seen.output[end.upperBound...].contains(transaction), "nothing is drawn after the screen was left")

                // A reader that goes away ends it too.
                let pipeline =
                    "\(recover.program) list --watch 200ms --state-dir \(recover.stateDirectory) | head -1 >/dev/null; "
                    + "exit ${PIPESTATUS[0]}"
                let left = try Tool.run(Tool.locate("bash"), ["-c", pipeline], environment: recover.environment)
                #expect(left.status == Self.clean, "\(left)")
                let missing = RecoverTool(
                    stateDirectory: world.directory + "/nothing", environment: recover.environment)
                #expect(try missing.run("list", "--watch").status == Self.failed)
                #expect(try recover.run().status == RecoverTool.nothingLeft)
                try world.start()
                try world.finish()
            }
        }

        @Test(
            "Goal: completions are printed for every shell, and bash takes its own", arguments: ["bash", "zsh", "fish"])
        func completions(shell: String) throws {
            let environment = ["PATH": "/usr/bin:/bin"]
            let program = Settings.programDirectory + "/recover"
            let script = try Tool.run(program, ["--generate-completion-script", shell], environment: environment)
            #expect(script.status == Self.clean && script.errors.isEmpty, "\(script)")
            for word in ["list", "show", "older-than", "ask-network", "preparing"] {
                #expect(script.output.contains(word), "\(shell): \(word)")
            }
            guard shell == "bash" else { return }
            let checked = try Tool.run(
                Tool.locate("bash"), ["-n"], environment: environment, input: script.output)
            #expect(checked.status == Self.clean, "\(checked)")
        }
    }
}
