import Foundation
import Testing

@testable import Harness

extension Integration {
    /// Prepared transactions that are not ours are listed and left as they are, whatever they are called.
    @Suite struct ForeignBranchTests {
        @Test(
            "Goal: others' prepared transactions, with hostile names, in other databases and of other owners, are listed by the dry run and left alone by start, periodic pass and recover"
        )
        func leftAlone() throws {
            try World.run(environment: ["RECOVERY_INTERVAL": "1"]) { world in
                let database = world.databases[0]
                let elsewhere = try database.cluster.makeDatabase()
                defer { try? elsewhere.drop() }
                let hostile = #""pay'er \[31m; --""#
                try database.query("CREATE ROLE \(hostile) LOGIN; GRANT ALL ON SCHEMA public TO PUBLIC")
                defer { _ = try? database.query("DROP OWNED BY \(hostile); DROP ROLE \(hostile)") }
                try world.start()
                #expect(try world.pay(Payment(requestID: "before")).status == .approved)
                for (number, gid) in Self.names.enumerated() {
                    let place = number % 3 == 1 ? elsewhere : database
                    let owner = [PrivateCluster.serverRole, PrivateCluster.superuser, hostile][number % 3]
                    try Self.prepare(gid, at: place, as: owner)
                }
                let before = try Self.list(database.cluster)
                #expect(Set(before.map { $0[0] }).isSuperset(of: Self.names))

                // Beside the server, over two of its passes.
                Wait.sleep(.milliseconds(2100))
                try Self.expectForeign(Self.names, in: world)
                #expect(try Self.list(database.cluster) == before)
                #expect(try world.pay(Payment(requestID: "beside")).status == .approved)
                try world.waitUntilConfirmed(Payment(requestID: "beside"))
                try world.stop("a")
                #expect(try world.recover().run().status == RecoverTool.nothingLeft)
                #expect(try Self.list(database.cluster) == before)
                try world.start()
                try Self.expectForeign(Self.names, in: world)
                #expect(try Self.list(database.cluster) == before)

                for gid in before where Self.names.contains(gid[0]) {
                    let place = gid[2] == elsewhere.name ? elsewhere : database
                    try place.query("ROLLBACK PREPARED \(Self.literal(gid[0]))")
                }
                try world.finish()
            }
        }

        @Test("Goal: only the exact name of an unfinished branch is ours; names that look nearly like it survive it")
        func nearlyOurs() throws {
            try World.run { world in
                let database = world.databases[0]
                try world.start(fault: CrashPoint.prepared.fault(.kill))
                try world.payIntoTheCrash(Payment(requestID: "real"))
                try world.waitUntilBackendsAreGone()
                let ours = try #require(try world.preparedBranches().first)
                let fence = try world.fence()
                let transaction = try world.onlyTransaction()
                let strangers = [
                    ours + "x", ours + " ", ours + "\n", "x" + ours, ours.uppercased(), "Visa" + ours.dropFirst(4),
                    "visa_\(fence.log)_0\(fence.epoch)_\(transaction)_db1",
                    "visa_\(fence.log)_+\(fence.epoch)_\(transaction)_db1",
                    "visa_\(fence.log)_\(fence.epoch)_\(transaction)_db01",
                    "visa_\(fence.log)_\(fence.epoch)_\(transaction)_db",
                    "visa_\(fence.log.uppercased())_\(fence.epoch)_\(transaction)_db1",
                    "visa_\(fence.log)_\(fence.epoch)_VISA_\(transaction.dropFirst(5))_db1",
                    "visa_\(String(fence.log.dropLast()))_\(fence.epoch)_\(transaction)_db1",
                    "visa_\(fence.log)_\(fence.epoch)__\(transaction)_db1",
                ].filter { $0 != ours }
                // Well-formed and of our log, but no branch that our log knows.
                let orphans = [
                    "visa_\(fence.log)_\(fence.epoch)_\(transaction)_db9",
                    "visa_\(fence.log)_\(fence.epoch + 7)_\(transaction)_db1",
                    "visa_\(fence.log)_\(fence.epoch)_visa_\(String(repeating: "0", count: 32))_db1",
                ]
                for gid in strangers + orphans { try Self.prepare(gid, at: database, as: PrivateCluster.serverRole) }
                let others = try Self.list(database.cluster).filter { $0[0] != ours }

                let recover = try world.recover()
                let result = try recover.run()
                #expect(result.status == RecoverTool.somethingLeft, "orphans are left: \(result)")
                #expect(try Self.list(database.cluster) == others)
                #expect(try world.rows() == [])
                try Self.expectForeign(strangers, in: world)
                let listed = try recover.listedPrepared()
                for gid in orphans { #expect(listed[gid]?.contains("orphan") == true, "\(gid): \(listed)") }

                try world.start(with: ["RECOVERY_INTERVAL": "1"])
                Wait.sleep(.milliseconds(1500))
                #expect(try Self.list(database.cluster) == others)
                for gid in others.map({ $0[0] }) { try database.query("ROLLBACK PREPARED \(Self.literal(gid))") }
                try world.finish()
            }
        }

        /// Names of other programs and of another log.
        private static let names = [
            "visa_00112233445566778899aabbccddeeff_1_visa_00112233445566778899aabbccddeeff_db1", "visa_", "visa__", "",
            "gtrid:42", "it's a \"quote\"; DROP TABLE transactions; --", #"back\slash \' \x00 \"#,
            "line\nbreak\r\ttab\u{1}\u{1B}[2J\u{7F}", String(repeating: "é", count: 99) + "x",
            String(repeating: "'", count: 199), "\u{9B}31m\u{202E}txt", "%s%n$1${HOME}`id`",
        ].filter { !$0.isEmpty }

        private static func expectForeign(
            _ names: [String], in world: World, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let recover = try world.recover()
            let listed = try recover.listedPrepared()
            for gid in names {
                let said = listed[gid]
                #expect(said?.contains("foreign") == true, "\(gid): \(said ?? "-")", sourceLocation: sourceLocation)
            }
            // For people: a name must not act on the terminal.
            let shown = try recover.run("--dry-run").output
            let control = shown.unicodeScalars.filter { $0.value < 0x20 && $0 != "\n" || $0.value == 0x7F }
            #expect(control.isEmpty, "\(control)", sourceLocation: sourceLocation)
        }

        /// Name, owner, database and time of every prepared transaction of the cluster.
        private static func list(_ cluster: PrivateCluster) throws -> [[String]] {
            try cluster.query("SELECT gid, owner, database, prepared FROM pg_prepared_xacts ORDER BY gid")
        }

        private static func prepare(_ gid: String, at database: Database, as owner: String) throws {
            try database.query(
                """
                SET SESSION AUTHORIZATION \(owner.hasPrefix("\"") ? owner : "\"\(owner)\"");
                BEGIN;
                DO 'BEGIN PERFORM txid_current(); END';
                PREPARE TRANSACTION \(literal(gid));
                """)
        }

        private static func literal(_ text: String) -> String {
            var literal = "E'"
            for scalar in text.unicodeScalars {
                switch scalar {
                case "'": literal += "''"
                case "\\": literal += "\\\\"
                case _ where scalar.value < 0x20:
                    literal += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
                default: literal.unicodeScalars.append(scalar)
                }
            }
            return literal + "'"
        }
    }
}
