import Foundation
import Testing

@testable import Harness

extension Integration {
    /// Plans of a log that has lost its tail, as scripts and plan files see them.
    @Suite struct RecoverEvidenceTests {
        private static let unreachable = ExitStatus.code(6)

        @Test(
            "Goal: a network that is asked for evidence and does not answer is code 6; a plan file holds its word, and the whole plan settles"
        )
        func silentNetwork() throws {
            try World.run { world in
                try world.start(fault: CrashPoint.prepared.fault(.kill))
                try world.payIntoTheCrash(Payment(requestID: "lost-tail"))
                try world.waitUntilBackendsAreGone()
                let transaction = try #require(try world.simulator.book().first?.transactionID)
                let recover = try world.recover()
                try FileManager.default.removeItem(atPath: recover.stateDirectory)
                #expect(try recover.run("restore", "--lost-log").status == .code(0))

                world.simulator.crash()
                let dry = try recover.run("--dry-run", "--json")
                #expect(dry.status == Self.unreachable, "\(dry)")
                #expect(dry.output.contains(#""network_status" : "unreachable""#), "\(dry)")
                let acted = try recover.run("--wait", "1s")
                #expect(acted.status == Self.unreachable, "\(acted)")
                #expect(acted.errors.contains("the network could not be reached"), "\(acted)")
                #expect(try world.preparedBranches().count == 1, "nothing is decided by a guess")
                let shown = try recover.run("show", transaction)
                #expect(shown.output.contains("no record of it") && shown.output.contains("await_evidence"), "\(shown)")

                try world.simulator.start()
                let file = world.directory + "/plan.json"
                #expect(try recover.run("--plan-out", file).status == RecoverTool.somethingLeft)
                #expect(try Files.text(file).contains(#""network_status" : "held""#))
                let applied = try recover.run("--apply", file)
                #expect(applied.status == RecoverTool.somethingLeft, "a part says nothing about the whole: \(applied)")
                #expect(!applied.errors.contains("no payments are taken"), "\(applied)")
                #expect(try world.preparedBranches() == [])
                #expect(try world.simulator.book().map(\.state) == [.released])
                let whole = try recover.run()
                #expect(whole.status == RecoverTool.nothingLeft, "\(whole)")
                try world.start()
                try world.finish()
            }
        }
    }
}
