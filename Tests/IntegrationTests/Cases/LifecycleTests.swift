import Foundation
import Testing

@testable import Harness

extension Integration {
    /// Starting, stopping, and what is refused at a start.
    @Suite struct LifecycleTests {
        @Test("Goal: SIGTERM under load: every line gets a true answer, nothing is left, the exit code is 0")
        func drainUnderLoad() throws {
            try World.run(databases: 2) { world in
                let server = try world.start()
                try world.simulator.set(Faults(lostReplyRate: 0.02, latencyMilliseconds: 20))
                let load = Load(LoadPlan(prefix: "d", resendsLostEvery: 0), port: server.configuration.port)
                try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= 300 }
                server.process.send(SIGTERM)
                Wait.sleep(.milliseconds(100))
                load.stop()
                #expect(try server.process.wait(within: Limits.drain) == .code(0))
                #expect(try world.preparedBranches() == [], "right after the end")
                // Only connections that are refused now keep clients back.
                try world.start()
                world.ledger.add(try load.finish(within: Limits.reconnect + Limits.pending))
                let refused = world.ledger.all.flatMap(\.answers).count { $0.isRefusal("shutting_down") }
                let approved = world.ledger.all.flatMap(\.answers).count { $0.status == .approved }
                print("\(approved) approved, \(refused) refused while shutting down")
                #expect(approved >= 200)
                try world.finish()
            }
        }

        @Test("Goal: an idle server stops at once, with code 0, and is there again with everything it knew")
        func idleDrain() throws {
            try World.run { world in
                let server = try world.start()
                let payment = Payment(requestID: "kept")
                #expect(try world.pay(payment).status == .approved)
                let idle = try server.client()
                #expect(try idle.ask("GET /healthz") == "OK")
                try world.waitUntilConfirmed(payment)
                var status: ExitStatus?
                let took = try Wait.measure { status = try server.drain() }
                #expect(status == .code(0))
                #expect(took < .seconds(5), "idle connections do not keep it")
                let next = try world.start()
                #expect(try next.transaction("kept")["status"] == "APPROVED")
                try world.finish()
            }
        }

        @Test(
            "Goal: a reversal that cannot be delivered does not keep a drain, stays in the log, and the next start sends it"
        )
        func drainWithTheNetworkAway() throws {
            try World.run(environment: ["CLEARING_RETRY_MAX": "0"]) { world in
                let server = try world.start()
                try world.simulator.set(Faults(lostReplyRate: 1))
                #expect(try world.pay(Payment(requestID: "left")).isFinalRefusal)
                try world.simulator.set(Faults(isOut: true))
                #expect(try server.drain() == .code(0), "no database branch is prepared")
                let plan = try world.recover().plan()
                #expect(plan.status == RecoverTool.somethingLeft, "\(plan.plan)")
                try world.simulator.set(.none)
                try world.start()
                try world.finish()
            }
        }

        @Test(
            "Goal: a drain that must leave a prepared branch says so by code 3 within its time, and the next start finishes it"
        )
        func drainWithTheDatabaseAway() throws {
            try World.run(environment: ["DRAIN_TIMEOUT": "2"], behindProxy: true) { world in
                let server = try world.start(fault: CrashPoint.decisionDurable.fault(.stop))
                let payment = Payment(requestID: "left")
                let client = try server.client()
                try client.send(payment)
                world.ledger.note(payment, .lost)
                try server.process.waitUntilStopped()
                try #require(world.proxy).set(.cut)
                server.process.send(SIGTERM)
                server.process.send(SIGCONT)
                var status: ExitStatus?
                let took = try Wait.measure { status = try server.process.wait(within: Limits.drain) }
                #expect(status == .code(3))
                #expect(took < .seconds(15), "the drain has a limit of 2 s, closing has its own")
                #expect(try world.preparedBranches().count == 1)

                try #require(world.proxy).set(.forwarding)
                try world.start()
                #expect(try world.pay(payment).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: a second server on the same state directory is refused and harms nothing")
        func stateDirectoryInUse() throws {
            try World.run { world in
                let first = try world.start()
                let known = try world.configuration(of: "a")
                let second = try ServerProcess(
                    ServerConfiguration(
                        port: Loopback.freePort(), stateDirectory: known.stateDirectory,
                        environment: known.environment.merging(["ADMIN_PORT": "\(Loopback.freePort())"]) { $1 }),
                    errorsFile: world.directory + "/second.err")
                let status = try second.process.wait(within: Limits.programStart)
                #expect(status != .code(0))
                if case .signal = status { Issue.record("it crashed: \(status); \(second.errors.prefix(2000))") }
                #expect(
                    second.errors.contains("\(first.process.pid)"),
                    "it names who uses it: \(second.errors.prefix(2000))")
                #expect(try world.pay(Payment(requestID: "still")).status == .approved)
                #expect(try world.server().drain() == .code(0))
                try world.start()
                try world.finish()
            }
        }

        @Test("Goal: a port that is taken is a clear message, not a server without a port")
        func portInUse() throws {
            try World.run { world in
                let first = try world.start()
                let second = try ServerProcess(
                    ServerConfiguration(
                        port: first.configuration.port, stateDirectory: world.directory + "/state-other",
                        environment: world.configuration(of: "other").environment),
                    errorsFile: world.directory + "/second.err")
                let status = try second.process.wait(within: Limits.programStart)
                #expect(status != .code(0))
                if case .signal = status { Issue.record("it crashed: \(status)") }
                #expect(
                    second.errors.contains("\(first.configuration.port)") || second.errors.contains("PORT"),
                    "\(second.errors.prefix(2000))")
                try world.finish()
            }
        }

        @Test("Goal: PostgreSQL without prepared transactions is a message that says exactly what to set")
        func preparedTransactionsOff() throws {
            let cluster = try PrivateCluster(name: "unprepared", preparedTransactionsMax: 0)
            try World.run(cluster: cluster) { world in
                let server = try world.launch()
                let status = try server.process.wait(within: Limits.programStart)
                #expect(status != .code(0))
                if case .signal = status { Issue.record("it crashed: \(status); \(server.errors.prefix(2000))") }
                #expect(server.errors.contains("max_prepared_transactions = "), "\(server.errors.prefix(2000))")
                #expect(server.errors.contains("restart"), "\(server.errors.prefix(2000))")
            }
            try cluster.stop(.immediate)
        }

        /// A variable, a value that it cannot have, and how it may be written in the message.
        struct Misconfiguration: Sendable, CustomTestStringConvertible {
            let variable: String
            let value: String
            var testDescription: String { "\(variable)=\(value)" }
        }

        static let misconfigurations: [Misconfiguration] = [
            ("PORT", "abc"), ("PORT", "70000"), ("PORT", "-1"), ("ADMIN_PORT", "x"), ("BIND", "not an address"),
            ("THREADS", "0"),
            ("NUM_THREADS", "many"), ("QUEUE_CAP", "-5"), ("MAX_IN_FLIGHT", "0"), ("DB_POOL_SIZE", "0"),
            ("IDLE_TIMEOUT", "soon"),
            ("LOCK_TIMEOUT_MS", "-1"), ("RISK_ENABLED", "maybe"), ("RISK_VEL_LIMIT", "-1"),
            ("RISK_VEL_WINDOW_SEC", "x"),
            ("TWOPC_PREPARE_TIMEOUT", "-1"), ("TWOPC_COMMIT_TIMEOUT", "NaN"), ("CLEARING_URL", "nonsense"),
            ("CLEARING_TIMEOUT", "0"),
            ("CLEARING_RETRY_MAX", "-1"), ("CLEARING_CB_FAILS", "x"), ("CLEARING_CB_WINDOW", "x"),
            ("CLEARING_CB_OPEN_SECS", "-1"),
            ("REVERSAL_MAX_ATTEMPTS", "0"), ("REVERSAL_BASE_DELAY_MS", "x"), ("AMOUNT_MAX", "lots"),
            ("MAX_CONNECTIONS", "0"),
            ("LOG_RETENTION", "x"), ("RECOVERY_INTERVAL", "-1"), ("DISK_RESERVE_MB", "-1"),
            ("DB_URI", "postgresql://payments:s3cretword@127.0.0.1/db?no_such_option=1"),
            ("HOLDFAST_FAULT", "no-such-point:1:kill"),
        ].map { Misconfiguration(variable: $0.0, value: $0.1) }

        @Test(
            "Goal: a value that a variable cannot have ends the start at once, with a message that names the variable",
            arguments: misconfigurations)
        func misconfiguration(_ wrong: Misconfiguration) throws {
            let directory = try RunDirectory.shared().make("config-\(wrong.variable)-\(TestCards.next().suffix(9))")
            var environment = try Self.plainEnvironment(directory)
            environment[wrong.variable] = wrong.value
            let result = try Tool.run(
                ServerProcess.program, ["--state-dir", directory + "/state"], environment: environment,
                within: Limits.programStart)
            guard case .code(let code) = result.status, [1, 64, 78].contains(code) else {
                Issue.record("\(result)")
                return
            }
            let said = result.errors + result.output
            // The two names of the number of threads are one setting.
            let names = wrong.variable == "NUM_THREADS" ? ["NUM_THREADS", "THREADS"] : [wrong.variable]
            #expect(names.contains { said.contains($0) }, "\(said)")
            #expect(!said.contains("s3cretword"), "a message never holds a password")
        }

        @Test("Goal: without DB_URI the start says what is missing")
        func missingDatabase() throws {
            let directory = try RunDirectory.shared().make("missing")
            let result = try Tool.run(
                ServerProcess.program, ["--state-dir", directory + "/state"],
                environment: Self.plainEnvironment(directory).filter { $0.key != "DB_URI" }, within: Limits.programStart
            )
            #expect(result.status != .code(0))
            #expect((result.errors + result.output).contains("DB_URI"), "\(result)")
        }

        /// Valid, with nobody at the addresses.
        private static func plainEnvironment(_ directory: String) throws -> [String: String] {
            [
                "PATH": "/usr/bin:/bin", "HOME": directory, "DB_URI": "postgresql://payments@127.0.0.1:1/none",
                "CLEARING_URL": "http://127.0.0.1:1", "PORT": "\(try Loopback.freePort())",
                "ADMIN_PORT": "\(try Loopback.freePort())", "TOKEN_KEY_FILE": directory + "/token.key",
            ]
        }
    }
}
