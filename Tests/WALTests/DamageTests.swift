import Coordinator
import Payments
import Testing

@testable import WAL

@Suite("Damage: one bad value is set aside with its bytes, the rest is served")
struct DamageTests {
    /// Goal: at the start what is unfinished and unreadable goes to the quarantine; nothing else is touched, and it is
    /// counted.
    @Test func startSetsDamagedValuesAside() async throws {
        let test = try TestLog()
        let database = DatabaseIndex(rawValue: 1)
        let pair = FencePair(epoch: Epoch(rawValue: 1), incarnation: Incarnation(rawValue: 1))
        try await test.takeAll(
            .begin(Sample.begin(1)), .begin(Sample.begin(2)), .begin(Sample.begin(3)), .abort(Sample.abort(3)),
            .fenceAttempted(database, pair))
        try test.damage(\.active, Keys.transaction(Sample.transaction(1)))
        try test.damage(\.reversals, Keys.transaction(Sample.transaction(3)))
        try test.damage(\.meta, Keys.fence(database))
        var damagedBytes: [UInt8] = []
        try test.rewrite(\.active, Keys.transaction(Sample.transaction(1))) { bytes in
            damagedBytes = bytes
            return bytes
        }
        test.log.close()

        // A reader counts them and leaves them where they are.
        do {
            let reader = try LogReader(path: test.directory.path)
            #expect(try reader.snapshot().quarantined == 3)
            #expect(try reader.snapshot().active.count == 2)
            #expect(try reader.quarantine().isEmpty)
            let verification = try reader.verify()
            #expect(!verification.isSound)
            #expect(Set(verification.findings.map(\.database)) == ["active", "reversals", "meta"])
        }

        let again = try TestLog(in: test.directory)
        let snapshot = try again.log.snapshot()
        #expect(snapshot.active.map(\.transaction) == [Sample.transaction(2), Sample.transaction(3)])
        #expect(snapshot.reversals.isEmpty)
        #expect(snapshot.fences.isEmpty)
        #expect(snapshot.quarantined == 3)
        #expect(again.log.statistics.quarantined == 3)
        again.log.close()

        let reader = try LogReader(path: test.directory.path)
        let entries = try reader.quarantine()
        #expect(entries.map(\.database) == ["active", "reversals", "meta"])
        #expect(entries.first?.key == Keys.transaction(Sample.transaction(1)))
        #expect(entries.first?.bytes == damagedBytes)
        #expect(entries.first?.reason.contains("checksum") == true)
        #expect(try reader.snapshot().quarantined == 3)
    }

    /// Goal: a key that names the last position of all is reported as any other damage; what counts positions does not overflow at it.
    @Test func keyAtTheEndOfAllPositions() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        try test.insert(\.records, Keys.record(LSN(rawValue: .max)), [1, 2, 3])
        test.log.close()
        let reader = try LogReader(path: test.directory.path)
        let verification = try reader.verify()
        #expect(verification.findings.contains { $0.lsn == LSN(rawValue: .max) })
        let stretch = try reader.stretch(from: LSN(rawValue: 1), only: nil)
        #expect(stretch.isAtEnd)
        #expect(try reader.history(of: Sample.transaction(1)).count == 1)
    }

    /// Goal: damage that appears while the server runs is found by the next snapshot and set aside by the writer.
    @Test func snapshotSetsDamagedValuesAside() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .begin(Sample.begin(2)))
        try test.damage(\.active, Keys.transaction(Sample.transaction(1)))
        let first = try test.log.snapshot()
        #expect(first.active.map(\.transaction) == [Sample.transaction(2)])
        #expect(first.quarantined == 1)
        await test.flush()
        #expect(test.log.statistics.quarantined == 1)
        #expect(try test.log.snapshot().quarantined == 1)
        // Found again by nobody.
        await test.flush()
        #expect(test.log.statistics.quarantined == 1)
        test.log.close()
    }

    /// Goal: a step on a damaged state is refused, and the bytes are kept.
    @Test func stepOnDamagedStateIsRefused() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .begin(Sample.begin(2)), .abort(Sample.abort(2)))
        try test.damage(\.active, Keys.transaction(Sample.transaction(1)))
        try test.damage(\.reversals, Keys.transaction(Sample.transaction(2)))
        #expect(await test.take(.commit(Sample.commit(1))).refusal == .notActive(Sample.transaction(1)))
        let close = ReversalClosedRecord(transaction: Sample.transaction(2))
        #expect(await test.take(.closeReversal(close)).refusal == .noReversal(Sample.transaction(2)))
        #expect(try test.log.snapshot().quarantined == 2)
        test.log.close()
    }

    /// Goal: a damaged claim never lets a payment be made twice: the look-up throws, a BEGIN is refused, and the
    /// transaction that holds it mends it when it ends.
    @Test func damagedClaimIsNotAFreeOne() async throws {
        let test = try TestLog()
        let request = Sample.intent(1).requestID
        try await test.takeAll(.begin(Sample.begin(1)))
        try test.damage(\.requests, Keys.request(request))
        do {
            _ = try test.log.lookUp(request)
            Issue.record("a damaged entry was read")
        } catch let error as LogError {
            #expect(error.code == .damaged)
        }
        let second = await test.take(.begin(Sample.begin(2, request: request.text)))
        #expect(!second.isTaken)
        try await test.takeAll(.commit(Sample.commit(1)))
        #expect(throws: LogError.self) { try test.log.lookUp(request) }
        try await test.takeAll(.end(Sample.end(1, .committed)))
        #expect(try test.log.lookUp(request)?.status == .approved)
        #expect(try test.log.snapshot().quarantined == 1)
        test.log.close()
    }

    /// Goal: a damaged record costs itself and no other; a look through the log names it.
    @Test func damagedRecordIsPassedOver() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)), .end(Sample.end(1, .committed)))
        try test.damage(\.records, Keys.record(LSN(rawValue: 3)))
        #expect(try test.log.history(of: Sample.transaction(1)).map(\.lsn.rawValue) == [2, 4])
        test.log.close()
        let reader = try LogReader(path: test.directory.path)
        var seen: [UInt64] = []
        let damaged = try reader.forEachRecord { record in
            seen.append(record.lsn.rawValue)
            return true
        }
        #expect(damaged == 1)
        #expect(seen == [1, 2, 4])
        let verification = try reader.verify()
        #expect(verification.findings.map(\.key) == ["0000000000000003"])
    }

    /// Goal: the counter of positions can be lost without a position being used again.
    @Test func lostCounterFollowsFromTheHistory() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)))
        try test.damage(\.meta, Keys.nextLSN)
        test.log.close()
        let again = try TestLog(in: test.directory)
        #expect(try again.log.snapshot().nextLSN == LSN(rawValue: 5))
        again.log.close()
    }

    /// Goal: without its identity a log is not opened, and the message says what to do.
    @Test func damagedIdentityStopsTheStart() throws {
        for key in [Keys.log, Keys.owner] {
            let test = try TestLog()
            try test.damage(\.meta, key)
            test.log.close()
            do {
                _ = try TestLog(in: test.directory)
                Issue.record("a log without identity was opened")
            } catch let error as LogError {
                #expect(error.code == .damaged)
                #expect(error.message.contains("backup"))
            }
        }
    }

    /// Goal: states that contradict the history are told by a look through the log, though each value is sound.
    @Test func contradictionsAreFound() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)), .begin(Sample.begin(2)))
        try test.rewrite(\.records, Keys.record(LSN(rawValue: 3))) { _ in
            RecordCodec.encode(
                .commit(Sample.commit(2)), lsn: LSN(rawValue: 3), writtenAt: Sample.startedAt)
        }
        try test.rewrite(\.requests, Keys.request(Sample.intent(2).requestID)) { _ in
            StateCodec.encode(
                RequestEntry(transaction: Sample.transaction(77), intent: Sample.intent(2), status: .preparing))
        }
        test.log.close()
        let verification = try LogReader(path: test.directory.path).verify()
        #expect(Set(verification.findings.map(\.database)) == ["records", "active", "requests"])
        #expect(verification.findings.contains { $0.lsn?.rawValue == 3 && $0.reason == "COMMIT without BEGIN" })
    }
}
