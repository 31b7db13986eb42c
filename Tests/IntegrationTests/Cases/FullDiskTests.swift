import Foundation
import Testing

@testable import Harness

extension Integration {
    /// The disk of the log is full to its last block. What was begun is finished out of the reserve, new payments are refused before
    /// that, and service opens by itself when there is room again.
    @Suite(.enabled(if: SmallDisk.isAvailable, "needs root and a loop device; SKIPPED above says what is missing"))
    struct FullDiskTests {
        @Test(
            "Goal: on a full disk what was begun is decided and delivered, and nothing new is begun until there is room"
        )
        func fullWhileRunning() throws {
            try World.run(environment: World.smallDiskSettings) { world in
                let disk = try SmallDisk(megabytes: 64)
                try world.place(on: disk)
                let server = try world.start()
                #expect(try world.pay(Payment(requestID: "before")).status == .approved)

                try world.simulator.set(Faults(latencyMilliseconds: 800))
                let begun = (0..<12).map { Payment(requestID: "begun-\($0)") }
                try world.payTogether(begun) {
                    try Wait.until("they are begun", within: .seconds(5)) {
                        try server.metrics()["in_flight"] ?? 0 >= begun.count
                    }
                    try disk.fill()
                }
                for payment in begun { #expect(world.lastAnswer(to: payment)?.status == .approved) }

                let reason = try world.waitUntilRefusing()
                #expect(reason.contains("log: admits no new payments: "), "\(reason)")
                #expect(reason.contains("free disk space"), "\(reason)")
                #expect(try server.metrics()["log_admits"] == 0)
                let refused = Payment(requestID: "refused")
                #expect(try world.pay(refused).isRefusal("server_busy"))
                let repeated = try world.pay(begun[0])
                #expect(repeated.status == .approved && repeated.isIdempotent)

                try disk.empty()
                try server.waitUntilReady(within: .seconds(10))
                #expect(try world.pay(refused).status == .approved)
                #expect(server.errors.contains("new payments are refused (server_busy)"))
                #expect(server.errors.contains("new payments are taken again"))
                try world.finish()
            }
        }

        @Test("Goal: on a full disk aborts are written with their reversals, and the reversals are sent")
        func reversalsOnAFullDisk() throws {
            try World.run(environment: World.smallDiskSettings) { world in
                let disk = try SmallDisk(megabytes: 64)
                try world.place(on: disk)
                let server = try world.start()
                // Every hold is placed, and nobody learns of it.
                try world.simulator.set(Faults(lostReplyRate: 1, latencyMilliseconds: 700))
                let begun = (0..<8).map { Payment(requestID: "lost-\($0)") }
                try world.payTogether(begun) {
                    try Wait.until("they are begun", within: .seconds(5)) {
                        try server.metrics()["in_flight"] ?? 0 >= begun.count
                    }
                    try disk.fill()
                }
                for payment in begun { #expect(world.lastAnswer(to: payment)?.isFinalRefusal == true) }
                // The disk stays full: the reversals are sent and their end is written all the same.
                try world.simulator.set(.none)
                try Wait.until("all reversals are acknowledged", within: Limits.settle) {
                    try server.metrics()["reversal_succeeded"] ?? 0 >= begun.count
                }
                try disk.empty()
                try world.finish()
                #expect(try world.rows().isEmpty)
            }
        }

        @Test("Goal: a start on a full disk finishes what was begun, answers, and waits for room without ending")
        func startOnAFullDisk() throws {
            try World.run(environment: World.smallDiskSettings) { world in
                let disk = try SmallDisk(megabytes: 64)
                try world.place(on: disk)
                let first = try world.start()
                let done = Payment(requestID: "done")
                try world.pay(done)
                // Killed with decisions that are not delivered and payments that are not decided.
                try world.simulator.set(Faults(latencyMilliseconds: 1000))
                let begun = (0..<6).map { Payment(requestID: "begun-\($0)") }
                try world.payTogether(begun) {
                    try Wait.until("they are begun", within: .seconds(5)) {
                        try first.metrics()["in_flight"] ?? 0 >= begun.count
                    }
                    try disk.fill()
                    first.crash()
                }
                try world.simulator.set(.none)

                let server = try world.launch()
                try server.waitUntilListening()
                try world.waitUntilRefusing()
                let repeated = try world.pay(done)
                #expect(repeated.status == .approved && repeated.isIdempotent)
                #expect(try server.transaction("done")["status"] == "APPROVED")
                #expect(try world.pay(Payment(requestID: "new")).isRefusal("server_busy"))
                try Wait.until("what was begun is aborted", within: Limits.settle) {
                    try begun.allSatisfy { try world.pay($0).isFinalRefusal }
                }
                try Wait.until("nothing is left", within: Limits.settle) {
                    try server.metrics()["unfinished"] == 0 && server.metrics()["reversals_open"] == 0
                }
                #expect(server.errors.contains("server.pid could not be written"))
                try disk.empty()
                try server.waitUntilReady(within: .seconds(10))
                #expect(try world.pay(Payment(requestID: "after")).status == .approved)
                try Wait.until("server.pid is written", within: .seconds(10)) {
                    (try? Files.text(disk.path + "/state/server.pid")) == "\(server.process.pid)\n"
                }
                try world.finish()
            }
        }

        @Test(
            "Goal: where not even the log can be opened, a start serves what can be read and opens it when there is room"
        )
        func startWithoutRoomForTheLog() throws {
            try World.run(environment: World.smallDiskSettings) { world in
                let disk = try SmallDisk(megabytes: 64)
                try world.place(on: disk)
                try world.start()
                let done = Payment(requestID: "done")
                try world.pay(done)
                try world.waitUntilConfirmed(done)
                // The end of a payment is written with the next batch, within 100 ms.
                try Wait.until("it has ended", within: .seconds(10)) { try world.server().metrics()["unfinished"] == 0 }
                Wait.sleep(.milliseconds(300))
                try world.server().crash()
                // LMDB's lock file is gone, as in a restored directory, and has to be made.
                try FileManager.default.removeItem(atPath: disk.path + "/state/lock.mdb")
                try disk.fill()

                // A tool that only reads says what is the matter; nothing is damaged.
                let listed = try world.recover().run("list")
                #expect(listed.status == .code(1), "\(listed)")
                #expect(listed.errors.contains("No space left on device"), "\(listed)")

                let server = try world.launch()
                try server.waitUntilListening()
                let reason = try world.waitUntilRefusing()
                #expect(reason.contains("log: waits for room: "), "\(reason)")
                #expect(try server.transaction("done")["status"] == "APPROVED")
                #expect(try server.transaction("unheard-of")["status"] == "NOT_FOUND")
                let repeated = try world.pay(done)
                #expect(repeated.status == .approved && repeated.isIdempotent)
                #expect(try world.pay(Payment(requestID: "done")).isRefusal("idempotency_conflict"))
                #expect(try world.pay(Payment(requestID: "new")).isRefusal("server_busy"))
                #expect(try server.metrics()["total"] == 3)

                // It can be stopped, and says that it does not know.
                #expect(try server.drain() == .code(3))
                let again = try world.launch()
                try again.waitUntilListening()
                try disk.empty()
                try again.waitUntilReady(within: .seconds(15))
                #expect(try world.pay(Payment(requestID: "new-after")).status == .approved)
                #expect(again.errors.contains("there is room for the log again"))
                try world.finish()
            }
        }

        @Test("Goal: with PostgreSQL's disk full payments are declined or stay open, and nothing is lost or false")
        func databaseOnAFullDisk() throws {
            let disk = try SmallDisk(megabytes: 300)
            let cluster = try PrivateCluster(
                name: "postgres", preparedTransactionsMax: 50, settings: ["shared_buffers=8MB"], on: disk)
            defer { try? cluster.stop(.immediate) }
            try World.run(cluster: cluster) { world in
                let server = try world.start()
                let load = Load(LoadPlan(connections: 8, prefix: "dbfull"), port: server.configuration.port)
                try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= 50 }
                try disk.fill()
                let before = load.answers
                // Pages that are there have room for a while.
                try Wait.until("PostgreSQL has no room", within: .seconds(60)) {
                    server.errors.contains("No space left on device") || server.errors.contains("is away")
                }
                try Wait.until("payments are answered", within: .seconds(30)) { load.answers >= before + 100 }
                try disk.empty()
                // A database that had no room for its own log is down.
                do { try cluster.query("SELECT 1") } catch { try cluster.start() }
                try server.waitUntilReady(within: Limits.settle)
                load.stop()
                world.ledger.add(try load.finish(within: .seconds(90)))
                #expect(world.ledger.all.contains { $0.answers.last?.isFinalRefusal == true })
                try Wait.until("payments are made again", within: Limits.settle, every: .milliseconds(200)) {
                    try world.pay(Payment(requestID: "after-\(Int.random(in: 0..<1 << 40))")).status == .approved
                }
                try world.finish()
            }
        }

        @Test("Goal: a backup that does not fit says so, leaves nothing behind and leaves the log alone")
        func backupOntoAFullDisk() throws {
            try World.run { world in
                let disk = try SmallDisk(megabytes: 16)
                try world.configure { $0.wrapper = try disk.entrance }
                try world.start()
                try world.pay(Payment(requestID: "one"))
                try disk.fill(leaving: 16 << 10)
                let target = disk.mountPoint + "/backup"
                let result = try world.recover().run("backup", target)
                #expect(result.status == .code(1), "\(result)")
                #expect(
                    result.errors.contains("No space left on device") || result.errors.contains("Input/output error"))
                let left = try FileManager.default.subpathsOfDirectory(atPath: disk.path).filter {
                    $0.contains("backup/")
                }
                #expect(left == [], "\(left)")
                #expect(try world.pay(Payment(requestID: "two")).status == .approved)
                try disk.empty()
                #expect(try world.recover().run("backup", target).status == .code(0))
                try world.finish()
            }
        }
    }
}
