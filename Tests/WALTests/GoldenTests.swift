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
    private static func fixtures(_ version: UInt8) -> URL {
        URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("fixtures/logs/v\(version)")
    }

    private static func fixture(
        _ name: String, version: UInt8 = LogFormat.current, make: () throws -> Data
    ) throws -> Data {
        let fixtures = fixtures(version)
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

    /// Goal: every value of the version before is read as what it was written from.
    @Test func formerValuesAreRead() throws {
        let former = LogFormat.oldestReadable
        let text = try Self.fixture("values.txt", version: former) { throw CancellationError() }
        let current = Dictionary(uniqueKeysWithValues: Self.values())
        var read = 0
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: " ")
            let name = String(parts[0])
            let old = try #require(Self.bytes(hex: parts[1]))
            let new = try #require(current[name])
            #expect(old[0] == former)
            #expect(try Self.decoded(old) == Self.decoded(new), "\(name)")
            read += 1
        }
        #expect(read > 30)
    }

    private static func bytes(hex: Substring) -> [UInt8]? {
        let digits = Array(hex)
        let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
            UInt8(String(digits[$0...($0 + 1)]), radix: 16)
        }
        return bytes.count * 2 == digits.count ? bytes : nil
    }

    /// Whatever the value is, in a form that can be compared.
    private static func decoded(_ value: [UInt8]) throws -> AnyHashable {
        let id = Sample.transaction(1)
        return try value.withUnsafeBytes { bytes -> AnyHashable in
            switch try #require(ValueKind(rawValue: bytes[1])) {
            case .formatMarker: try MetaCodec.decodeFormat(bytes)
            case .logIdentity: try MetaCodec.decodeLog(bytes)
            case .owner: try MetaCodec.decodeOwner(bytes)
            case .nextLSN: try MetaCodec.decodeNext(bytes)
            case .fence: try MetaCodec.decodeFence(bytes, of: DatabaseIndex(rawValue: 1))
            case .continuity: try MetaCodec.decodeBreak(bytes)
            case .wholeSince: try MetaCodec.decodeWholeSince(bytes)
            case .age: try MetaCodec.decodeAge(bytes)
            case .activeTransaction: try StateCodec.decodeActive(bytes, of: id)
            case .requestEntry: try StateCodec.decodeRequest(bytes, of: Sample.intent(1).requestID)
            case .reversalTask: try StateCodec.decodeReversal(bytes, of: id)
            case .quarantined: try MetaCodec.decodeQuarantined(bytes)
            case .serverStarted, .begin, .commit, .abort, .acknowledged, .end, .parked, .reversalRefused,
                .reversalClosed, .reversalParked, .resolutionProposed, .resolved, .adopted, .reopened,
                .reversalReleased, .quarantineReleased, .broken, .reconciled:
                try RecordCodec.decode(bytes, at: LSN(rawValue: 5)).record
            }
        }
    }

    /// Goal: a log that an earlier build wrote is read with everything in it, is sound, and can be taken over.
    @Test(arguments: LogFormat.oldestReadable...LogFormat.current)
    func goldenLogIsRead(version: UInt8) async throws {
        let golden = try await Self.goldenLog(version)
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
        var golden = try await Self.goldenLog(LogFormat.current)
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

    private static func goldenLog(_ version: UInt8) async throws -> Data {
        let written = try await writeLog()
        return try fixture("data.mdb", version: version) { written.file }
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
        let loss = LogBreak(cause: .restored, firstLostEpoch: Epoch(rawValue: 2), at: Sample.startedAt)
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
            ("record.resolution_proposed", .resolutionProposed(Sample.resolution(1, .aborted))),
            ("record.resolved", .resolved(Sample.resolution(1, .committed, isForced: true))),
            (
                "record.adopted",
                .adopted(
                    AdoptionRecord(
                        begin: Sample.begin(1), outcome: .committed,
                        warrant: Warrant(.evidence, actor: "recover", reason: "its row is committed in db1")))
            ),
            (
                "record.reopened",
                .reopened(
                    ReopenedRecord(
                        transaction: id, database: DatabaseIndex(rawValue: 2), isParked: true,
                        evidence: "neither branch nor row"))
            ),
            (
                "record.reversal_released",
                .reversalReleased(ReversalReleasedRecord(transaction: id, warrant: Sample.warrant))
            ),
            (
                "record.quarantine_released",
                .quarantineReleased(
                    QuarantineReleasedRecord(number: 7, wasRestored: true, warrant: Sample.warrant))
            ),
            ("record.broken", .broken(loss)), ("record.reconciled", .reconciled(Sample.warrant)),
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
            _ parkings: [Durable<ParkedRecord>] = [], _ proposal: Durable<ResolutionRecord>? = nil
        ) -> [UInt8] {
            StateCodec.encode(
                ActiveTransaction(
                    begin: at(2, Sample.begin(1)), decision: decision, acknowledged: proofs, parkings: parkings,
                    proposal: proposal))
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
                ("active.abort", active(.abort(at(3, Sample.abort(1))), [database: .absence], [at(4, Sample.park(1))])),
                (
                    "active.parked_twice",
                    active(
                        .commit(at(3, Sample.commit(1))), [database: .accepted],
                        [
                            at(4, Sample.park(1)),
                            at(5, ParkedRecord(transaction: id, participant: .clearing, evidence: "refused")),
                        ], at(6, Sample.resolution(1, .aborted, isForced: true)))
                ),
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
                    "meta.fence.former",
                    MetaCodec.encode(
                        DatabaseFence(
                            database: DatabaseIndex(rawValue: 1), identity: identity, confirmed: pair,
                            former: [FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 9))],
                            position: DatabasePosition(timeline: 2, walBytes: 0x1_6000_0028), takesOver: true))
                ),
                ("meta.broken", MetaCodec.encode(loss)),
                ("meta.whole_since", MetaCodec.encodeWholeSince(Epoch(rawValue: 1_900_000_000))),
                (
                    "quarantine",
                    MetaCodec.encode(
                        QuarantinedValue(
                            database: "active", key: [1, 2, 3], bytes: [4, 5], reason: "its checksum does not match",
                            foundAt: Sample.startedAt))
                ),
                (
                    "meta.age",
                    MetaCodec.encode(
                        LogAge(
                            age: .seconds(90_000),
                            marks: [
                                .init(age: .seconds(1), end: LSN(rawValue: 5)),
                                .init(age: .seconds(1801), end: LSN(rawValue: 77)),
                            ], trimmedUntil: Sample.startedAt))
                ),
            ]
    }
}
