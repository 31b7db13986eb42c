import Coordinator
import Payments
import Testing

@testable import WAL

@Suite("Trimming: the file stays bounded, and nothing unfinished is ever dropped")
struct TrimTests {
    private func finish(_ number: UInt64, in test: TestLog) async throws {
        try await test.takeAll(
            .begin(Sample.begin(number)), .commit(Sample.commit(number)), .end(Sample.end(number, .committed)))
    }

    /// Goal: finished transactions go with their claims; active, parked ones and open reversals keep all of their
    /// records.
    @Test func keepsWhatIsUnfinished() async throws {
        let test = try TestLog()
        try await finish(1, in: test)
        try await test.takeAll(.begin(Sample.begin(2)), .commit(Sample.commit(2)))
        try await test.takeAll(.begin(Sample.begin(3)), .commit(Sample.commit(3)), .park(Sample.park(3)))
        try await test.takeAll(.begin(Sample.begin(4)), .abort(Sample.abort(4)), .end(Sample.end(4, .aborted)))
        try await finish(5, in: test)
        test.clock.advance(seconds: 100)
        try await finish(6, in: test)

        let kept = try (2...4 as ClosedRange<UInt64>).map {
            try test.log.history(of: Sample.transaction($0)).map(\.lsn)
        }
        // The start, and three records each of the first and the fifth.
        #expect(await test.trim() == 7)
        #expect(
            try (2...4 as ClosedRange<UInt64>).map { try test.log.history(of: Sample.transaction($0)).map(\.lsn) }
                == kept)
        for number in [1, 5] as [UInt64] {
            #expect(try test.log.history(of: Sample.transaction(number)).isEmpty)
            #expect(try test.log.lookUp(Sample.intent(number).requestID) == nil)
        }
        for number in [2, 3, 4, 6] as [UInt64] {
            #expect(try test.log.lookUp(Sample.intent(number).requestID) != nil)
        }
        // Once they are finished and old, they go too.
        try await test.takeAll(
            .end(Sample.end(2, .committed)), .end(Sample.end(3, .committed)),
            .closeReversal(ReversalClosedRecord(transaction: Sample.transaction(4))))
        test.clock.advance(seconds: 100)
        try await test.takeAll(.begin(Sample.begin(7)))
        #expect(await test.trim() == 14)
        #expect(try test.log.snapshot().active.map(\.transaction) == [Sample.transaction(7)])
        test.log.close()
        #expect(try LogReader(path: test.directory.path).verify().isSound)
    }

    /// Goal: the end of an old transaction does not take away a request_id that was released and claimed by another one
    /// since.
    @Test func leavesAnothersClaim() async throws {
        let test = try TestLog()
        try await test.takeAll(
            .begin(Sample.begin(1)), .abort(Sample.abort(1, claim: .released, reversed: false)),
            .end(Sample.end(1, .aborted)), .begin(Sample.begin(2, request: "request-1")))
        test.clock.advance(seconds: 100)
        try await test.takeAll(.commit(Sample.commit(2)))
        #expect(await test.trim() == 4)
        #expect(try test.log.lookUp(Sample.intent(1).requestID)?.transaction == Sample.transaction(2))
        test.log.close()
    }

    /// Goal: a trim looks at no more than it was allowed to, and the next one goes on behind what may not be dropped.
    @Test func goesOnWhereItStopped() async throws {
        let test = try TestLog()
        for number in 1...10 as ClosedRange<UInt64> { try await test.takeAll(.begin(Sample.begin(number))) }
        try await finish(11, in: test)
        test.clock.advance(seconds: 100)
        try await finish(12, in: test)
        var dropped: [Int] = []
        for _ in 0..<3 { dropped.append(await test.trim(stepsMax: 6)) }
        #expect(dropped == [1, 1, 2])
        test.log.close()
    }

    /// Goal: a log is sound when a trim has dropped the first records of an abort and not yet its last.
    @Test func dropsAnAbortInParts() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .abort(Sample.abort(1)))
        test.clock.advance(seconds: 100)
        try await test.takeAll(
            .end(Sample.end(1, .aborted)), .closeReversal(ReversalClosedRecord(transaction: Sample.transaction(1))))
        #expect(await test.trim() == 3)
        #expect(try await test.verifyCopy().findings == [])
        test.log.close()
    }

    /// Goal: positions are never used again, even if everything before the last record is dropped.
    @Test func neverReusesPositions() async throws {
        let test = try TestLog()
        try await finish(1, in: test)
        test.clock.advance(seconds: 100)
        #expect(await test.trim() == 3)
        let next = try test.log.snapshot().nextLSN
        #expect(next == LSN(rawValue: 5))
        test.log.close()
        let again = try TestLog(in: test.directory)
        #expect(try again.log.snapshot().nextLSN == LSN(rawValue: 6))
        again.log.close()
    }

    /// Goal: records of a transaction whose state was set aside are kept for whoever looks into it.
    @Test func keepsWhatIsInQuarantine() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)))
        try test.damage(\.active, Keys.transaction(Sample.transaction(1)))
        test.log.close()
        let again = try TestLog(in: test.directory)
        again.clock.advance(seconds: 100)
        try await again.takeAll(.begin(Sample.begin(2)))
        // Both starts go.
        #expect(await again.trim() == 2)
        #expect(try again.log.history(of: Sample.transaction(1)).count == 2)
        again.log.close()
    }

    /// Goal: a record that cannot be read does not stop trimming; it is set aside.
    @Test func setsDamagedRecordsAside() async throws {
        let test = try TestLog()
        try await finish(1, in: test)
        try await finish(2, in: test)
        try test.damage(\.records, Keys.record(LSN(rawValue: 3)))
        test.clock.advance(seconds: 100)
        try await test.takeAll(.begin(Sample.begin(3)))
        #expect(await test.trim() == 6)
        #expect(try test.log.snapshot().quarantined == 1)
        test.log.close()
    }

    /// Goal: under endless load with trimming the file stops growing: what is dropped is used again.
    @Test func fileStaysBounded() async throws {
        let test = try TestLog()
        var number: UInt64 = 0
        var sizes: [Int] = []
        for _ in 0..<12 {
            let writes = (1...200 as ClosedRange<UInt64>).flatMap { offset -> [LogWrite] in
                let id = number + offset
                return [.begin(Sample.begin(id)), .commit(Sample.commit(id)), .end(Sample.end(id, .committed))]
            }
            number += 200
            let answers = await test.takeTogether(writes)
            #expect(answers.allSatisfy { $0.isTaken })
            test.clock.advance(seconds: 100)
            try await test.takeAll(.begin(Sample.begin(1_000_000 + number)))
            _ = await test.trim()
            sizes.append(test.log.access.withLock { $0?.store.environment.fileBytesUsed ?? 0 })
        }
        #expect(sizes.last == sizes[6], "sizes after each round: \(sizes)")
        test.log.close()
    }
}
