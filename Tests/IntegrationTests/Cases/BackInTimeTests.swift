import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A database that was restored from a backup, or failed over to a replica that lagged behind.
    @Suite struct BackInTimeTests {
        @Test("Goal: a commit whose branch is prepared again after a restore is carried out again, with an alarm")
        func preparedAgain() throws {
            let cluster = try PrivateCluster(name: "restored-prepared", preparedTransactionsMax: 20)
            defer { try? cluster.stop(.immediate) }
            try World.run(cluster: cluster) { world in
                let payment = Payment(requestID: "twice")
                try world.start(fault: CrashPoint.decisionDurable.fault(.kill))
                try world.payIntoTheCrash(payment)
                try world.waitUntilBackendsAreGone()
                let copy = try cluster.copyStopped("copy")
                try world.start()
                try world.waitUntilConfirmed(payment)
                #expect(try world.server().drain() == .code(0))

                try cluster.restore(copy)
                #expect(try world.rows().isEmpty && world.preparedBranches().count == 1)
                let transaction = try #require(try world.simulator.book().first?.transactionID)
                let plan = try world.recover().plan()
                #expect(plan.status == RecoverTool.somethingLeft && plan.plan.contains(transaction), "\(plan.plan)")

                let server = try world.start()
                try Wait.until("the payment is committed again", within: Limits.settle) {
                    try world.rows().map(\.requestID) == ["twice"]
                }
                #expect(try alarms(of: server).contains { $0.contains(transaction) }, "\(server.errors)")
                #expect(try server.metrics()["lost_commits"] == 1)
                let repeated = try world.pay(payment)
                #expect(repeated.status == .approved && repeated.transactionID == transaction, "\(repeated)")
                try world.finish()
            }
        }

        @Test("Goal: so it is while the server goes on running, without a restart")
        func preparedAgainBesideTheServer() throws {
            let cluster = try PrivateCluster(name: "restored-running", preparedTransactionsMax: 20)
            defer { try? cluster.stop(.immediate) }
            try World.run(cluster: cluster) { world in
                let server = try world.start(fault: "decision-durable:1:delay=6000")
                let payment = Payment(requestID: "twice")
                let client = try server.client()
                try client.send(payment)
                try Wait.until("the branch is prepared", within: Limits.answer) {
                    try world.preparedBranches().count == 1
                }
                let copy = try cluster.takeBaseBackup("copy")
                #expect(try world.preparedBranches().count == 1, "the backup took longer than the server stood still")
                let answer = try client.answer()
                world.ledger.note(payment, .answer(answer))
                #expect(answer.status == .approved)
                try world.waitUntilConfirmed(payment)
                try waitForAPass()

                try cluster.restore(copy)
                try Wait.until("the payment is committed again", within: Limits.settle) {
                    try world.rows().map(\.requestID) == ["twice"]
                }
                let transaction = try #require(answer.transactionID)
                try Wait.until("the commits are verified", within: Limits.settle) {
                    server.errors.contains("have been verified against their rows")
                }
                #expect(server.process.isRunning)
                #expect(try alarms(of: server).contains { $0.contains(transaction) }, "\(server.errors)")
                #expect(try alarms(of: server).contains { $0.contains("went back in time, so its commits") })
                #expect(try server.metrics()["lost_commits"] == 1)
                try world.finish()
            }
        }

        @Test("Goal: a branch whose abort had ended and that is prepared again is rolled back again")
        func abortedAgain() throws {
            let cluster = try PrivateCluster(name: "restored-aborted", preparedTransactionsMax: 20)
            defer { try? cluster.stop(.immediate) }
            try World.run(cluster: cluster) { world in
                try world.start(fault: CrashPoint.prepared.fault(.kill))
                try world.payIntoTheCrash(Payment(requestID: "never"))
                try world.waitUntilBackendsAreGone()
                let copy = try cluster.copyStopped("copy")
                try world.start()
                try Wait.until("the branch is rolled back", within: Limits.settle) {
                    try world.preparedBranches().isEmpty
                        && world.simulator.book().allSatisfy { $0.state == .released }
                }
                #expect(try world.server().drain() == .code(0))

                try cluster.restore(copy)
                #expect(try world.preparedBranches().count == 1)
                let server = try world.start()
                try Wait.until("the branch is rolled back again", within: Limits.settle) {
                    try world.preparedBranches().isEmpty
                }
                #expect(try alarms(of: server).contains { $0.contains("prepared again") }, "\(server.errors)")
                #expect(try server.metrics()["lost_commits"] == 0)
                try world.finish()
            }
        }

        @Test(
            "Goal: an approved payment that a restored backup does not have is parked, counted and shown; others are left"
        )
        func lostCommit() throws {
            let cluster = try PrivateCluster(name: "restored-lost", preparedTransactionsMax: 20)
            defer { try? cluster.stop(.immediate) }
            try World.run(cluster: cluster) { world in
                let (kept, lost) = (Payment(requestID: "kept"), Payment(requestID: "lost"))
                try world.start()
                try world.pay(kept)
                try world.waitUntilConfirmed(kept)
                #expect(try world.server().drain() == .code(0))
                let copy = try cluster.copyStopped("copy")
                try world.start()
                let answer = try world.pay(lost)
                #expect(answer.status == .approved)
                try world.waitUntilConfirmed(lost)
                #expect(try world.server().drain() == .code(0))
                try cluster.restore(copy)

                let transaction = try #require(answer.transactionID)
                let recover = try world.recover()
                let plan = try recover.plan()
                #expect(plan.status == RecoverTool.somethingLeft && plan.plan.contains(transaction), "\(plan.plan)")
                #expect(try recover.plan().plan == plan.plan, "a dry run changes nothing")

                let server = try world.start()
                #expect(try server.metrics()["lost_commits"] == 1 && server.metrics()["parked"] == 1)
                #expect(try alarms(of: server).contains { $0.contains(transaction) }, "\(server.errors)")
                #expect(try server.transaction("lost")["status"] == "HEURISTIC")
                #expect(try server.transaction("kept")["status"] == "APPROVED")
                #expect(try world.pay(lost).status == .pending)
                #expect(try world.pay(kept).isIdempotent)
                #expect(try world.pay(Payment(requestID: "new")).status == .approved)
                try world.waitUntilConfirmed(Payment(requestID: "new"))
                #expect(try Set(world.rows().map(\.requestID)) == ["kept", "new"])
                _ = try server.drain()

                let second = try recover.run()
                #expect(second.status == RecoverTool.somethingLeft, "\(second)")
                // It was verified and is not again: the next start has nothing to say but that one waits.
                let again = try world.start()
                #expect(try alarms(of: again).isEmpty, "\(again.errors)")
                #expect(try again.metrics()["lost_commits"] == 0 && again.metrics()["parked"] == 1)
                _ = try again.drain()
            }
        }

        @Test("Goal: recover finds the loss by itself, and ends with the code that says that something waits")
        func recoverParks() throws {
            let cluster = try PrivateCluster(name: "restored-recover", preparedTransactionsMax: 20)
            defer { try? cluster.stop(.immediate) }
            try World.run(cluster: cluster) { world in
                try world.start()
                #expect(try world.server().drain() == .code(0))
                let copy = try cluster.copyStopped("copy")
                try world.start()
                let lost = Payment(requestID: "lost")
                try world.pay(lost)
                try world.waitUntilConfirmed(lost)
                #expect(try world.server().drain() == .code(0))
                try cluster.restore(copy)
                let recover = try world.recover()
                let first = try recover.run()
                #expect(first.status == RecoverTool.somethingLeft && first.errors.contains("back_in_time"), "\(first)")
                let again = try recover.run()
                #expect(again.status == RecoverTool.somethingLeft && !again.errors.contains("back_in_time"), "\(again)")
                let server = try world.start()
                #expect(try server.transaction("lost")["status"] == "HEURISTIC")
                _ = try server.drain()
            }
        }

        @Test(
            "Goal: after a failover to a replica that lagged behind, what it has is kept and what it lacks is parked",
            arguments: [true, false])
        func laggingReplica(isServerRunning: Bool) throws {
            let cluster = try PrivateCluster(
                name: "failover-\(isServerRunning)", preparedTransactionsMax: 20)
            defer { try? cluster.stop(.immediate) }
            try World.run(cluster: cluster) { world in
                try world.start()
                let kept = (1...3).map { Payment(requestID: "kept-\($0)") }
                for payment in kept { try world.pay(payment) }
                for payment in kept { try world.waitUntilConfirmed(payment) }
                let replica = try cluster.startReplica("replica")
                try cluster.waitUntilReplicated()
                try cluster.cutOff(replica)
                let lost = (1...2).map { Payment(requestID: "lost-\($0)") }
                let answers = try lost.map { try world.pay($0) }
                for payment in lost { try world.waitUntilConfirmed(payment) }
                if !isServerRunning { #expect(try world.server().drain() == .code(0)) }

                try cluster.failOver(to: replica)
                let server = isServerRunning ? try world.server() : try world.start()
                try Wait.until("the commits are verified", within: Limits.settle) {
                    server.errors.contains("have been verified against their rows")
                }
                #expect(try alarms(of: server).contains { $0.contains("timeline 2") }, "\(server.errors)")
                for (payment, answer) in zip(lost, answers) {
                    let transaction = try #require(answer.transactionID)
                    #expect(try alarms(of: server).contains { $0.contains(transaction) }, "\(server.errors)")
                    #expect(try server.transaction(payment.requestID ?? "")["status"] == "HEURISTIC")
                }
                for payment in kept {
                    #expect(try server.transaction(payment.requestID ?? "")["status"] == "APPROVED")
                }
                #expect(try server.metrics()["lost_commits"] == 2 && server.metrics()["parked"] == 2)
                #expect(try Set(world.rows().map(\.requestID)) == Set(kept.compactMap(\.requestID)))
                #expect(try world.pay(Payment(requestID: "new")).status == .approved)
                _ = try server.drain()
                #expect(try world.recover().plan().status == RecoverTool.somethingLeft)
            }
        }

        /// A server's position is noted by its periodic pass, every two seconds here.
        private func waitForAPass() throws { Wait.sleep(.milliseconds(4500)) }

        private func alarms(of server: ServerProcess) throws -> [String] {
            server.errors.split(separator: "\n").map(String.init).filter {
                $0.contains(#""event":"back_in_time""#) && $0.contains(#""lvl":"ERROR""#)
            }
        }
    }
}
