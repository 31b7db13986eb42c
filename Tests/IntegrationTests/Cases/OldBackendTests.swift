import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A start ends the connections of its own log's earlier epochs, and no session that only looks like one.
    @Suite struct OldBackendTests {
        @Test(
            "Goal: an old session is ended only if its name and its role are exactly ours, even where we could end any",
            arguments: [PrivateCluster.serverRole, PrivateCluster.superuser])
        func exactMatch(role: String) throws {
            try World.run { world in
                // The superuser may read and end everything.
                world.environment["DB_URI"] = world.databaseURIs(role: role)
                try world.start()
                try world.server().crash()
                try world.waitUntilBackendsAreGone(of: role)
                let name = try world.applicationName()
                let (log, epoch) = try world.fence()
                let other = role == PrivateCluster.superuser ? PrivateCluster.serverRole : PrivateCluster.superuser
                let old = try session(role, name, in: world)
                let survivors = try [
                    (role, name + "x"), (role, name + " "), (role, "x" + name), (role, "H" + name.dropFirst()),
                    (role, "holdfast/\(log.uppercased())/\(epoch)"), (role, "holdfast/\(log)/0\(epoch)"),
                    (role, "holdfast/\(log)/+\(epoch)"), (role, "holdfast/\(log)/-\(epoch)"),
                    (role, "holdfast/\(log)/"),
                    (role, "holdfast/\(String(log.reversed()))/\(epoch)"), (role, "holdfast/\(log)/\(epoch + 5)"),
                    (role, "holdfast/\(log)/\(epoch)/1"), (role, "holdfast-observer"), (other, name),
                ].map { try session($0.0, $0.1, in: world) }

                let took = try world.launch().waitUntilReady()
                #expect(took <= Limits.assertedStart, "only ours are waited for")
                #expect(try !old.isAlive(), "our own old connection is ended")
                // Longer than the watch over old connections.
                Wait.sleep(.milliseconds(1500))
                for (number, survivor) in survivors.enumerated() {
                    #expect(try survivor.isAlive(), "session \(number) is none of ours")
                }
                let warning = "\(other)"
                #expect(try world.server().errors.contains(warning), "the one of the other role is told of")
                #expect(try world.pay(Payment(requestID: "beside")).status == .approved)
                try world.stop("a")
                let recover = try world.recover().run("--wait", "5")
                #expect(recover.status == RecoverTool.nothingLeft, "\(recover)")
                #expect(try survivors.allSatisfy { try $0.isAlive() })
                for survivor in survivors { try survivor.end() }
                try world.start()
                try world.finish()
            }
        }

        private func session(_ role: String, _ name: String, in world: World) throws -> Session {
            try Session(sleepingAt: world.databases[0], as: role, name: name)
        }
    }
}
