import Foundation
import Testing

@testable import Harness

extension Integration {
    /// A fixed share of the crash matrix; `make crash` runs all of it.
    @Suite struct CrashMatrixTests {
        /// The share, so that it takes about 90 s of a debug build.
        private static let share = 13
        /// Fixed, so that the same plans are made each time.
        private static let seed: UInt64 = 4

        @Test("Goal: whatever point a process fails at, every promise holds afterwards")
        func share() throws {
            let matrix = try CrashMatrix(seed: Self.seed, share: Self.share)
            #expect(matrix.plans.count >= 40)
            let result = try matrix.run(jobs: 2) { print($0) }
            for (plan, outcome) in result.failures {
                Issue.record("\(plan.replay)\n\(CrashMatrix.line(1, 1, plan, outcome))")
            }
            let reached = result.outcomes.count(where: \.outcome.wasStruck)
            #expect(
                reached * 10 >= matrix.plans.count * 8, "only \(reached) of \(matrix.plans.count) came to their point")
            print("\(matrix.plans.count) iterations, \(result.perMinute) a minute")
        }

        @Test(
            "Goal: a first start that dies while it names its databases in the log is no obstacle to the next",
            arguments: ["batch-durable:1:kill", "batch-taken:2:kill"])
        func firstStartDies(fault: String) throws {
            try World.run(databases: 2) { world in
                let dying = try world.launch(fault: fault)
                #expect(try dying.process.wait(within: Limits.programStart) == .signal(SIGKILL))
                try world.start()
                #expect(try world.pay(Payment(requestID: "first")).status == .approved)
                try world.finish()
            }
        }

        @Test("Goal: the matrix has every point that the server lists, each with every action that it can take there")
        func matrixIsWhole() throws {
            let points = try FaultPointName.listed()
            let matrix = try CrashMatrix(seed: 1)
            let faults = Set(matrix.plans.map { "\($0.fault.point) \($0.fault.action.rawValue)" })
            for point in points {
                for action in PlannedFault.Action.allCases where action != .error || point.canFail {
                    #expect(faults.contains("\(point.name) \(action.rawValue)"))
                }
            }
            #expect(matrix.plans.map(\.description) == (try CrashMatrix(seed: 1).plans.map(\.description)))
        }

        @Test("Goal: the log's history and the participants' are held against each other")
        func logCheckNotices() throws {
            let begin = #"{"lsn":1,"kind":"begin","txn_id":"visa_1"}"#
            let abort = #"{"lsn":2,"kind":"abort","txn_id":"visa_1","reversal":true}"#
            let closed = #"{"lsn":3,"kind":"reversal_closed","txn_id":"visa_1"}"#
            let end = #"{"lsn":4,"kind":"end","txn_id":"visa_1","outcome":"aborted"}"#
            let commit = #"{"lsn":5,"kind":"commit","txn_id":"visa_1"}"#
            func violations(_ lines: [String], _ state: BookEntry.State) throws -> [String] {
                let evidence = Evidence(
                    databases: 1, rows: [], entries: [], prepared: [],
                    book: [BookEntry(transactionID: "visa_1", state: state, amount: "1.00")], exchanges: [])
                return try LogCheck(lines.joined(separator: "\n"), isWhole: true, excused: []).violations(
                    against: evidence)
            }
            #expect(try violations([begin, abort, closed, end], .released) == [])
            #expect(try violations([begin, abort, end], .released).count == 1, "a reversal that is not closed")
            #expect(
                try violations([begin, abort, closed, closed, end], .released).count == 2, "closed twice, and the order"
            )
            #expect(try violations([begin, abort, closed, end], .settled).count == 1, "confirmed and aborted")
            #expect(try violations([begin, abort, closed, end, commit], .released).count == 1, "decided twice")
            #expect(try violations([begin, abort, closed], .released).count == 1, "not ended")
            #expect(
                try violations([begin.replacing("visa_1", with: "visa_2"), abort, closed, end], .released).count >= 2)
        }
    }
}
