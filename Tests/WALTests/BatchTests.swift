import Coordinator
import Payments
import Synchronization
import Testing

@testable import WAL

@Suite("Batches: group commit, order, laziness, and what a refusal does to its batch")
struct BatchTests {
    /// Goal: steps that arrive while a commit is under way share the next one.
    @Test func stepsShareACommit() async throws {
        let test = try TestLog()
        let before = test.log.statistics
        let answers = await test.takeTogether((1...100).map { .begin(Sample.begin($0)) })
        let after = test.log.statistics
        #expect(answers.count { $0.isTaken } == 100)
        #expect(after.commits - before.commits == 1)
        #expect(after.steps - before.steps == 100)
        #expect(after.lastBatchSteps == 100)
        test.log.close()
    }

    /// Goal: under load from many callers there are fewer syncs than steps, and each caller is answered once.
    @Test func concurrentCallersGroup() async throws {
        let test = try TestLog()
        let taken = await withTaskGroup(of: Bool.self) { group in
            for number in 1...400 as ClosedRange<UInt64> {
                group.addTask { await test.take(.begin(Sample.begin(number))).isTaken }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(taken == 400)
        #expect(test.log.statistics.commits < 400)
        #expect(try test.log.snapshot().active.count == 400)
        test.log.close()
    }

    /// Goal: a refused step neither fails its batch nor leaves anything behind.
    @Test func refusalDoesNotFailTheBatch() async throws {
        let test = try TestLog()
        let answers = await test.takeTogether([
            .begin(Sample.begin(1)), .commit(Sample.commit(9)), .begin(Sample.begin(2, request: "request-1")),
            .begin(Sample.begin(3)),
        ])
        #expect(answers.map(\.isTaken) == [true, false, false, true])
        #expect(answers[1].refusal == .notActive(Sample.transaction(9)))
        #expect(try test.log.snapshot().active.map(\.transaction) == [Sample.transaction(1), Sample.transaction(3)])
        // Positions have no gaps: the start, two BEGINs, and the next.
        #expect(try test.log.snapshot().nextLSN == LSN(rawValue: 4))
        test.log.close()
    }

    /// Goal: steps take effect and are answered in the order of the calls, lazy and forced ones mixed.
    @Test func orderIsThatOfTheCalls() async throws {
        let test = try TestLog()
        let order = Mutex<[Int]>([])
        await withCheckedContinuation { continuation in
            for index in 0..<200 {
                let write = LogWrite.begin(Sample.begin(UInt64(index + 1)))
                test.log.append(write, urgency: index % 3 == 0 ? .forced : .lazy) { _ in
                    order.withLock { $0.append(index) }
                }
            }
            test.log.flush { continuation.resume() }
        }
        #expect(order.withLock { $0 } == Array(0..<200))
        let reader = try test.log.snapshot().active.sorted { $0.begin.lsn < $1.begin.lsn }
        #expect(reader.map(\.transaction) == (1...200).map { Sample.transaction($0) })
        test.log.close()
    }

    /// Goal: a lazy step waits for company, but not for ever.
    @Test func lazyStepIsWrittenAloneAfterItsDelay() async throws {
        let test = try TestLog()
        let clock = ContinuousClock()
        let start = clock.now
        // Measured on the writer's thread: other tests may keep this one's waiting.
        let waited = await withCheckedContinuation { continuation in
            test.log.append(.begin(Sample.begin(1)), urgency: .lazy) { _ in
                continuation.resume(returning: clock.now - start)
            }
        }
        #expect(waited >= .milliseconds(LogTiming.lazyDelayMax.count))
        #expect(waited < .seconds(10))
        test.log.close()
    }

    /// Goal: a lazy step shares the sync of the next forced one instead of waiting or asking for its own.
    @Test func lazyStepRidesAlong() async throws {
        var configuration = TestLog.small
        configuration.lazyDelayMax = .seconds(3600)
        let test = try TestLog(configuration: configuration)
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)))
        let before = test.log.statistics.commits
        let isTaken = Mutex<Bool?>(nil)
        test.log.append(.acknowledged(Sample.acknowledged(1)), urgency: .lazy) { answer in
            isTaken.withLock { $0 = answer.isTaken }
        }
        try await test.takeAll(.begin(Sample.begin(2)))
        #expect(isTaken.withLock { $0 } == true)
        #expect(test.log.statistics.commits == before + 1)
        test.log.close()
    }

    /// Goal: flush tells when everything before it is durable, lazy steps included.
    @Test func flushCoversLazySteps() async throws {
        var configuration = TestLog.small
        configuration.lazyDelayMax = .seconds(3600)
        let test = try TestLog(configuration: configuration)
        let isDone = Mutex(false)
        test.log.append(.begin(Sample.begin(1)), urgency: .lazy) { _ in isDone.withLock { $0 = true } }
        await test.flush()
        #expect(isDone.withLock { $0 })
        #expect(try test.log.snapshot().active.count == 1)
        test.log.close()
    }

    /// Goal: close writes what waits, answers it, and refuses what comes later.
    @Test func closeDrains() async throws {
        var configuration = TestLog.small
        configuration.lazyDelayMax = .seconds(3600)
        let test = try TestLog(configuration: configuration)
        let answers = Mutex(0)
        for number in 1...50 as ClosedRange<UInt64> {
            test.log.append(.begin(Sample.begin(number)), urgency: .lazy) { answer in
                answers.withLock { $0 += answer.isTaken ? 1 : 0 }
            }
        }
        test.log.close()
        #expect(answers.withLock { $0 } == 50)
        #expect(test.log.statistics.steps == 50)
        #expect(await test.take(.begin(Sample.begin(99))).refusal == .full)
        #expect(throws: LogError.self) { try test.log.snapshot() }
        #expect(throws: LogError.self) { try test.log.lookUp(Sample.intent(1).requestID) }
        let again = try TestLog(in: test.directory)
        #expect(try again.log.snapshot().active.count == 50)
        again.log.close()
    }

    /// Goal: dropping the log without close answers what waits with a refusal and commits nothing of it.
    @Test func droppedLogCommitsNothing() async throws {
        let directory = try TestDirectory()
        let answers = Mutex<[Bool]>([])
        do {
            var configuration = TestLog.small
            configuration.lazyDelayMax = .seconds(3600)
            let test = try TestLog(in: directory, configuration: configuration)
            test.log.append(.begin(Sample.begin(1)), urgency: .lazy) { answer in
                answers.withLock { $0.append(answer.isTaken) }
            }
        }
        #expect(answers.withLock { $0 } == [false])
        let again = try TestLog(in: directory)
        #expect(try again.log.snapshot().active.isEmpty)
        again.log.close()
    }

    /// Goal: more steps than one batch may have are still all taken, in order.
    @Test func longQueuesAreSplit() async throws {
        let test = try TestLog()
        let count = LogLimits.batchStepsMax + 100
        let answers = await test.takeTogether((1...UInt64(count)).map { .begin(Sample.begin($0)) })
        #expect(answers.count { $0.isTaken } == count)
        #expect(test.log.statistics.largestBatchSteps == LogLimits.batchStepsMax)
        test.log.close()
    }

    /// Goal: the queue is bounded for BEGINs, and steps of transactions that were let in still find room.
    @Test func queueIsBounded() async throws {
        let test = try TestLog(configuration: LogConfiguration(mapBytes: 256 << 20, reserveBytes: 0, freeBytesMin: 0))
        try await test.takeAll(.begin(Sample.begin(1)))
        let count = LogLimits.queuedBeginsMax + 10
        var writes: [LogWrite] = (2...UInt64(count + 1)).map { .begin(Sample.begin($0)) }
        writes.append(.commit(Sample.commit(1)))
        let answers = await test.takeTogether(writes)
        #expect(answers.count { $0.isTaken } == LogLimits.queuedBeginsMax + 1)
        #expect(answers.dropLast().suffix(10).allSatisfy { $0.refusal == .full })
        #expect(answers.last?.isTaken == true)
        test.log.close()
    }
}
