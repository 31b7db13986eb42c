import Coordinator
import Foundation
import Testing

@testable import WAL

/// Looking transactions up in a long history costs what was written since they began, not what was written before.
@Suite struct HistorySearchTests {
    private static let history = LongHistory(payments: 4000, start: Sample.startedAt, stepMilliseconds: 100)

    private func open(_ history: LongHistory = Self.history) throws -> TestLog {
        let directory = try TestDirectory()
        try history.write(to: directory.path, log: Sample.log, mapBytes: TestLog.small.mapBytes)
        let clock = ManualClock()
        clock.advance(seconds: Int64(history.payments) * history.stepMilliseconds / 1000 + 60)
        return try TestLog(in: directory, clock: clock)
    }

    /// Goal: the history that these tests and measurements build is one that the log itself could have written.
    @Test func theHistoryIsSound() throws {
        let test = try open()
        test.log.close()
        let report = try LogReader(path: test.directory.path).verify()
        #expect(report.isSound, "\(report)")
    }

    /// Goal: 200 of the latest are found by looking at little more than their own records, however long the history is.
    @Test func theLatestAreNear() throws {
        let test = try open()
        let history = Self.history
        let wanted = Set((history.payments - 200..<history.payments).map(history.transaction))
        let search = try HistorySearch(for: wanted, in: test.log)
        #expect(Set(search.found.keys) == wanted)
        #expect(search.found.values.allSatisfy { $0.count == LongHistory.recordsPerPayment })
        #expect(search.examined < 210 * LongHistory.recordsPerPayment + 2 * 10)
        #expect(try test.log.ended(wanted).count == 200)
        #expect(try test.log.history(of: history.transaction(3999)).map(\.lsn.rawValue) == Array(19997...20001))
    }

    /// Goal: what is old is found whole, in one pass for all of it.
    @Test func theOldestAreFound() throws {
        let test = try open()
        let history = Self.history
        let wanted = Set([0, 1, 1999, 3999].map(history.transaction))
        let search = try HistorySearch(for: wanted, in: test.log)
        #expect(Set(search.found.keys) == wanted)
        #expect(search.examined <= history.payments * LongHistory.recordsPerPayment + 2)
    }

    /// Goal: what is not in the history costs one pass through it, for however many are looked for.
    @Test func theUnknownCostOnePass() throws {
        let test = try open()
        let history = Self.history
        let unknown = (0..<50).map { number in
            TransactionID(high: history.transaction(3000 + number).high, low: 1 << 60 | UInt64(number))
        }
        let search = try HistorySearch(for: Set(unknown + [history.transaction(3500)]), in: test.log)
        #expect(Array(search.found.keys) == [history.transaction(3500)])
        #expect(search.examined <= history.payments * LongHistory.recordsPerPayment + 2)
    }

    /// Goal: what is known to be absent is not looked for again, until it is adopted.
    @Test func absenteesAreRemembered() throws {
        let test = try open()
        let (known, unknown) = (Self.history.transaction(3), Sample.transaction(5))
        let absentees = KnownAbsentees()
        var asked: [Set<TransactionID>] = []
        func find(_ wanted: Set<TransactionID>) throws -> Set<TransactionID> {
            let found = try absentees.find(wanted) { wanted throws(LogError) in
                asked.append(wanted)
                return try HistorySearch(for: wanted, in: test.log)
            }
            return Set(found.keys)
        }
        #expect(try find([known, unknown]) == [known])
        #expect(try find([known, unknown]) == [known])
        absentees.forget(unknown)
        #expect(try find([unknown]).isEmpty)
        #expect(asked == [[known, unknown], [known], [unknown]])
    }

    /// Goal: a clock that was set back or forward hides nothing.
    @Test(arguments: [-3600, 3600] as [Int64])
    func clocksAreSet(seconds: Int64) async throws {
        let test = try open()
        let before = Sample.transaction(7)
        // The samples' ids say a time that is later than every record.
        try await test.takeAll(.begin(Sample.begin(7)), .abort(Sample.abort(7)))
        test.clock.set(forward: seconds)
        try await test.takeAll(
            .begin(Sample.begin(8)), .abort(Sample.abort(8, reversed: false)), .end(Sample.end(7, .aborted)))
        #expect(try test.log.history(of: before).count == 3)
        #expect(try test.log.ended([before, Sample.transaction(8)]).keys.map { $0 } == [before])
        #expect(try test.log.history(of: Self.history.transaction(3990)).count == LongHistory.recordsPerPayment)
    }

    /// Goal: a history whose head was trimmed is searched from what is left.
    @Test func trimmedHistory() throws {
        let test = try open()
        let history = Self.history
        #expect(try test.trimByHand(before: LSN(rawValue: UInt64(2 + 2000 * LongHistory.recordsPerPayment))) > 0)
        #expect(try test.log.history(of: history.transaction(10)).isEmpty)
        #expect(try test.log.history(of: history.transaction(2100)).count == LongHistory.recordsPerPayment)
    }

    private static var directoryToFill: String? { ProcessInfo.processInfo.environment["HOLDFAST_HISTORY_DIR"] }

    /// Makes a log for the measurement of recovery: `state`, and what it holds in `history.txt`. Run by scripts/recovery-time.
    @Test(.enabled(if: directoryToFill != nil))
    func fillDirectory() throws {
        let directory = try #require(Self.directoryToFill)
        let payments = ProcessInfo.processInfo.environment["HOLDFAST_HISTORY_PAYMENTS"].flatMap(Int.init) ?? 1_000_000
        // Spread over twenty hours until a minute ago: within the retention, so that nothing of it is trimmed.
        let step = max(1, 72_000_000 / Int64(payments))
        let end = Int64(Date().timeIntervalSince1970 * 1000) - 60_000
        let start = end - step * Int64(payments)
        let history = LongHistory(
            payments: payments, start: WallTime(microseconds: start * 1000), stepMilliseconds: step)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try history.write(to: directory + "/state", log: Sample.log)
        let facts = "\(payments) \(start) \(step) \(Sample.log)\n"
        try facts.write(toFile: directory + "/history.txt", atomically: false, encoding: .utf8)
    }
}
