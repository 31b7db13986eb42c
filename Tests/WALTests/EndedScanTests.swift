import Coordinator
import Payments
import Testing

@testable import WAL

/// Going through the history for what has ended.
@Suite struct EndedScanTests {
    private static let first = DatabaseIndex(rawValue: 1)
    private static let db = Participant.database(first)

    private func scan(
        _ history: some EndedHistory, from first: UInt64 = 1, upTo end: LSN? = nil
    ) throws -> [ActiveTransaction] {
        var scan = try history.scanEnded(from: LSN(rawValue: first), upTo: end ?? history.snapshot().nextLSN)
        var found: [ActiveTransaction] = []
        while let part = try history.nextEnded(&scan) { found += part }
        return found
    }

    private func end(_ number: UInt64, _ test: TestLog) async throws {
        try await test.takeAll(
            .begin(Sample.begin(number)), .commit(Sample.commit(number)),
            .acknowledged(Sample.acknowledged(number, Self.db)), .acknowledged(Sample.acknowledged(number)),
            .end(Sample.end(number, .committed)))
    }

    @Test("Goal: the owner and a reader find what ended, with its proofs; not what is unfinished, nor what came later")
    func found() async throws {
        let test = try TestLog()
        try await end(1, test)
        try await test.takeAll(.begin(Sample.begin(2)), .commit(Sample.commit(2)))
        try await test.takeAll(.begin(Sample.begin(3)), .abort(Sample.abort(3)), .end(Sample.end(3, .aborted)))
        let limit = try test.log.snapshot().nextLSN
        try await end(4, test)
        let found = try scan(test.log, upTo: limit)
        #expect(found.map(\.transaction) == [Sample.transaction(1), Sample.transaction(3)])
        #expect(found.first == (try test.log.ended(Sample.transaction(1))))
        #expect(found.first?.acknowledged.count == Sample.branches.count, "END proves the others too")
        test.log.close()
        let reader = try LogReader(path: test.directory.path)
        #expect(try scan(reader).map(\.transaction) == [1, 3, 4].map { Sample.transaction($0) })
        #expect(try scan(reader, from: limit.rawValue).map(\.transaction) == [Sample.transaction(4)])
    }

    @Test("Goal: a history of several stretches is gone through to its end")
    func stretches() async throws {
        let test = try TestLog()
        let count = UInt64(LogLimits.scanBatchRecords / 3 + 50)
        var writes: [LogWrite] = []
        for number in 1...count {
            writes += [
                .begin(Sample.begin(number)), .commit(Sample.commit(number)), .end(Sample.end(number, .committed)),
            ]
        }
        for start in stride(from: 0, to: writes.count, by: 300) {
            _ = await test.takeTogether(Array(writes[start..<min(start + 300, writes.count)]))
        }
        #expect(try scan(test.log).count == Int(count))
    }

    @Test("Goal: what was reopened is told as its last end left it, so that what an operator took as it is stays so")
    func reopened() async throws {
        let test = try TestLog()
        try await end(1, test)
        let ended = try #require(try test.log.ended(Sample.transaction(1)))
        let record = ReopenedRecord(
            transaction: ended.transaction, database: Self.first, isParked: true, evidence: "neither branch nor row")
        try await test.takeAll(.reopen(ended, record))
        #expect(try scan(test.log).isEmpty, "it is unfinished")
        try await test.takeAll(
            .resolve(Sample.resolution(1, .committed, isForced: true), needsTwoPersons: false),
            .end(Sample.end(1, .committed)))
        let found = try scan(test.log)
        #expect(found.map(\.transaction) == [ended.transaction])
        #expect(found.first?.acknowledged[Self.db] == .accepted && found.first?.isParked == false)
        #expect(found.first.map { CommitAudit.concerns($0, at: Self.first) } == false)
    }

    @Test("Goal: one that was carried out again counts as committed again")
    func carriedOutAgain() async throws {
        let test = try TestLog()
        try await end(1, test)
        let ended = try #require(try test.log.ended(Sample.transaction(1)))
        let record = ReopenedRecord(
            transaction: ended.transaction, database: Self.first, isParked: false, evidence: "prepared again")
        try await test.takeAll(
            .reopen(ended, record), .acknowledged(Sample.acknowledged(1, Self.db)), .end(Sample.end(1, .committed)))
        let found = try scan(test.log)
        #expect(found.count == 1 && found.first?.acknowledged[Self.db] == .acknowledgement)
        #expect(found.first.map { CommitAudit.concerns($0, at: Self.first) } == true)
    }
}
