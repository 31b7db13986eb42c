import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A participant that is down keeps nobody from finishing the others; it is finished when it returns.
    @Suite struct ParticipantDownTests {
        /// Which of the two databases cannot be reached.
        enum Down: CaseIterable {
            case payment, merchant

            func proxy(of world: World) throws -> TCPProxy {
                let home = try ShardScout.paymentDatabase()
                return world.proxies[self == .payment ? home - 1 : 2 - home]
            }
        }

        @Test(
            "Goal: recover finishes what it can reach, says with its exit code that a database was missing, and the rest later",
            arguments: Down.allCases, [CrashPoint.prepared, .decisionDurable])
        func recoverWithoutDatabase(down: Down, point: CrashPoint) throws {
            try World.run(databases: 2, behindProxy: true) { world in
                let payment = try crash(at: point, in: world)
                let proxy = try down.proxy(of: world)
                try proxy.set(.cut)
                let dryRun = try world.recover().plan()
                #expect(RecoverTool.lacksParticipant(dryRun.status), "\(dryRun)")
                let result = try world.recover().run("--wait", "1")
                #expect(RecoverTool.lacksParticipant(result.status), "\(result)")
                try expectReachableDone(down, point, in: world)

                try proxy.set(.forwarding)
                let again = try world.recover().run("--wait", "10")
                #expect(again.status == RecoverTool.nothingLeft, "\(again)")
                try expectAllDone(point, in: world)
                try world.start()
                let answer = try world.pay(payment)
                // Where the payment's database could not be asked whether it was made before, the retry makes it.
                let isApproved = point.isMade || down == .payment
                #expect(isApproved ? answer.status == .approved : answer.isFinalRefusal, "\(answer)")
                try world.finish()
            }
        }

        @Test(
            "Goal: a server that starts without a database finishes what it can reach, and the rest by itself when it returns",
            arguments: Down.allCases, [CrashPoint.prepared, .decisionDurable])
        func serverWithoutDatabase(down: Down, point: CrashPoint) throws {
            try World.run(databases: 2, behindProxy: true) { world in
                let payment = try crash(at: point, in: world)
                let proxy = try down.proxy(of: world)
                try proxy.set(.cut)
                let server = try world.launch()
                #expect(try server.waitUntilListening() <= Limits.assertedStart)
                try Wait.until("the reachable branch is done", within: Limits.settle) {
                    try world.preparedBranches().count == 1
                }
                try expectReachableDone(down, point, in: world)
                #expect(try server.metrics()["unfinished"] == 1)

                try proxy.set(.forwarding)
                try Wait.until("the rest is done", within: Limits.settle) { try world.preparedBranches() == [] }
                let answer = try world.finalAnswer(to: payment)
                // Where the payment's database could not be asked whether it was made before, the retry makes it.
                let isApproved = point.isMade || down == .payment
                #expect(isApproved ? answer.status == .approved : answer.isFinalRefusal, "\(answer)")
                try world.finish()
            }
        }

        @Test(
            "Goal: with the network down the databases are finished; confirmation and reversal stay, and are sent when it returns",
            arguments: [CrashPoint.prepared, .decisionDurable], [true, false])
        func networkDown(point: CrashPoint, byRecover: Bool) throws {
            try World.run { world in
                let payment = Payment(requestID: "network")
                try world.start(fault: point.fault(.kill))
                try world.payIntoTheCrash(payment)
                try world.waitUntilBackendsAreGone()
                try world.simulator.set(Faults(isOut: true))
                if byRecover {
                    let result = try world.recover().run("--wait", "1")
                    #expect(RecoverTool.lacksParticipant(result.status), "\(result)")
                } else {
                    try world.start()
                }
                try Wait.until("the database is done", within: Limits.settle) { try world.preparedBranches() == [] }
                #expect(try world.rows().count == (point.isMade ? 1 : 0))
                try expectHeld(in: world)
                // A dry run does not ask the network.
                let plan = try world.recover().plan()
                #expect(plan.status == RecoverTool.somethingLeft, "\(plan)")

                try world.simulator.set(.none)
                if byRecover {
                    let result = try world.recover().run("--wait", "10")
                    #expect(result.status == RecoverTool.nothingLeft, "\(result)")
                    try world.start()
                }
                let told: BookEntry.State = point.isMade ? .settled : .released
                try Wait.until("the network is told", within: Limits.settle) {
                    try world.simulator.book().map(\.state) == [told]
                }
                let answer = try world.pay(payment)
                #expect(point.isMade ? answer.status == .approved : answer.isFinalRefusal, "\(answer)")
                try world.finish()
            }
        }

        // MARK: Steps

        private func crash(at point: CrashPoint, in world: World) throws -> Payment {
            let payment = try ShardScout.paymentWithTwoBranches()
            try world.start(fault: point.fault(.kill))
            try world.payIntoTheCrash(payment)
            try world.waitUntilBackendsAreGone()
            #expect(try world.preparedBranches().count == 2)
            return payment
        }

        /// The branch of the database that could be reached is done, the other is as it was.
        private func expectReachableDone(_ down: Down, _ point: CrashPoint, in world: World) throws {
            #expect(try world.preparedBranches().count == 1)
            let evidence = try world.evidence()
            #expect(evidence.rows.count == (point.isMade && down == .merchant ? 1 : 0))
            #expect(evidence.entries.count == (point.isMade && down == .payment ? 1 : 0))
            // The network hears of a commit only when the payment's own database has it, and of an abort when that has proven that it
            // does not.
            let told: BookEntry.State = down == .payment ? .held : point.isMade ? .settled : .released
            try Wait.until("the network has it \(told)", within: Limits.settle) {
                try world.simulator.book().map(\.state) == [told]
            }
        }

        private func expectAllDone(_ point: CrashPoint, in world: World) throws {
            let evidence = try world.evidence()
            #expect(evidence.prepared == [])
            #expect(evidence.rows.count == (point.isMade ? 1 : 0) && evidence.entries.count == evidence.rows.count)
            #expect(evidence.book.map(\.state) == [point.isMade ? .settled : .released])
        }

        private func expectHeld(in world: World) throws {
            #expect(try world.simulator.book().map(\.state) == [.held])
        }
    }
}
