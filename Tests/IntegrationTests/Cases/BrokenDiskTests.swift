import Foundation
import Testing

@testable import Harness

extension Integration {
    /// The file system of the log breaks while the server runs, or files may not grow any more.
    @Suite struct BrokenDiskTests {
        @Test(
            "Goal: when the kernel makes the file system read-only the server ends with a message, and loses nothing",
            .enabled(if: SmallDisk.isAvailable, "needs root and a loop device; SKIPPED above says what is missing"))
        func remountedReadOnly() throws {
            try World.run(environment: World.smallDiskSettings) { world in
                let disk = try SmallDisk(megabytes: 64)
                guard disk.canBreak else {
                    print("SKIPPED, read-only remount: the kernel has no trigger_fs_error")
                    return
                }
                try world.place(on: disk)
                let server = try world.start()
                let load = Load(LoadPlan(connections: 8, prefix: "ro"), port: server.configuration.port)
                try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= 50 }
                try disk.breakDown()
                #expect(try server.process.wait(within: .seconds(10)) == .code(1))
                #expect(server.errors.contains("/state/data.mdb could not be written: mdb_txn_commit failed with"))

                // Neither a start nor a tool that acts can do anything there; what is in it can be looked at.
                let refused = try world.launch()
                #expect(try refused.process.wait(within: Limits.programStart) == .code(1))
                #expect(refused.errors.contains("The file system is read-only"), "\(refused.errors)")
                #expect(try world.recover().run("list").status == .code(0))

                try disk.repair()
                try world.place(on: disk)
                try world.start()
                load.stop()
                world.ledger.add(try load.finish(within: .seconds(90)))
                try world.finish()
            }
        }

        @Test("Goal: a limit on the size of files stops admissions in time, and nothing ends the server")
        func fileSizeLimit() throws {
            try World.run(environment: ["DISK_RESERVE_MB": "1"]) { world in
                try world.configure { $0.wrapper = [try Tool.locate("prlimit"), "--fsize=\(1 << 20)", "--"] }
                let server = try world.start()
                let load = Load(LoadPlan(connections: 8, prefix: "limit"), port: server.configuration.port)
                // Near the mark what ends makes room for what begins.
                var reasons = ""
                try Wait.until("payments are refused: \(reasons)", within: .seconds(60)) {
                    let reply = try HTTPConnection.once(port: server.configuration.port, "GET", "/readyz?verbose")
                    reasons = String(decoding: reply.body, as: UTF8.self)
                    return try reasons.contains("the limit on the size of files")
                        && server.metrics()["server_busy"] ?? 0 > 100
                }
                load.stop()
                world.ledger.add(try load.finish(within: .seconds(60)))
                #expect(server.process.isRunning)
                server.crash()

                // A start with the same limit, and one without.
                try world.launch().waitUntilListening()
                try world.server().crash()
                try world.configure { $0.wrapper = [] }
                try world.start()
                #expect(try world.pay(Payment(requestID: "after")).status == .approved)
                try world.finish()
            }
        }

        @Test(
            "Goal: a limit that is lowered below what is written ends the server with a message; a start waits until it is raised"
        )
        func fileSizeLimitLowered() throws {
            try World.run { world in
                let server = try world.start()
                let load = Load(LoadPlan(connections: 8, prefix: "lowered"), port: server.configuration.port)
                try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= 100 }
                let file = try world.configuration(of: "a").stateDirectory + "/data.mdb"
                // Below what is in use, so that the next pages cannot be written.
                let limit = "--fsize=\(64 << 10):"
                let prlimit = try Tool.locate("prlimit")
                try Tool.check(prlimit, ["--pid", "\(server.process.pid)", limit])
                #expect(try server.process.wait(within: .seconds(20)) == .code(1))
                #expect(server.errors.contains("\(file) could not be written: "), "\(server.errors.suffix(1000))")

                try world.configure { $0.wrapper = [prlimit, limit, "--"] }
                let waiting = try world.launch()
                try waiting.waitUntilListening()
                #expect(try world.waitUntilRefusing().contains("log: "))
                try Tool.check(prlimit, ["--pid", "\(waiting.process.pid)", "--fsize=unlimited:"])
                try waiting.waitUntilReady()
                load.stop()
                world.ledger.add(try load.finish(within: .seconds(90)))
                try world.finish()
            }
        }
    }

    /// Nobody reads what the server says, or it cannot be written: payments go on.
    @Suite struct SilencedServerTests {
        /// How standard error is lost.
        enum Loss: String, CaseIterable { case full, closed, unread }

        @Test("Goal: a server whose standard error is full, closed or unread takes payments", arguments: Loss.allCases)
        func serves(_ loss: Loss) throws {
            try World.run { world in
                try world.configure { $0.wrapper = try wrapper(loss) }
                try world.start()
                let load = Load(
                    LoadPlan(connections: 8, payments: 160, prefix: "silent"),
                    port: try world.server().configuration.port)
                world.ledger.add(try load.finish(within: .seconds(90)))
                #expect(world.ledger.all.allSatisfy { $0.answers.last?.status == .approved })
                try world.configure { $0.wrapper = [] }
                try world.finish()
            }
        }

        @Test(
            "Goal: a start that is refused ends with its code, whether or not its message can be written",
            arguments: Loss.allCases)
        func refusesWithItsCode(_ loss: Loss) throws {
            let command = try wrapper(loss) + [ServerProcess.program, "--port", "none"]
            let result = try Tool.run(command[0], Array(command.dropFirst()), within: .seconds(20))
            #expect(result.status == .code(78), "\(result)")
        }

        private func wrapper(_ loss: Loss) throws -> [String] {
            let script =
                switch loss {
                case .full: #"exec "$@" 2>/dev/full"#
                case .closed: #"exec "$@" <&- >&- 2>&-"#
                // A pipe that is full, and whose other end nobody reads.
                case .unread: #"exec 3> >(exec sleep 60); head -c 65536 /dev/zero >&3; exec "$@" 2>&3"#
                }
            return [try Tool.locate("bash"), "-c", script, "bash"]
        }
    }
}
