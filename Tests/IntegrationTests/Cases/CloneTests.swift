import Foundation
import Testing

@testable import Harness

extension Integration {
    /// Two copies of one state directory never work on the same databases: the databases know which of them is the one.
    @Suite struct CloneTests {
        @Test(
            "Goal: of a directory that was copied while its server was stopped, the first one started goes on; the other is refused by server, recover and dry run, alone or beside it, and changes nothing"
        )
        func originalFirst() throws {
            try World.run { world in
                try makeCopy(in: world)
                try world.start("a")
                try expectRefused("copy", in: world)
                #expect(try world.pay(Payment(requestID: "beside"), at: "a").status == .approved)
                try world.waitUntilConfirmed(Payment(requestID: "beside"))
                try world.stop("a")
                try expectRefused("copy", in: world)
                try world.start("a")
                try expectRefused("copy", in: world)
                try world.finish(without: ["copy"])
            }
        }

        @Test("Goal: likewise if the copy is started first: then the original is refused, at every later start too")
        func copyFirst() throws {
            try World.run { world in
                try makeCopy(in: world)
                try world.start("copy")
                try expectRefused("a", in: world)
                #expect(try world.pay(Payment(requestID: "at-the-copy"), at: "copy").status == .approved)
                try world.waitUntilConfirmed(Payment(requestID: "at-the-copy"))
                try world.stop("copy")
                try expectRefused("a", in: world)
                try world.start("copy")
                try expectRefused("a", in: world)
                try world.finish(without: ["a"])
            }
        }

        @Test("Goal: recover on one of the two decides it as a start does")
        func recoverFirst() throws {
            try World.run { world in
                try makeCopy(in: world)
                // Looking decides nothing.
                for name in ["copy", "a", "copy"] {
                    #expect(try world.recover(name).plan().status == RecoverTool.nothingLeft)
                }
                #expect(try world.recover("a").run().status == RecoverTool.nothingLeft)
                try expectRefused("copy", in: world)
                try world.start("a")
                try world.finish(without: ["copy"])
            }
        }

        @Test("Goal: an older copy that is put back in place is refused with the remedy; the newest one goes on")
        func olderCopyPutBack() throws {
            try World.run { world in
                try makeCopy(in: world)
                try world.start("a")
                #expect(try world.pay(Payment(requestID: "since"), at: "a").status == .approved)
                try world.waitUntilConfirmed(Payment(requestID: "since"))
                try world.stop("a")
                let place = try world.stateDirectory(of: "a")
                let files = FileManager.default
                try files.moveItem(atPath: place, toPath: place + ".newest")
                try Files.copyDirectory(world.stateDirectory(of: "copy"), to: place)
                try expectRefused("a", in: world)
                try files.removeItem(atPath: place)
                try files.moveItem(atPath: place + ".newest", toPath: place)
                try world.start("a")
                try world.finish(without: ["copy"])
            }
        }

        @Test(
            "Goal: a server that another took over from ends, and commits nothing from then on, whatever it was doing")
        func fencedOutMidway() throws {
            try World.run { world in
                let server = try world.start("a", fault: CrashPoint.prepared.fault(.stop))
                let payment = Payment(requestID: "midway")
                let client = try server.client()
                try client.send(payment)
                try server.process.waitUntilStopped()
                #expect(try world.preparedBranches().count == 1)
                // A copy of a directory in use, as a snapshot of its file system would be.
                try world.copyState(of: "a", to: "copy")
                try world.start("copy")
                let transaction = try world.onlyTransaction()
                try Wait.until("the copy has aborted what it found", within: Limits.settle) {
                    try world.hasEnded(transaction, at: "copy") && world.preparedBranches() == []
                }
                // All votes were yes: it goes on to its decision.
                server.process.send(SIGCONT)
                #expect(try server.process.wait(within: Limits.answer) == .code(1), "\(server.errors.suffix(2000))")
                #expect(server.errors.contains("another server took this log over"))
                let answer = try? client.answer()
                #expect(answer?.status != .approved, "\(String(describing: answer))")
                #expect(try world.rows() == [] && world.preparedBranches() == [])
                try expectRefused("a", in: world)
                #expect(try world.pay(payment, at: "copy").isFinalRefusal)
                try world.finish(without: ["a"])
            }
        }

        @Test(
            "Goal: a server that does nothing notices within seconds that it was fenced out, though nobody ended its connections"
        )
        func fencedOutIdle() throws {
            try World.run(environment: ["RECOVERY_INTERVAL": "3600"]) { world in
                let server = try world.start("a")
                #expect(try world.pay(Payment(requestID: "before"), at: "a").status == .approved)
                try world.waitUntilConfirmed(Payment(requestID: "before"))
                let evidence = try world.evidence()
                try world.databases[0].query(
                    "UPDATE holdfast_fence SET epoch = epoch + 1, incarnation = '00000000000000ff'")
                #expect(try server.process.wait(within: .seconds(6)) == .code(1), "\(server.errors.suffix(2000))")
                #expect(server.errors.contains("fenced_out"))
                #expect(try world.rows() == evidence.rows && world.preparedBranches() == [])
                try expectRefused("a", in: world)
            }
        }

        @Test(
            "Goal: a database that was away during two starts is no clone: it is fenced when it returns, and used again"
        )
        func awayDuringStarts() throws {
            try World.run(databases: 2, environment: ["DRAIN_TIMEOUT": "2"], behindProxy: true) { world in
                let payment = try ShardScout.paymentWithTwoBranches()
                try world.start()
                try world.stop("a")
                try world.proxies[1].set(.cut)
                for _ in 1...2 {
                    let server = try world.launch()
                    try server.waitUntilListening()
                    // Nobody could be asked there what is left prepared.
                    #expect(try server.drain() == .code(3))
                }
                // It returns while a third one runs.
                try world.launch().waitUntilListening()
                try world.proxies[1].set(.forwarding)
                try Wait.until("it is used again", within: Limits.settle, every: .milliseconds(100)) {
                    try world.pay(payment).status == .approved
                }
                #expect(
                    try world.databases.map { try $0.query("SELECT epoch FROM holdfast_fence") } == [[["4"]], [["4"]]])
                try world.finish()
            }
        }

        // MARK: Steps

        /// A server "a" that has worked once, and "copy", a copy of its directory made while it was stopped.
        private func makeCopy(in world: World) throws {
            try world.start("a")
            #expect(try world.pay(Payment(requestID: "first"), at: "a").status == .approved)
            try world.waitUntilConfirmed(Payment(requestID: "first"))
            try world.stop("a")
            try world.copyState(of: "a", to: "copy")
        }

        /// Server, recover and dry run say that it is not the one that the database knows, and what to do.
        private func expectRefused(
            _ name: String, in world: World, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let fences = try world.fences()
            let recover = try world.recover(name)
            let dryRun = try recover.run("--dry-run")
            let run = try recover.run("--wait", "1")
            let start = try world.startRefused(name)
            #expect(dryRun.status == RecoverTool.refused, "\(dryRun)", sourceLocation: sourceLocation)
            #expect(dryRun.output.isEmpty, "a plan that would be wrong: \(dryRun)", sourceLocation: sourceLocation)
            #expect(run.status == RecoverTool.refused, "\(run)", sourceLocation: sourceLocation)
            for text in [dryRun.errors, run.errors, start] {
                #expect(text.contains("which this log never wrote"), "\(text)", sourceLocation: sourceLocation)
                #expect(text.contains("use the newest state directory"), "\(text)", sourceLocation: sourceLocation)
            }
            #expect(try world.fences() == fences, "nothing was changed", sourceLocation: sourceLocation)
        }
    }
}
