import Foundation
import Testing

@testable import Harness

extension Integration {
    /// `recover` beside a server at work looks, and does not act.
    @Suite struct BesideServerTests {
        @Test(
            "Goal: beside a server under load, reading commands see a consistent state, and acting is refused with the code for a log in use"
        )
        func readsBesideLoad() throws {
            try World.run(databases: 2) { world in
                let server = try world.start()
                let load = Load(LoadPlan(connections: 16, prefix: "beside"), port: server.configuration.port)
                try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= 50 }
                let recover = try world.recover()
                for _ in 1...5 {
                    let refused = try recover.run()
                    #expect(refused.status == RecoverTool.logInUse, "\(refused)")
                    let (status, plan) = try recover.plan()
                    #expect([RecoverTool.nothingLeft, RecoverTool.somethingLeft].contains(status), "\(plan)")
                    // Nothing that is merely under way is taken for lost, strange or contradicted.
                    for word in [#""verdict":"park"#, "orphan", "prepared again", "presume_abort"] {
                        #expect(!plan.contains(word), "\(word) in \(plan)")
                    }
                    let list = try recover.run("list")
                    #expect(list.status == .code(0), "\(list)")
                    let transaction = try #require(try world.simulator.book().randomElement()?.transactionID)
                    let show = try recover.run("show", transaction)
                    #expect(show.status == .code(0) && show.output.contains("BEGIN"), "\(show)")
                }
                load.stop()
                world.ledger.add(try load.finish(within: .seconds(60)))
                try world.finish()
            }
        }
    }
}
