import Coordinator
import Payments
import Testing

@testable import WAL

@Suite("Verification: what operators and evidence decide is as legal as what the protocol decides")
struct VerificationOfOrdersTests {
    private static let first = DatabaseIndex(rawValue: 1)
    private static let warrant = Warrant(.order, actor: "ann", reason: "the bank says so")

    private static func parking(_ number: UInt64, _ participant: Participant) -> ParkedRecord {
        ParkedRecord(transaction: Sample.transaction(number), participant: participant, evidence: "did otherwise")
    }

    private func expectSound(_ test: TestLog, _ step: String) async throws {
        let found = try await test.verifyCopy()
        #expect(found.isSound, "\(step): \(found.findings)")
    }

    @Test("Goal: after each resolution, in each direction, by one person or by two, the log is sound")
    func resolutions() async throws {
        let test = try TestLog()
        let database = Participant.database(Self.first)
        // Turned from COMMIT to ABORT, after a proposal.
        try await test.takeAll(
            .begin(Sample.begin(1)), .commit(Sample.commit(1)), .park(Self.parking(1, database)))
        let forced = Sample.resolution(1, .aborted, isForced: true)
        try await test.takeAll(.resolve(forced, needsTwoPersons: true))
        try await expectSound(test, "proposed")
        try await test.takeAll(.resolve(forced, needsTwoPersons: false))
        try await expectSound(test, "turned to ABORT")
        try await test.takeAll(
            .acknowledged(Sample.acknowledged(1, database)), .end(Sample.end(1, .aborted)),
            .closeReversal(ReversalClosedRecord(transaction: Sample.transaction(1))))
        try await expectSound(test, "ended")
        // Undecided, parked, resolved to commit.
        try await test.takeAll(
            .begin(Sample.begin(2)), .park(Self.parking(2, database)),
            .resolve(Sample.resolution(2, .committed), needsTwoPersons: false))
        try await expectSound(test, "committed by order")
        try await test.takeAll(.end(Sample.end(2, .committed)))
        // Turned from ABORT to COMMIT: the reversal is void.
        try await test.takeAll(
            .begin(Sample.begin(3)), .abort(Sample.abort(3)), .park(Self.parking(3, .clearing)),
            .resolve(Sample.resolution(3, .committed, isForced: true), needsTwoPersons: false))
        try await expectSound(test, "turned to COMMIT")
        // As decided, asking a database again that had committed and lost it.
        try await test.takeAll(
            .begin(Sample.begin(5)), .commit(Sample.commit(5)), .acknowledged(Sample.acknowledged(5, database)),
            .park(Self.parking(5, database)), .resolve(Sample.resolution(5, .committed), needsTwoPersons: false))
        try await expectSound(test, "asked again")
        // As decided, taking what was done otherwise as it is.
        try await test.takeAll(
            .begin(Sample.begin(4)), .commit(Sample.commit(4)), .park(Self.parking(4, .clearing)),
            .resolve(Sample.resolution(4, .committed, isForced: true), needsTwoPersons: false))
        try await expectSound(test, "accepted")
        try await test.takeAll(.end(Sample.end(3, .committed)), .end(Sample.end(4, .committed)))
        try await expectSound(test, "all ended")
        test.log.close()
    }

    @Test("Goal: adopted and reopened transactions, released reversals and values leave a sound log")
    func adoptionsAndReopenings() async throws {
        let test = try TestLog()
        for (number, outcome) in [(1, .committed), (2, .aborted)] as [(UInt64, Outcome)] {
            try await test.takeAll(
                .adopt(AdoptionRecord(begin: Sample.begin(number), outcome: outcome, warrant: Self.warrant)))
            try await expectSound(test, "adopted as \(outcome)")
        }
        try await test.takeAll(.end(Sample.end(1, .committed)))
        try await expectSound(test, "ended")
        let ended = try #require(try test.log.ended(Sample.transaction(1)))
        for isParked in [true, false] {
            let record = ReopenedRecord(
                transaction: Sample.transaction(1), database: Self.first, isParked: isParked, evidence: "it is gone")
            try await test.takeAll(.reopen(ended, record))
            try await expectSound(test, "reopened")
            if isParked {
                try await test.takeAll(
                    .resolve(Sample.resolution(1, .committed, isForced: true), needsTwoPersons: false))
            }
            try await test.takeAll(.end(Sample.end(1, .committed)))
            try await expectSound(test, "ended again")
        }
        let id = Sample.transaction(2)
        try await test.takeAll(
            .parkReversal(ReversalParkedRecord(transaction: id, reason: "six refusals")),
            .releaseReversal(ReversalReleasedRecord(transaction: id, warrant: Self.warrant)))
        try await expectSound(test, "reversal released")
        test.log.close()
    }

    @Test("Goal: a reopened transaction goes on with whatever proofs its history gave, beside its open reversal")
    func reopenedWithProofs() async throws {
        let test = try TestLog()
        let witnessed = AcknowledgedRecord(
            transaction: Sample.transaction(1), participant: .database(Self.first), proof: .witness)
        try await test.takeAll(
            .begin(Sample.begin(1)), .abort(Sample.abort(1)), .acknowledged(witnessed), .end(Sample.end(1, .aborted)))
        var ended = try #require(try test.log.ended(Sample.transaction(1)))
        ended.acknowledged[.clearing] = .witness
        let record = ReopenedRecord(
            transaction: Sample.transaction(1), database: Self.first, isParked: false, evidence: "prepared again")
        try await test.takeAll(.reopen(ended, record))
        try await expectSound(test, "reopened")
        try await test.takeAll(.acknowledged(witnessed), .end(Sample.end(1, .aborted)))
        try await expectSound(test, "ended again")
        test.log.close()
    }

    @Test("Goal: a transaction that was reopened behind trimmed ones leaves no false gap")
    func reopenedBehindTrimmed() async throws {
        let test = try TestLog()
        for number in 1...3 as ClosedRange<UInt64> {
            try await test.takeAll(
                .begin(Sample.begin(number)), .commit(Sample.commit(number)), .end(Sample.end(number, .committed)))
        }
        let ended = try #require(try test.log.ended(Sample.transaction(1)))
        try await test.takeAll(
            .reopen(
                ended,
                ReopenedRecord(
                    transaction: Sample.transaction(1), database: Self.first, isParked: false, evidence: "again")))
        test.clock.advance(seconds: 100)
        try await test.takeAll(.begin(Sample.begin(4)))
        #expect(await test.trim() == 7)
        try await expectSound(test, "trimmed")
        test.log.close()
    }

    @Test("Goal: a backup, the log restored from it, started and reconciled, and a backup of that are sound")
    func restored() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)), .begin(Sample.begin(2)))
        test.log.close()
        let (copy, home, second) = (try TestDirectory(), try TestDirectory(), try TestDirectory())
        let later = WallTime(microseconds: Sample.startedAt.microseconds + 1_000_000)
        try LogReader(path: test.directory.path).backUp(to: copy.path, now: later)
        func expectSoundLog(in directory: TestDirectory, _ what: String) throws {
            let found = try LogReader(path: directory.path).verify()
            #expect(found.isSound, "\(what): \(found.findings)")
        }
        try expectSoundLog(in: copy, "the backup")
        let owned = try StateDirectory.acquire(path: home.path, allowUnsafeFileSystem: true)
        _ = try LogRestoration.restore(
            from: copy.path, into: owned, incarnation: Incarnation(rawValue: 77), now: later)
        owned.release()
        try expectSoundLog(in: home, "the restored log")
        let again = try TestLog(in: home)
        try await expectSound(again, "started")
        try await again.takeAll(.reconcile(Self.warrant))
        try await expectSound(again, "reconciled")
        again.log.close()
        try LogReader(path: home.path).backUp(to: second.path, now: later)
        try expectSoundLog(in: second, "the backup of a reconciled log")
    }

    @Test("Goal: a value that goes back from the quarantine to its place is no finding any more")
    func releasedFromQuarantine() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        let key = Keys.transaction(Sample.transaction(1))
        try test.damage(\.active, key)
        _ = try test.log.snapshot()
        await test.flush()
        #expect(try await test.verifyCopy().findings.map(\.quarantineNumber) == [1])
        // Mended in the quarantine, as no operator can; what matters is what verification says afterwards.
        try test.rewrite(\.quarantine, Keys.record(LSN(rawValue: 1))) { bytes in
            guard let value = bytes.withUnsafeBytes({ try? MetaCodec.decodeQuarantined($0) }) else { return bytes }
            var mended = value.bytes
            mended[mended.count - 1] ^= 0x10
            return MetaCodec.encode(
                QuarantinedValue(
                    database: value.database, key: value.key, bytes: mended, reason: value.reason,
                    foundAt: value.foundAt))
        }
        try await test.takeAll(
            .releaseQuarantined(QuarantineReleasedRecord(number: 1, wasRestored: true, warrant: Self.warrant)))
        try await expectSound(test, "released")
        test.log.close()
    }
}
