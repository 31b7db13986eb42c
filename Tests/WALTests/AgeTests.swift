import Coordinator
import Payments
import Testing

@testable import WAL

@Suite("The log's age: the retention is counted in time that passed, never in the time of day")
struct AgeTests {
    private static let hour: Int64 = 3600
    private static let day = 24 * hour
    private static let retention = Milliseconds.seconds(day)

    private func finish(_ numbers: UInt64..., in test: TestLog) async throws {
        for number in numbers {
            try await test.takeAll(
                .begin(Sample.begin(number)), .commit(Sample.commit(number)), .end(Sample.end(number, .committed)))
        }
    }

    private func isKnown(_ number: UInt64, in test: TestLog) throws -> Bool {
        try test.log.lookUp(Sample.intent(number).requestID) != nil
    }

    @Test(
        "Goal: a clock that is set while the log is open makes nothing old",
        arguments: [120, 25 * hour, -25 * hour, 400 * day, -400 * day, -60 * 365 * day])
    func setWhileOpen(_ seconds: Int64) async throws {
        let test = try TestLog()
        try await finish(1, in: test)
        test.clock.set(forward: seconds)
        try await finish(2, in: test)
        test.clock.advance(seconds: Self.day - 1)
        try await finish(3, in: test)
        #expect(await test.trim(retention: Self.retention) == 0)
        test.clock.set(forward: -seconds)
        #expect(await test.trim(retention: Self.retention) == 0)
        // And when they are old, they go.
        test.clock.advance(seconds: 1)
        #expect(await test.trim(retention: Self.retention) == 7)
        #expect(try !isKnown(1, in: test) && !isKnown(2, in: test) && isKnown(3, in: test))
        test.log.close()
    }

    @Test(
        "Goal: a start with another clock than the last one makes nothing old",
        arguments: [25 * hour, -25 * hour, 400 * day, -60 * 365 * day])
    func startedWithAnother(_ seconds: Int64) async throws {
        let first = try TestLog()
        try await finish(1, in: first)
        first.log.close()
        let clock = ManualClock()
        clock.set(forward: seconds)
        let second = try TestLog(in: first.directory, clock: clock)
        #expect(second.log.lastWrittenAt == Sample.startedAt)
        try await finish(2, in: second)
        #expect(await second.trim(retention: Self.retention) == 0)
        second.log.close()
        let third = try TestLog(in: first.directory)
        #expect(third.log.lastWrittenAt == clock.now)
        try await finish(3, in: third)
        #expect(await third.trim(retention: Self.retention) == 0)
        #expect(try [1, 2, 3].allSatisfy { try isKnown($0, in: third) })
        third.log.close()
    }

    @Test("Goal: records from a clock that was years ahead do not keep the log from being trimmed")
    func notHeldUp() async throws {
        let test = try TestLog()
        test.clock.set(forward: 400 * Self.day)
        try await finish(1, in: test)
        test.clock.set(forward: -400 * Self.day)
        test.clock.advance(seconds: 2 * Self.day)
        try await finish(2, in: test)
        #expect(await test.trim(retention: Self.retention) == 4)
        #expect(try !isKnown(1, in: test))
        test.log.close()
    }

    @Test("Goal: the time of all starts counts together, and the time in between does not")
    func overSeveralStarts() async throws {
        let directory = try TestDirectory()
        var dropped: [Int] = []
        for start in 0..<5 as Range<UInt64> {
            let clock = ManualClock()
            // A week between two starts.
            clock.set(forward: Int64(start) * 7 * Self.day)
            let test = try TestLog(in: directory, clock: clock)
            try await finish(start * 2 + 1, in: test)
            clock.advance(seconds: 10 * Self.hour)
            try await finish(start * 2 + 2, in: test)
            dropped.append(await test.trim(retention: Self.retention))
            test.log.close()
        }
        // After 30 hours the first four records are 30 hours old; after 40 those of hour 10, with the second start's; and so on.
        #expect(dropped == [0, 0, 4, 7, 7])
    }

    @Test("Goal: what cannot be read of the age makes nothing old")
    func damaged() async throws {
        let test = try TestLog()
        try await finish(1, in: test)
        test.clock.advance(seconds: 2 * Self.day)
        try await finish(2, in: test)
        try test.damage(\.meta, Keys.age)
        test.log.close()
        let again = try TestLog(in: test.directory)
        try await finish(3, in: again)
        #expect(await again.trim(retention: Self.retention) == 0)
        again.clock.advance(seconds: Self.day)
        #expect(await again.trim(retention: Self.retention) > 0)
        again.log.close()
    }

    @Test("Goal: the log remembers the latest time of what it has dropped, over starts")
    func trimmedUntil() async throws {
        let test = try TestLog()
        #expect(try test.log.snapshot().trimmedUntil == nil)
        test.clock.set(forward: 90)
        try await finish(1, in: test)
        let latest = test.clock.now
        test.clock.set(forward: -90)
        try await finish(2, in: test)
        test.clock.advance(seconds: 2 * Self.day)
        try await finish(3, in: test)
        #expect(await test.trim(retention: Self.retention) == 7)
        #expect(try test.log.snapshot().trimmedUntil == latest)
        test.log.close()
        #expect(try LogReader(path: test.directory.path).snapshot().trimmedUntil == latest)
    }

    @Test("Goal: few marks are enough, for any time, and what they tell is at most a few parts in a hundred too old")
    func marksAreFew() {
        var age = LogAge()
        var (lsn, seconds): (UInt64, Int64) = (1, 0)
        var (mostMarks, leastKept, mostKept) = (0, Int64.max, Int64(0))
        for step in 0..<200_000 {
            seconds += step % 7 == 0 ? 13 : 1
            age.advance(to: .seconds(seconds))
            // Every record is a position; its age is that of its writing.
            age.mark(end: LSN(rawValue: lsn), writtenBy: .seconds(seconds))
            lsn = UInt64(seconds)
            mostMarks = max(mostMarks, age.marks.count)
            guard let horizon = age.horizon(of: Self.retention, asked: age.age) else { continue }
            age.forget(before: horizon)
            // Positions are seconds here, so the horizon is a time too.
            let kept = seconds - Int64(horizon.rawValue)
            (leastKept, mostKept) = (min(leastKept, kept), max(mostKept, kept))
        }
        #expect(age.isSound && mostMarks <= LogAge.marksMax && seconds > 5 * Self.day)
        #expect(leastKept >= Self.day && mostKept <= Self.day + Self.day / 20, "\(leastKept) to \(mostKept) s")
    }

    @Test("Goal: a value that no log can have is not read as an age")
    func unsound() throws {
        let marks = [LogAge.Mark(age: .seconds(2), end: LSN(rawValue: 5))]
        for wrong in [
            LogAge(age: Milliseconds(-1)), LogAge(age: Milliseconds(.max)), LogAge(age: .seconds(1), marks: marks),
            LogAge(age: .seconds(9), marks: marks + marks),
            LogAge(age: .seconds(9), marks: [LogAge.Mark(age: Milliseconds(-5), end: LSN(rawValue: 5))]),
        ] {
            #expect(!wrong.isSound)
            let bytes = MetaCodec.encode(wrong)
            #expect(throws: ValueFault.self) { try bytes.withUnsafeBytes { try MetaCodec.decodeAge($0) } }
        }
        let right = LogAge(age: .seconds(9), marks: marks, trimmedUntil: Sample.startedAt)
        let bytes = MetaCodec.encode(right)
        #expect(try bytes.withUnsafeBytes { try MetaCodec.decodeAge($0) } == right)
    }
}
