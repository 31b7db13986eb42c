import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A server that the system allows few open files.
    @Suite struct OpenFilesTests {
        private func start(_ world: World, allowed: Int) throws -> ServerProcess {
            let prlimit = try Tool.locate("prlimit")
            try world.configure { $0.wrapper = [prlimit, "--nofile=\(allowed):\(allowed)", "--"] }
            return try world.launch()
        }

        @Test("Goal: however many clients come, the network and the databases are reached")
        func clientsTakeNoneOfOurs() throws {
            try World.run { world in
                let server = try start(world, allowed: 700)
                try server.waitUntilReady()
                #expect(server.errors.contains("700 files may be open (ulimit -n), which leaves room for"))
                let first = try server.client()
                #expect(try first.ask("GET /healthz") == "OK")
                var others = try (0..<650).map { _ in try server.client() }
                let last = others[649]
                let isClosed = try last.connection.isClosedByPeer(within: .seconds(10))
                #expect(try isClosed || last.answer().isRefusal("server_busy"))
                let payment = Payment(requestID: "first")
                let answer = try first.pay(payment)
                world.ledger.note(payment, .answer(answer))
                #expect(answer.status == .approved, "\(answer)")
                others = []
                try Wait.until("there is room again", within: .seconds(10)) {
                    (try? server.ask("GET /healthz")) == "OK"
                }
                first.connection.close()
                try world.finish()
            }
        }

        @Test("Goal: a start with room for no client is refused with a message that says how much is needed")
        func tooFew() throws {
            try World.run { world in
                let refused = try start(world, allowed: 300)
                #expect(try refused.process.wait(within: Limits.programStart) == .code(78))
                #expect(refused.errors.contains("300 files may be open (ulimit -n), and these settings need at least"))
                try world.configure { $0.wrapper = [] }
                try world.start()
                try world.finish()
            }
        }
    }
}
