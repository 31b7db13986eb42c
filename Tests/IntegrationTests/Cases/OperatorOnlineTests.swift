import Foundation
import Testing

@testable import Harness

extension Integration {
    /// Operators' orders beside a server that serves.
    @Suite struct OperatorOnlineTests {
        @Test("Goal: orders beside a server under load decide what was parked and touch no healthy payment")
        func underLoad() throws {
            try World.run(databases: 2) { world in
                let rolledBack = try strand(world, at: .decisionDurable, .rollback)
                let committed = try strand(world, at: .prepared, .commit)
                let server = try world.start()
                let load = Load(LoadPlan(connections: 16, prefix: "o"), port: server.configuration.port)
                defer { load.stop() }
                try Wait.until("the load runs", within: Limits.answer) { load.answers >= 200 }
                let before = try Backends(world)

                let plain = try world.recover().run()
                #expect(plain.status == RecoverTool.logInUse && plain.errors.contains("--online"), "\(plain)")
                let alice = Operator(world: world, isOnline: true)
                let again = try alice.resolve(rolledBack, "--commit")
                #expect(again.status == RecoverTool.somethingLeft && again.output.contains("again"), "\(again)")
                #expect(try alice.resolve(rolledBack, "--abort").status == RecoverTool.failed)
                let aborted = try alice.resolve(rolledBack, "--abort", "--force-heuristic")
                #expect(aborted.status == RecoverTool.nothingLeft, "\(aborted)")
                #expect(try world.simulator.state(of: rolledBack) == .released)
                let made = try alice.resolve(committed, "--commit")
                #expect(made.status == RecoverTool.nothingLeft, "\(made)")
                #expect(try world.simulator.state(of: committed) == .settled)

                // Healthy payments are in flight all the time; each pass looks at them and leaves them alone.
                for _ in 0..<5 {
                    let pass = try world.recover().run("--online", "--json")
                    #expect([.code(0), RecoverTool.somethingLeft].contains(pass.status), "\(pass.errors)")
                    #expect(pass.errors.contains("recovery pass"), "\(pass.errors)")
                    let list = try world.recover().run("list")
                    #expect(list.status == .code(0), "\(list)")
                    let unknown = try alice.resolve("visa_00000000000000010000000000000002", "--abort")
                    #expect(unknown.status == RecoverTool.failed)
                }
                try refuseLivePayments(alice, world)
                try Wait.until("thousands of payments have been answered", within: .seconds(120)) {
                    load.answers >= Settings.besidePayments
                }
                let after = try Backends(world)
                #expect(after.fences == before.fences, "no epoch was raised")
                #expect(before.pids.isSubset(of: after.pids), "no backend of the server was ended")
                load.stop()
                let exchanges = try load.finish(within: Limits.reconnect + Limits.pending)
                world.ledger.add(exchanges)
                let refused = exchanges.flatMap(\.answers).filter { $0.status != .approved }
                #expect(refused.isEmpty, "\(refused.prefix(5))")
                print("\(exchanges.count) payments beside the orders")
                try world.finish()
            }
        }

        /// Payments that go on by themselves are none that can be resolved, even by force.
        private func refuseLivePayments(_ alice: Operator, _ world: World) throws {
            var met = 0
            for _ in 0..<10 where met < 3 {
                let list = try world.recover().run("list").output
                let live = list.split(separator: "\n").compactMap { line in
                    line.split(separator: " ").first { $0.hasPrefix("visa_") }
                }
                guard let transaction = live.last else { continue }
                let result = try alice.resolve(String(transaction), "--abort", "--force-heuristic", "--json")
                #expect(result.status == RecoverTool.failed, "\(result)")
                met += 1
            }
            #expect(met > 0, "no payment was met in flight")
        }

        /// Who works in the databases for the server, and what they are fenced with.
        private struct Backends {
            let pids: Set<String>
            let fences: [[String]]

            init(_ world: World) throws {
                var pids: Set<String> = []
                var fences: [[String]] = []
                for database in world.databases {
                    pids.formUnion(
                        try database.query(
                            """
                            SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'holdfast/%'
                            AND datname = current_database() AND backend_start < now() - interval '1 second'
                            AND application_name !~ 'observe|recover'
                            """
                        ).map { $0[0] })
                    fences += try database.query("SELECT epoch, incarnation FROM holdfast_fence")
                }
                self.pids = pids
                self.fences = fences
            }
        }

        /// Leaves a payment that somebody finished by hand behind the server's back, and gives its txn_id.
        private func strand(_ world: World, at point: CrashPoint, _ verb: Operator.Verb) throws -> String {
            let known = Set(try world.simulator.book().map(\.transactionID))
            try world.start(fault: point.fault(.kill))
            try world.payIntoTheCrash(Payment(requestID: "stranded-\(point.rawValue)"))
            try world.waitUntilBackendsAreGone()
            #expect(try !Operator(world: world).finishByHand(verb).isEmpty)
            return try #require(try world.simulator.book().first { !known.contains($0.transactionID) }).transactionID
        }

        // MARK: - Reversals

        @Test("Goal: a reversal that is parked by order is not sent until it is unparked; the list says who and why")
        func reversals() throws {
            try World.run { world in
                let transaction = try reversalLeft(world, isOut: true)
                try world.start()
                let alice = Operator(world: world, isOnline: true)
                let due = try world.recover().run("reversals", "list", "--state", "due")
                #expect(due.output.contains(transaction) && due.output.contains("sent until acknowledged"), "\(due)")
                let early = try alice.order("reversals", "unpark", transaction, "--json")
                #expect(early.output.contains("\"reversal_not_parked\""), "\(early)")
                let tried = try alice.order("reversals", "retry", transaction, "--wait", "1")
                #expect(tried.status == RecoverTool.somethingLeft && tried.output.contains("not acknowledged yet"))

                let parked = try alice.order("reversals", "park", transaction)
                #expect(parked.status == .code(0), "\(parked)")
                try world.simulator.set(.none)
                Wait.sleep(.seconds(2))
                #expect(try world.simulator.state(of: transaction) == .held, "it is not sent")
                let list = try world.recover().run("reversals", "list", "--json")
                #expect(list.output.contains(#""state" : "parked""#), "\(list)")
                #expect(list.output.contains("checked by hand (ordered by alice)"), "\(list)")
                #expect(
                    try world.recover().run("reversals", "list", "--state", "due").output.contains(
                        "nothing matches (1 open in all)"))

                let sent = try alice.order("reversals", "unpark", transaction)
                #expect(sent.status == .code(0) && sent.output.contains("acknowledged"), "\(sent)")
                #expect(try world.simulator.state(of: transaction) == .released)
                let none = try alice.order("reversals", "retry", transaction, "--json")
                #expect(none.status == RecoverTool.failed && none.output.contains("\"no_reversal\""), "\(none)")
                try world.finish()
            }
        }

        @Test("Goal: a reversal that the network refuses is parked, and parked again when it is sent again by order")
        func refusedReversals() throws {
            try World.run(environment: ["REVERSAL_MAX_ATTEMPTS": "2"]) { world in
                let transaction = try reversalLeft(world, isOut: false)
                try world.simulator.tell("commit", ["transaction_id": transaction])
                try world.start()
                try Wait.until("the refused reversal is parked", within: Limits.settle) {
                    try world.recover().run("reversals", "list", "--state", "parked").output.contains(transaction)
                }
                for isOnline in [true, false] {
                    if !isOnline { #expect(try world.server().drain() == .code(0)) }
                    let alice = Operator(world: world, isOnline: isOnline)
                    let again = try alice.order("reversals", "retry", transaction)
                    #expect(again.status == RecoverTool.somethingLeft, "\(again)")
                    #expect(again.output.contains("parked again: already_settled"), "\(again)")
                }
                let history = try world.recover().run("show", transaction).output
                #expect(history.contains("reversal released, ordered by alice"), "\(history)")
            }
        }

        /// Leaves a held amount whose reversal is in the log and was not sent.
        private func reversalLeft(_ world: World, isOut: Bool) throws -> String {
            let point = CrashPoint.reversalDurable
            try world.start(fault: point.fault(.kill))
            try world.simulator.set(point.faults)
            try world.payIntoTheCrash(Payment(requestID: "reversed"))
            try world.waitUntilBackendsAreGone()
            try world.simulator.set(isOut ? Faults(isOut: true) : .none)
            return try #require(try world.simulator.book().first).transactionID
        }

        // MARK: - The socket

        @Test("Goal: the control socket comes with the server, outlives no drain, and replaces what a crash left")
        func socketOfItsOwn() throws {
            try World.run { world in
                let server = try world.start()
                let path = server.configuration.stateDirectory + "/control.sock"
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                #expect(attributes[.posixPermissions] as? Int == 0o600)
                server.crash()
                #expect(FileManager.default.fileExists(atPath: path), "a crash leaves it")
                let nobody = try world.recover().run("--online")
                #expect(nobody.status == RecoverTool.failed && nobody.errors.contains("no server runs"), "\(nobody)")
                try world.start()
                #expect(try world.recover().run("--online").status == .code(0))
                #expect(try world.server().drain() == .code(0))
                #expect(!FileManager.default.fileExists(atPath: path))
                try world.finish()
            }
        }

        @Test("Goal: orders reach the server through a path that no socket address can hold")
        func longPath() throws {
            try World.run { world in
                let long = world.directory + "/" + String(repeating: "long-", count: 24)
                let server = try world.start()
                #expect(try server.drain() == .code(0))
                try FileManager.default.moveItem(atPath: server.configuration.stateDirectory, toPath: long)
                try FileManager.default.createSymbolicLink(
                    atPath: server.configuration.stateDirectory, withDestinationPath: long)
                try world.start()
                let tool = RecoverTool(stateDirectory: long, environment: try world.recover().environment)
                #expect(try tool.run("--online").status == .code(0))
                try world.finish()
            }
        }

        @Test("Goal: whatever comes over the socket is answered or ended, and the next order is served")
        func garbage() throws {
            try World.run { world in
                let server = try world.start()
                let path = server.configuration.stateDirectory + "/control.sock"
                let connection = try UnixConnection(path: path)
                for line in ["", "nonsense", "{}", #"{"version":1,"order":"resolve"}"#, "\u{0}\u{1}"] {
                    try connection.send(line + "\n")
                    let reply = try connection.readLine()
                    #expect(reply.contains(#""accepted":false"#) && reply.contains(#""code":"invalid""#), "\(reply)")
                }
                try connection.send(#"{"version":1,"order":"recover_now"}"# + "\n")
                #expect(try connection.readLine().contains(#""accepted":true"#))
                let longest = try UnixConnection(path: path)
                try longest.send(String(repeating: "x", count: 70_000))
                #expect(try longest.readLine().contains("longer than"))
                #expect(try longest.isEnded())

                var many: [UnixConnection] = []
                for _ in 0..<40 { many.append(try UnixConnection(path: path)) }
                let refused = try many.last?.isEnded()
                #expect(refused == true, "connections are bounded")
                many.removeAll()
                try Wait.until("orders are served again", within: Limits.answer) {
                    try world.recover().run("--online").status == .code(0)
                }
                try world.finish()
            }
        }
    }
}
