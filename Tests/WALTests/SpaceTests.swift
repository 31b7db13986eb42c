import Coordinator
import Foundation
import Payments
import Synchronization
import Testing

@testable import WAL

@Suite("Space: a full map, the marks before it, and the reserve")
struct SpaceTests {
    /// Goal: when the map is full a batch is refused cleanly, and the log goes on with what still fits.
    @Test func fullMapRefusesAndGoesOn() async throws {
        var configuration = TestLog.small
        configuration.mapBytes = 512 << 10
        configuration.beginMapShare = 2
        let test = try TestLog(configuration: configuration)
        var taken: UInt64 = 0
        while await test.take(.begin(Sample.begin(taken + 1))).isTaken { taken += 1 }
        #expect(taken > 50)
        #expect(test.log.statistics.fullBatches > 0)
        #expect(test.log.statistics.refusalsForSpace == 1)
        let snapshot = try test.log.snapshot()
        #expect(snapshot.active.count == Int(taken))
        #expect(snapshot.nextLSN.rawValue == taken + 2)
        #expect(try test.log.lookUp(Sample.intent(taken + 1).requestID) == nil)
        test.log.close()

        // With a larger map everything is there and there is room again.
        let again = try TestLog(in: test.directory)
        #expect(try again.log.snapshot().active.count == Int(taken))
        #expect(await again.take(.begin(Sample.begin(taken + 1))).isTaken)
        again.log.close()
    }

    /// Goal: BEGINs that do not fit do not take a decision in their batch down with them.
    @Test func decisionsAreNotStarvedByBegins() async throws {
        var configuration = TestLog.small
        configuration.mapBytes = 1 << 20
        configuration.beginMapShare = 2
        let test = try TestLog(configuration: configuration)
        try await test.takeAll(.begin(Sample.begin(1)), .begin(Sample.begin(2)))
        let crowd = (10...3000 as ClosedRange<UInt64>).map { LogWrite.begin(Sample.begin($0)) }
        let answers = await test.takeTogether(
            crowd + [.commit(Sample.commit(1)), .abort(Sample.abort(2))])
        #expect(answers.suffix(2).map(\.isTaken) == [true, true])
        #expect(answers.dropLast(2).allSatisfy { $0.refusal == .full })
        #expect(test.log.statistics.fullBatches == 1)
        #expect(try test.log.lookUp(Sample.intent(1).requestID)?.status == .committing)
        #expect(try test.log.snapshot().reversals.count == 1)
        test.log.close()
    }

    /// Goal: where even the rest of a batch does not fit, what fits of it is taken, in order.
    @Test func batchIsTakenInParts() async throws {
        var configuration = TestLog.small
        configuration.mapBytes = 1 << 20
        configuration.beginMapShare = 2
        let test = try TestLog(configuration: configuration)
        for number in 1...20 as ClosedRange<UInt64> { try await test.takeAll(.begin(Sample.begin(number))) }
        let evidence = String(repeating: "e", count: LogLimits.evidenceBytesMax)
        let parks = (0..<800 as Range<UInt64>).map { LogWrite.park(Sample.park($0 % 20 + 1, evidence: evidence)) }
        let answers = await test.takeTogether(parks)
        let taken = answers.count { $0.isTaken }
        #expect(taken > 0 && taken < parks.count)
        #expect(answers.allSatisfy { $0.isTaken || $0.refusal == .full })
        #expect(try test.log.snapshot().nextLSN.rawValue == UInt64(22 + taken))
        test.log.close()
    }

    /// Goal: above its share of the map the log takes no BEGIN, so that what is in flight then can still be decided and
    /// ended.
    @Test func everythingAdmittedCanFinish() async throws {
        var configuration = TestLog.small
        configuration.mapBytes = 2 << 20
        let test = try TestLog(configuration: configuration)
        var first: UInt64 = 1
        var isRefused = false
        while !isRefused {
            let begins = await test.takeTogether((first..<(first + 40)).map { .begin(Sample.begin($0)) })
            isRefused = begins.contains { $0.refusal == .full }
            let begun = (first..<(first + 40)).filter { begins[Int($0 - first)].isTaken }
            guard !begun.isEmpty else { break }
            let decisions = await test.takeTogether(begun.map { .commit(Sample.commit($0)) })
            let ends = await test.takeTogether(begun.map { .end(Sample.end($0, .committed)) })
            #expect((decisions + ends).allSatisfy { $0.isTaken })
            first += 40
        }
        #expect(first > 400)
        #expect(test.log.statistics.fullBatches == 0)
        #expect(try test.log.snapshot().active.isEmpty)
        test.log.close()
    }

    /// Goal: admissions stop at the mark of the map before the log itself refuses, and begin again when trimming made
    /// room, though the file stays as large as it was.
    @Test func admissionsFollowTheMap() async throws {
        var configuration = TestLog.small
        configuration.mapBytes = 2 << 20
        configuration.admissionMapShare = 0.5
        let test = try TestLog(configuration: configuration)
        #expect(test.log.pressure.admitsNewTransactions)
        var number: UInt64 = 0
        while test.log.pressure.admitsNewTransactions {
            let writes = (1...50 as ClosedRange<UInt64>).flatMap { offset -> [LogWrite] in
                let id = number + offset
                return [.begin(Sample.begin(id)), .commit(Sample.commit(id)), .end(Sample.end(id, .committed))]
            }
            number += 50
            #expect(await test.takeTogether(writes).allSatisfy { $0.isTaken })
        }
        #expect(test.log.pressure.mapShare >= 0.5)
        test.clock.advance(seconds: 100_000)
        #expect(await test.trim() > 0)
        #expect(test.log.pressure.admitsNewTransactions)
        #expect(test.log.pressure.mapShare < 0.5)
        #expect((test.log.access.withLock { $0?.store.environment.fileBytesUsed } ?? 0) >= configuration.mapBytes / 2)
        test.log.close()
    }

    /// Goal: a file system with too few free bytes admits nothing, and begins again when there are enough.
    @Test func admissionsFollowTheDisk() async throws {
        var configuration = TestLog.small
        configuration.freeBytesMin = 1000
        let free = Mutex(1000)
        let test = try TestLog(configuration: configuration, freeBytes: { _ in free.withLock { $0 } })
        #expect(test.log.pressure.admitsNewTransactions)
        free.withLock { $0 = 999 }
        // The writer looks about once a second.
        await waitUntil { !test.log.pressure.admitsNewTransactions }
        #expect(test.log.pressure.freeBytes == 999)
        #expect(!test.log.pressure.admitsNewTransactions)
        // What was admitted goes on.
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)))
        free.withLock { $0 = 1000 }
        await waitUntil { test.log.pressure.admitsNewTransactions }
        #expect(test.log.pressure.admitsNewTransactions)
        test.log.close()
        // And the real one says something.
        let real = try TestLog(configuration: configuration)
        #expect((real.log.pressure.freeBytes ?? 0) > 0)
        real.log.close()
    }

    /// Goal: the reserve is blocks that the file really has, behind its end.
    @Test func reserveIsAllocated() async throws {
        var configuration = TestLog.small
        configuration.reserveBytes = 8 << 20
        let test = try TestLog(configuration: configuration)
        try await test.takeAll(.begin(Sample.begin(1)))
        var status = stat()
        #expect(stat(test.directory.path + "/data.mdb", &status) == 0)
        #expect(test.log.pressure.reserveIntact)
        #expect(test.log.pressure.admitsNewTransactions)
        #expect(allocatedBytes(of: test) >= configuration.reserveBytes)
        #expect(Int(status.st_size) < configuration.reserveBytes)
        test.log.close()
        let again = try TestLog(in: test.directory, configuration: configuration)
        #expect(try again.log.snapshot().active.count == 1)
        again.log.close()
    }

    /// Goal: a reserve that cannot be had stops admissions and nothing else, takes nothing of what little is left in
    /// trying, and is had as soon as there is room. (The disk's free bytes are what the test says, and the reserve is
    /// small, so that a mistake in this costs a megabyte and not everybody's disk.)
    @Test func missingReserveStopsAdmissions() async throws {
        var configuration = TestLog.small
        configuration.reserveBytes = 1 << 20
        let free = Mutex(configuration.reserveBytes / 2)
        let test = try TestLog(configuration: configuration, freeBytes: { _ in free.withLock { $0 } })
        #expect(!test.log.pressure.reserveIntact)
        #expect(!test.log.pressure.admitsNewTransactions)
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)))
        #expect(allocatedBytes(of: test) < configuration.reserveBytes / 2)

        free.withLock { $0 = 1 << 30 }
        try await test.takeAll(.begin(Sample.begin(2)))
        #expect(test.log.pressure.reserveIntact)
        #expect(allocatedBytes(of: test) >= configuration.reserveBytes)
        await waitUntil { test.log.pressure.admitsNewTransactions }
        #expect(test.log.pressure.admitsNewTransactions)
        test.log.close()
    }

    private func allocatedBytes(of test: TestLog) -> Int {
        var status = stat()
        return stat(test.directory.path + "/data.mdb", &status) == 0 ? Int(status.st_blocks) * 512 : 0
    }

    private func waitUntil(_ condition: () -> Bool) async {
        for _ in 0..<2000 where !condition() { try? await Task.sleep(for: .milliseconds(10)) }
    }
}

@Suite("Readers: who holds old pages back is known by name")
struct ReaderLagTests {
    /// Goal: a reader that lags is told with its process and how far behind it is; one that is gone is not.
    @Test func lagIsMeasured() async throws {
        let test = try TestLog()
        let environment = try #require(test.log.access.withLock { $0?.store.environment })
        #expect(environment.slowestReader() == nil)
        do {
            let reading = try ReadTransaction(environment)
            for number in 1...5 as ClosedRange<UInt64> { try await test.takeAll(.begin(Sample.begin(number))) }
            #expect(environment.slowestReader() == ReaderLag(pid: getpid(), commitsBehind: 5))
            withExtendedLifetime(reading) {}
        }
        #expect(environment.slowestReader() == nil)
        #expect(try test.log.clearStaleReaders() == 0)
        test.log.close()
    }
}
