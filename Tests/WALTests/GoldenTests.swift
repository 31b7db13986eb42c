import Coordinator
import Foundation
import Payments
import Testing

@testable import WAL

/// The format as it is on disk. If one of these fails, logs that exist can no longer be read as they were written:
/// raise ``LogFormat/current``, keep reading the version before, and add fixtures beside the old ones. With
/// `HOLDFAST_WRITE_GOLDEN=1` fixtures that are missing are written; existing ones never are.
@Suite("Golden files: the format on disk does not change unnoticed")
struct GoldenTests {
    private static let fixtures = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("fixtures/logs/v\(LogFormat.current)")

    private static func fixture(_ name: String, make: () throws -> Data) throws -> Data {
        let file = fixtures.appendingPathComponent(name)
        if let data = FileManager.default.contents(atPath: file.path) { return data }
        try #require(
            ProcessInfo.processInfo.environment["HOLDFAST_WRITE_GOLDEN"] == "1", "the fixture \(name) is missing")
        try FileManager.default.createDirectory(at: fixtures, withIntermediateDirectories: true)
        let data = try make()
        try data.write(to: file)
        return data
    }

    /// Goal: every kind of value is encoded byte for byte as in the fixture.
    @Test func valuesAreUnchanged() throws {
        let text = Self.values().map { name, bytes in
            name + " " + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        let golden = try Self.fixture("values.txt") { Data((text.joined(separator: "\n") + "\n").utf8) }
        let lines = String(decoding: golden, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(lines.count == text.count)
        for (line, expected) in zip(text, lines) { #expect(line == expected) }
        #expect(Set(Self.values().compactMap { ValueKind(rawValue: $0.1[1]) }) == Set(ValueKind.allCases))
    }

    /// Goal: a log that an earlier build wrote is read with everything in it, is sound, and can be taken over.
    @Test func goldenLogIsRead() async throws {
        let golden = try await Self.goldenLog()
        let directory = try TestDirectory()
        try golden.write(to: URL(fileURLWithPath: directory.path + "/data.mdb"))
        let expected = try await Self.writeLog()
        do {
            let reader = try LogReader(path: directory.path)
            let (snapshot, other) = (try reader.snapshot(), expected.snapshot)
            #expect(snapshot.active == other.active)
            #expect(snapshot.reversals == other.reversals)
            #expect(snapshot.fences == other.fences)
            #expect(snapshot.log == Sample.log)
            #expect(snapshot.owner == other.owner)
            #expect(snapshot.nextLSN == other.nextLSN)
            var records: [LogRecord] = []
            try reader.forEachRecord { record in
                records.append(record.record)
                return true
            }
            #expect(records == expected.records)
            for number in 1...4 as ClosedRange<UInt64> {
                let request = Sample.intent(number).requestID
                #expect(try reader.lookUp(request)?.status == expected.statuses[Int(number) - 1])
            }
            #expect(try reader.verify().isSound)
        }
        let test = try TestLog(in: directory)
        #expect(test.log.owner.epoch == Epoch(rawValue: 2))
        try await test.takeAll(.end(Sample.end(1, .committed)))
        test.log.close()
        #expect(try LogReader(path: directory.path).verify().isSound)
    }

    /// Goal: of the golden log with a damaged page of data everything else is still told, and nothing crashes. The
    /// damage is made in the copy: the last byte of the first BEGIN's stored intent.
    @Test func damagedGoldenLogIsReadAroundTheDamage() async throws {
        var golden = try await Self.goldenLog()
        let begin = RecordCodec.encode(.begin(Sample.begin(1)), lsn: LSN(rawValue: 2), writtenAt: Sample.startedAt)
        var hits = 0
        while let range = golden.range(of: Data(begin)) {
            golden[range.upperBound - 1] ^= 0xFF
            hits += 1
        }
        #expect(hits >= 1)
        let directory = try TestDirectory()
        try golden.write(to: URL(fileURLWithPath: directory.path + "/data.mdb"))
        let reader = try LogReader(path: directory.path)
        let verification = try reader.verify()
        #expect(verification.findings.contains { $0.database == "records" && $0.key == "0000000000000002" })
        #expect(try reader.snapshot().active.count == 2)
    }

    private static func goldenLog() async throws -> Data {
        let written = try await writeLog()
        return try fixture("data.mdb") { written.file }
    }

    private struct Written {
        let snapshot: LogSnapshot
        let records: [LogRecord]
        let statuses: [RequestEntry.Status?]
        let file: Data
    }

    /// The same steps with the same clock and numbers give the same log.
    private static func writeLog() async throws -> Written {
        let test = try TestLog()
        let (first, second) = (DatabaseIndex(rawValue: 1), DatabaseIndex(rawValue: 2))
        let identity = DatabaseIdentity(systemIdentifier: 7_300_000_000_000_000_001, databaseOID: 16_384)
        try await test.takeAll(
            .begin(Sample.begin(1)), .begin(Sample.begin(2)), .begin(Sample.begin(3)), .begin(Sample.begin(4)),
            .fenceAttempted(first, test.log.owner), .fenceConfirmed(first, identity, test.log.owner),
            .fenceAttempted(second, test.log.owner))
        try await test.takeAll(
            .commit(Sample.commit(1)), .acknowledged(Sample.acknowledged(1, .database(first))),
            .abort(Sample.abort(2)), .end(Sample.end(2, .aborted)),
            .reversalRefused(
                ReversalRefusedRecord(transaction: Sample.transaction(2), refusals: 1, reason: "unknown terminal")),
            .abort(Sample.abort(3, claim: .madeBy(Sample.transaction(1)), reversed: false)),
            .park(Sample.park(3)), .commit(Sample.commit(4)), .end(Sample.end(4, .committed)))
        let snapshot = try test.log.snapshot()
        let statuses = try (1...4 as ClosedRange<UInt64>).map {
            try test.log.lookUp(Sample.intent($0).requestID)?.status
        }
        test.log.close()
        var records: [LogRecord] = []
        do {
            try LogReader(path: test.directory.path).forEachRecord { record in
                records.append(record.record)
                return true
            }
        }
        let file = try Data(contentsOf: URL(fileURLWithPath: test.directory.path + "/data.mdb"))
        return Written(snapshot: snapshot, records: records, statuses: statuses, file: file)
    }

    /// One of each kind, and each alternative within them.
    private static func values() -> [(String, [UInt8])] {
        let pair = FencePair(epoch: Epoch(rawValue: 3), incarnation: Incarnation(rawValue: 0x0123_4567_89AB_CDEF))
        let (id, other) = (Sample.transaction(1), Sample.transaction(2))
        let database = Participant.database(DatabaseIndex(rawValue: 2))
        var parkedTask = Sample.reversal(1)
        parkedTask.refusals = 6
        parkedTask.parkedReason = "refused"
        let records: [(String, LogRecord)] = [
            ("record.server_started", .serverStarted(pair)), ("record.begin", .begin(Sample.begin(1))),
            ("record.commit", .commit(Sample.commit(1))), ("record.abort.declined", .abort(Sample.abort(1))),
            ("record.abort.released", .abort(Sample.abort(1, claim: .released, reversed: false))),
            ("record.abort.made_by", .abort(Sample.abort(1, claim: .madeBy(other), reversed: false))),
            ("record.acknowledged.clearing", .acknowledged(Sample.acknowledged(1))),
            ("record.acknowledged.database", .acknowledged(Sample.acknowledged(1, database))),
            ("record.end", .end(Sample.end(1, .committed))), ("record.parked", .parked(Sample.park(1))),
            (
                "record.reversal_refused",
                .reversalRefused(ReversalRefusedRecord(transaction: id, refusals: 2, reason: "no"))
            ),
            ("record.reversal_closed", .reversalClosed(ReversalClosedRecord(transaction: id))),
            ("record.reversal_parked", .reversalParked(ReversalParkedRecord(transaction: id, reason: "no"))),
        ]
        let statuses: [(String, RequestEntry.Status)] = [
            ("preparing", .preparing), ("committing", .committing), ("approved", .approved),
            ("declined", .declined(.clearingDeclined)), ("made_by", .madeBy(other)), ("heuristic", .heuristic),
        ]
        func at<Record>(_ lsn: UInt64, _ record: Record) -> Durable<Record> {
            Durable(attestedByLog: record, lsn: LSN(rawValue: lsn), writtenAt: Sample.startedAt)
        }
        func active(
            _ decision: ActiveTransaction.Decision, _ proofs: [Participant: Proof] = [:],
            _ parked: Durable<ParkedRecord>? = nil
        ) -> [UInt8] {
            StateCodec.encode(
                ActiveTransaction(
                    begin: at(2, Sample.begin(1)), decision: decision, acknowledged: proofs, parked: parked))
        }
        let identity = DatabaseIdentity(systemIdentifier: 7_300_000_000_000_000_001, databaseOID: 16_384)
        let reference = Sample.intent(1, reference: "request-0")
        return records.map { ($0, RecordCodec.encode($1, lsn: LSN(rawValue: 5), writtenAt: Sample.startedAt)) }
            + statuses.map { name, status in
                (
                    "request." + name,
                    StateCodec.encode(RequestEntry(transaction: id, intent: Sample.intent(1), status: status))
                )
            } + [
                (
                    "request.capture",
                    StateCodec.encode(RequestEntry(transaction: id, intent: reference, status: .approved))
                ),
                ("active.undecided", active(.undecided)),
                (
                    "active.commit",
                    active(.commit(at(3, Sample.commit(1))), [database: .witness, .clearing: .acknowledgement])
                ),
                ("active.abort", active(.abort(at(3, Sample.abort(1))), [database: .absence], at(4, Sample.park(1)))),
                ("reversal.open", StateCodec.encode(Sample.reversal(1))),
                ("reversal.parked", StateCodec.encode(parkedTask)), ("meta.format", MetaCodec.encodeFormat(1)),
                ("meta.log", MetaCodec.encode(Sample.log)), ("meta.owner", MetaCodec.encode(pair)),
                ("meta.next_lsn", MetaCodec.encodeNext(LSN(rawValue: 9))),
                (
                    "meta.fence",
                    MetaCodec.encode(
                        DatabaseFence(
                            database: DatabaseIndex(rawValue: 1), identity: identity, confirmed: pair, attempted: [pair]
                        ))
                ),
                (
                    "quarantine",
                    MetaCodec.encode(
                        QuarantinedValue(
                            database: "active", key: [1, 2, 3], bytes: [4, 5], reason: "its checksum does not match",
                            foundAt: Sample.startedAt))
                ),
            ]
    }
}
