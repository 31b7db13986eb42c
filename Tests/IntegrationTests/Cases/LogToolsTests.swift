import Foundation
import Testing

@testable import Harness

extension Integration {
    /// `recover` as the tool that looks at the log itself, after real payments.
    @Suite struct LogToolsTests {
        @Test("Goal: beside a running server the log is sound, dumped, followed, and copied to a log of its own")
        func besideARunningServer() throws {
            try World.run(databases: 2) { world in
                let server = try world.start()
                let recover = try world.recover()
                let payments = (1...20).map { Payment(requestID: "tool-\($0)") }
                let answers = try payments.map { try world.pay($0) }
                #expect(answers.allSatisfy { $0.status == .approved })

                let sound = try recover.run("verify")
                #expect(sound.status == .code(0), "\(sound)")
                #expect(sound.output.contains("sound"))
                #expect(try recover.run("quarantine").output == "nothing is in quarantine\n")

                let lines = try Self.lines(of: recover.run("dump"))
                let begins = lines.filter { $0["kind"] as? String == "begin" }
                #expect(begins.count == payments.count)
                #expect(begins.allSatisfy { ($0["card"] as? String)?.contains("******") == true })
                #expect(lines.compactMap { $0["lsn"] as? Int } == Array(1...lines.count))
                let transaction = try #require(answers.first?.transactionID)
                let own = try Self.lines(of: recover.run("dump", "--txn", transaction))
                #expect(
                    own.first?["kind"] as? String == "begin" && own.dropFirst().first?["kind"] as? String == "commit")
                let some = try Self.lines(
                    of: recover.run("dump", "--kind", "begin", "--kind", "commit", "--from", "2", "--to", "9"))
                #expect(some.allSatisfy { (2...9).contains($0["lsn"] as? Int ?? 0) } && !some.isEmpty)
                let stats = try Self.object(recover.run("dump", "--stats", "--json").output)
                #expect((stats["kinds"] as? [String: Int])?["begin"] == payments.count)

                try follow(world, recover)

                // Payments are under way while the copy is made.
                let client = try server.client()
                for number in 1...50 { try client.send(Payment(requestID: "busy-\(number)")) }
                let target = world.directory + "/backup"
                let backup = try recover.run("backup", target)
                #expect(backup.status == .code(0), "\(backup)")
                #expect(backup.output.contains("epoch 1"))
                #expect(try recover.run("backup", target).status == .code(1))
                for _ in 1...50 { #expect(try client.answer().status == .approved) }
                let copy = RecoverTool(stateDirectory: target, environment: recover.environment)
                let verified = try copy.run("verify")
                #expect(verified.status == .code(0), "\(verified)")
            }
        }

        /// What is written later is printed too, and an interruption is a clean end.
        private func follow(_ world: World, _ recover: RecoverTool) throws {
            let output = world.directory + "/followed"
            let dump = try ChildProcess(
                name: "recover", executable: Settings.programDirectory + "/recover",
                arguments: ["dump", "--follow", "--kind", "begin", "--state-dir", recover.stateDirectory],
                environment: recover.environment, output: output)
            defer { dump.kill() }
            try Wait.until("the past is dumped", within: Limits.answer) {
                try Files.text(output).contains("\"tool-20\"")
            }
            try world.pay(Payment(requestID: "followed"))
            try Wait.until("the payment is dumped", within: Limits.answer) {
                try Files.text(output).contains("\"followed\"")
            }
            dump.send(SIGINT)
            #expect(try dump.wait(within: Limits.answer) == .code(0))
        }

        @Test("Goal: one bad value is named, set aside at the next start, and the rest is served")
        func oneBadValue() throws {
            try World.run { world in
                try world.start()
                for number in 1...5 { try world.pay(Payment(requestID: "before-\(number)")) }
                let last = Payment(requestID: "before-6")
                try world.pay(last)
                try world.waitUntilConfirmed(last)
                #expect(try world.server().drain() == .code(0))
                try world.start(fault: CrashPoint.decisionDurable.fault(.kill))
                try world.payIntoTheCrash(Payment(requestID: "damaged"))
                let recover = try world.recover()
                let begin = try #require(
                    Self.lines(of: recover.run("dump", "--kind", "begin")).last?["txn_id"] as? String)
                let key = String(begin.dropFirst("visa_".count))
                #expect(try recover.run("verify").status == .code(0))

                try Self.flipByte(ofStateOf: key, in: recover.stateDirectory + "/data.mdb")
                let damaged = try recover.run("verify", "--json")
                #expect(damaged.status == .code(4), "\(damaged)")
                let finding = try Self.onlyFinding(damaged)
                #expect(finding["database"] as? String == "active" && finding["key"] as? String == key)
                #expect(finding["txn_id"] as? String == begin)
                // The tools that look serve the rest.
                #expect(try recover.run("list").status == .code(0))
                #expect(try recover.run("show", begin).output.contains("COMMIT"))

                let server = try world.start()
                #expect(try world.pay(Payment(requestID: "after")).status == .approved)
                #expect(try server.transaction("before-1")["status"] == "APPROVED")
                let listed = try recover.run("quarantine", "list")
                #expect(listed.output.contains(key) && listed.output.contains("checksum"), "\(listed)")
                let shown = try recover.run("quarantine", "show", "1")
                #expect(shown.output.contains("00000000  ") && shown.output.contains("active"), "\(shown)")
                #expect(try recover.run("quarantine", "show", "2").status == .code(1))
                let still = try recover.run("verify", "--json")
                #expect(still.status == .code(4), "\(still)")
                #expect(try Self.onlyFinding(still)["quarantine_number"] as? Int == 1)
            }
        }

        @Test("Goal: what cannot be meant is refused as a wrong command line, and a missing log as a failure")
        func wrongCommands() throws {
            let directory = try RunDirectory.shared().make("no-log")
            let recover = RecoverTool(stateDirectory: directory, environment: ["PATH": "/usr/bin:/bin"])
            for command in ["verify", "dump", "quarantine"] {
                let result = try recover.run(command)
                #expect(result.status == .code(1) && result.errors.contains("no log"), "\(result)")
            }
            #expect(try recover.run("dump", "--kind", "nothing").status == RecoverTool.usage)
            #expect(try recover.run("dump", "--from", "yesterday").status == RecoverTool.usage)
            #expect(try recover.run("dump", "--stats", "--follow").status == RecoverTool.usage)
        }

        // MARK: Reading

        private static func lines(of result: ToolResult) throws -> [[String: Any]] {
            guard result.status == .code(0) else { throw HarnessError("dump: \(result)") }
            return try result.output.split(separator: "\n").map { try object(String($0)) }
        }

        private static func object(_ text: String) throws -> [String: Any] {
            guard let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
                throw HarnessError("not a JSON object: \(text.prefix(300))")
            }
            return object
        }

        private static func onlyFinding(_ result: ToolResult) throws -> [String: Any] {
            let findings = try object(result.output)["findings"] as? [[String: Any]] ?? []
            guard findings.count == 1, let finding = findings.first else {
                throw HarnessError("not one finding: \(result)")
            }
            return finding
        }

        /// Flips a bit in the stored state of a transaction, in every copy of the page that the file has.
        ///
        /// - Parameter key: the number of the transaction, 32 hexadecimal digits.
        private static func flipByte(ofStateOf key: String, in file: String) throws {
            guard let high = UInt64(key.prefix(16), radix: 16), let low = UInt64(key.suffix(16), radix: 16),
                var data = FileManager.default.contents(atPath: file)
            else { throw HarnessError("cannot read \(file)") }
            var number = Data()
            for half in [high, low] { withUnsafeBytes(of: half.littleEndian) { number.append(contentsOf: $0) } }
            var flips = 0
            var start = data.startIndex
            while let found = data.range(of: number, in: start..<data.endIndex) {
                // The frame before it: version, kind 32, length, checksum.
                if found.lowerBound >= 10, data[found.lowerBound - 9] == 32 {
                    data[found.upperBound + 3] ^= 0x20
                    flips += 1
                }
                start = found.upperBound
            }
            guard flips > 0 else { throw HarnessError("the state of \(key) is not in \(file)") }
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
            try handle.write(contentsOf: data)
            try handle.close()
        }
    }
}
