import Coordinator
import Payments
import Testing

@testable import WAL

@Suite("Verification: every kind of damage is named with its place, and nothing else is")
struct VerificationTests {
    /// What is compared of a finding.
    struct Named: Hashable, CustomStringConvertible {
        let database: String
        let key: String
        let lsn: UInt64?
        let transaction: TransactionID?

        init(_ database: String, _ key: [UInt8], lsn: UInt64? = nil, of number: UInt64? = nil) {
            self.database = database
            self.key = hexadecimal(key)
            self.lsn = lsn
            transaction = number.map(Sample.transaction)
        }

        init(_ finding: LogVerification.Finding) {
            database = finding.database
            key = finding.key
            lsn = finding.lsn?.rawValue
            transaction = finding.transaction
        }

        var description: String { "\(database) \(key) \(lsn ?? 0) \(transaction?.description ?? "-")" }

        static func record(_ lsn: UInt64, of number: UInt64?) -> Named {
            Named("records", Keys.record(LSN(rawValue: lsn)), lsn: lsn, of: number)
        }
        static func active(_ number: UInt64) -> Named {
            Named("active", Keys.transaction(Sample.transaction(number)), of: number)
        }
        static func reversal(_ number: UInt64) -> Named {
            Named("reversals", Keys.transaction(Sample.transaction(number)), of: number)
        }
        static func request(_ number: UInt64, of owner: UInt64?) -> Named {
            Named("requests", Keys.request(Sample.intent(number).requestID), of: owner)
        }
        static func meta(_ key: [UInt8], lsn: UInt64? = nil) -> Named { Named("meta", key, lsn: lsn) }
    }

    /// Every state that a transaction can be left in.
    ///
    /// 1: start. 2 to 4: transaction 1, committing. 5 to 8: transaction 2, aborted with an open reversal. 9 to 11:
    /// transaction 3, committed. 12: transaction 4, undecided. 13 to 15: transaction 5, parked. 16 to 18: transaction
    /// 6, released. 19 to 22: transaction 7, its reversal closed.
    private static func makeLog() async throws -> TestLog {
        let test = try TestLog()
        try await test.takeAll(
            .begin(Sample.begin(1)), .commit(Sample.commit(1)), .acknowledged(Sample.acknowledged(1)),
            .begin(Sample.begin(2)), .abort(Sample.abort(2)), .end(Sample.end(2, .aborted)),
            .reversalRefused(
                ReversalRefusedRecord(transaction: Sample.transaction(2), refusals: 1, reason: "unknown terminal")))
        try await test.takeAll(
            .begin(Sample.begin(3)), .commit(Sample.commit(3)), .end(Sample.end(3, .committed)),
            .begin(Sample.begin(4)), .begin(Sample.begin(5)), .commit(Sample.commit(5)), .park(Sample.park(5)),
            .begin(Sample.begin(6)), .abort(Sample.abort(6, claim: .released, reversed: false)),
            .end(Sample.end(6, .aborted)))
        try await test.takeAll(
            .begin(Sample.begin(7)), .abort(Sample.abort(7)), .end(Sample.end(7, .aborted)),
            .closeReversal(ReversalClosedRecord(transaction: Sample.transaction(7))))
        return test
    }

    private static func verify(_ test: TestLog) throws -> LogVerification {
        test.log.close()
        return try LogReader(path: test.directory.path).verify()
    }

    /// Verifies after `damage`.
    private static func findings(
        after damage: (TestLog) throws -> Void
    ) async throws -> (named: Set<Named>, reasons: [String]) {
        let test = try await makeLog()
        try damage(test)
        let found = try verify(test)
        #expect(found.findings.count == found.findingCount)
        return (Set(found.findings.map(Named.init)), found.findings.map(\.reason))
    }

    private static func record(_ record: LogRecord, at lsn: UInt64) -> [UInt8] {
        RecordCodec.encode(record, lsn: LSN(rawValue: lsn), writtenAt: Sample.startedAt)
    }

    @Test("Goal: a sound log is sound, in every state of its transactions, and everything in it was counted")
    func sound() async throws {
        let found = try Self.verify(try await Self.makeLog())
        #expect(found.findings.isEmpty)
        #expect(found.isSound)
        #expect(found.records == 22)
        #expect((found.firstLSN?.rawValue, found.lastLSN?.rawValue) == (1, 22))
        #expect((found.active, found.requests, found.reversals) == (3, 6, 1))
    }

    @Test("Goal: a flipped bit in a record names the record, whichever it is, and nothing that follows from it")
    func flippedRecord() async throws {
        let owners: [UInt64?] =
            [nil] + [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 7]
        for (index, owner) in owners.enumerated() {
            let lsn = UInt64(index) + 1
            let found = try await Self.findings { try Self.flip($0, lsn, byte: 20) }
            #expect(found.named == [.record(lsn, of: owner)], "LSN \(lsn): \(found.reasons)")
            #expect(found.reasons.first?.contains("checksum") == true)
        }
    }

    @Test("Goal: of a record whose transaction is damaged nobody is blamed, and what lacks the record is told")
    func flippedTransaction() async throws {
        // The closing of the reversal of transaction 7 ends with that number.
        let found = try await Self.findings { try Self.flip($0, 22, byte: 41) }
        #expect(found.named == [.record(22, of: nil), .reversal(7)], "\(found.reasons)")
    }

    /// - Parameter byte: 18 to 25 are the record's time, 26 to 41 its transaction.
    private static func flip(_ test: TestLog, _ lsn: UInt64, byte: Int) throws {
        try test.rewrite(\.records, Keys.record(LSN(rawValue: lsn))) { bytes in
            var bytes = bytes
            bytes[byte] ^= 0x10
            return bytes
        }
    }

    @Test("Goal: a flipped bit in a state, a claim, a task or a value of the log itself names it alone")
    func flippedIndex() async throws {
        for number in [1, 4, 5] as [UInt64] {
            let found = try await Self.findings {
                try $0.damage(\.active, Keys.transaction(Sample.transaction(number)))
            }
            #expect(found.named == [.active(number)], "\(found.reasons)")
        }
        for number in [1, 2, 3, 4, 5, 7] as [UInt64] {
            let found = try await Self.findings {
                try $0.damage(\.requests, Keys.request(Sample.intent(number).requestID))
            }
            #expect(found.named == [.request(number, of: nil)], "\(found.reasons)")
        }
        let task = try await Self.findings { try $0.damage(\.reversals, Keys.transaction(Sample.transaction(2))) }
        #expect(task.named == [.reversal(2)], "\(task.reasons)")
        for key in [Keys.log, Keys.owner, Keys.nextLSN] {
            let found = try await Self.findings { try $0.damage(\.meta, key) }
            #expect(found.named == [.meta(key)], "\(found.reasons)")
        }
    }

    @Test("Goal: a record that is missing in the middle, or at the tail, is named by its place")
    func missingRecord() async throws {
        // Trimming would have dropped the start before any of them.
        let middle = try await Self.findings { try $0.remove(\.records, Keys.record(LSN(rawValue: 10))) }
        #expect(middle.named == [.record(10, of: nil)], "\(middle.reasons)")
        let decision = try await Self.findings { try $0.remove(\.records, Keys.record(LSN(rawValue: 3))) }
        #expect(decision.named == [.record(3, of: nil), .active(1)], "\(decision.reasons)")
        let tail = try await Self.findings {
            for lsn in 20...22 as ClosedRange<UInt64> { try $0.remove(\.records, Keys.record(LSN(rawValue: lsn))) }
        }
        #expect(tail.named.contains(.meta(Keys.nextLSN, lsn: 20)), "\(tail.reasons)")
    }

    @Test("Goal: a decision that was swapped for the other one is named where it contradicts")
    func swappedDecision() async throws {
        let ended = try await Self.findings {
            try $0.rewrite(\.records, Keys.record(LSN(rawValue: 10))) { _ in
                Self.record(.abort(Sample.abort(3, reversed: false)), at: 10)
            }
        }
        #expect(ended.named.contains(.record(11, of: 3)), "\(ended.reasons)")
        #expect(ended.reasons.contains("END says committed, the decision at LSN 10 is ABORT"))
        let active = try await Self.findings {
            try $0.rewrite(\.records, Keys.record(LSN(rawValue: 3))) { _ in
                Self.record(.abort(Sample.abort(1, reversed: false)), at: 3)
            }
        }
        #expect(active.named.contains(.active(1)), "\(active.reasons)")
        #expect(active.reasons.contains("its decision is COMMIT at LSN 3, the history has ABORT at LSN 3"))
    }

    @Test("Goal: a state without history, and history without a state, are named by the state's key")
    func activeAgainstHistory() async throws {
        let invented = try await Self.findings { test in
            let begin = Durable(
                attestedByLog: Sample.begin(99), lsn: LSN(rawValue: 12), writtenAt: Sample.startedAt)
            let state = ActiveTransaction(begin: begin, decision: .undecided, acknowledged: [:])
            try test.insert(\.active, Keys.transaction(Sample.transaction(99)), StateCodec.encode(state))
        }
        #expect(invented.named == [.active(99)], "\(invented.reasons)")
        for number in [1, 4, 5] as [UInt64] {
            let lost = try await Self.findings {
                try $0.remove(\.active, Keys.transaction(Sample.transaction(number)))
            }
            #expect(lost.named == [.active(number)], "\(lost.reasons)")
        }
        let stale = try await Self.findings { test in
            try test.rewriteActive(1) { $0.acknowledged = [:] }
            try test.rewriteActive(5) { $0.parkings = [] }
        }
        #expect(stale.named == [.active(1), .active(5)], "\(stale.reasons)")
        let undecided = try await Self.findings { try $0.rewriteActive(1) { $0.decision = .undecided } }
        #expect(undecided.named == [.active(1)], "\(undecided.reasons)")
        #expect(undecided.reasons == ["it is undecided, the history has COMMIT at LSN 3"])
    }

    @Test("Goal: a claim that is missing, points nowhere or says something else is named by its request_id")
    func requestsAgainstHistory() async throws {
        for number in [1, 2, 3, 4, 5] as [UInt64] {
            let lost = try await Self.findings {
                try $0.remove(\.requests, Keys.request(Sample.intent(number).requestID))
            }
            let owner: UInt64 = number
            #expect(lost.named == [.request(number, of: owner)], "\(lost.reasons)")
        }
        let nowhere = try await Self.findings { test in
            let entry = RequestEntry(transaction: Sample.transaction(99), intent: Sample.intent(99), status: .approved)
            try test.insert(\.requests, Keys.request(Sample.intent(99).requestID), StateCodec.encode(entry))
        }
        #expect(nowhere.named == [.request(99, of: 99)], "\(nowhere.reasons)")
        let wrong = try await Self.findings { test in
            try test.rewriteRequest(3, .declined(.databaseError))
            try test.rewriteRequest(1, .approved)
            try test.rewriteRequest(2, .approved)
        }
        #expect(wrong.named == [.request(1, of: 1), .request(2, of: 2), .request(3, of: 3)], "\(wrong.reasons)")
    }

    @Test("Goal: a reversal that is lost, invented or otherwise than its history is named by its transaction")
    func reversalsAgainstHistory() async throws {
        let lost = try await Self.findings { try $0.remove(\.reversals, Keys.transaction(Sample.transaction(2))) }
        #expect(lost.named == [.reversal(2)], "\(lost.reasons)")
        for number in [3, 7, 99] as [UInt64] {
            let invented = try await Self.findings { test in
                try test.insert(
                    \.reversals, Keys.transaction(Sample.transaction(number)),
                    StateCodec.encode(Sample.reversal(number)))
            }
            #expect(invented.named == [.reversal(number)], "\(invented.reasons)")
        }
        let changed = try await Self.findings { test in
            var task = Sample.reversal(2)
            task.refusals = 4
            try test.rewrite(\.reversals, Keys.transaction(Sample.transaction(2))) { _ in StateCodec.encode(task) }
        }
        #expect(changed.named == [.reversal(2)], "\(changed.reasons)")
    }

    @Test("Goal: a value that was set aside stays a finding, with its number, its old place and its transaction")
    func setAside() async throws {
        let test = try await Self.makeLog()
        try test.damage(\.active, Keys.transaction(Sample.transaction(1)))
        try test.damage(\.reversals, Keys.transaction(Sample.transaction(2)))
        test.log.close()
        let again = try TestLog(in: test.directory)
        let found = try Self.verify(again)
        #expect(Set(found.findings.map(Named.init)) == [.active(1), .reversal(2)], "\(found.findings)")
        #expect(found.findings.map(\.quarantineNumber) == [1, 2])
        #expect(found.quarantined == 2)
    }

    @Test("Goal: an owner that did not start last is told")
    func wrongOwner() async throws {
        let found = try await Self.findings { test in
            try test.rewrite(\.meta, Keys.owner) { _ in
                MetaCodec.encode(FencePair(epoch: Epoch(rawValue: 9), incarnation: Incarnation(rawValue: 9)))
            }
        }
        #expect(found.named == [.meta(Keys.owner)], "\(found.reasons)")
    }
}

@Suite("Verification of trimmed and busy logs: what trimming explains is no finding")
struct VerificationOfTrimmedLogsTests {
    @Test("Goal: at every stage of trimming, between unfinished and finished transactions, the log is sound")
    func everyStageOfTrimming() async throws {
        let test = try TestLog()
        for number in 1...30 as ClosedRange<UInt64> {
            try await test.takeAll(.begin(Sample.begin(number)))
            switch number % 6 {
            case 0: break
            case 1: try await test.takeAll(.abort(Sample.abort(number)), .end(Sample.end(number, .aborted)))
            case 2: try await test.takeAll(.commit(Sample.commit(number)), .park(Sample.park(number)))
            default:
                try await test.takeAll(.commit(Sample.commit(number)), .end(Sample.end(number, .committed)))
            }
        }
        test.clock.advance(seconds: 100)
        try await test.takeAll(.begin(Sample.begin(100)))
        for stage in 0..<20 {
            let found = try await test.verifyCopy()
            #expect(found.isSound, "after \(stage) trims: \(found.findings)")
            // What was unfinished when trimming passed it finishes now, so that it stays behind a gap.
            let number = UInt64(stage)
            switch number % 6 {
            case 0 where number > 0:
                try await test.takeAll(.commit(Sample.commit(number)), .end(Sample.end(number, .committed)))
            case 1:
                try await test.takeAll(.closeReversal(ReversalClosedRecord(transaction: Sample.transaction(number))))
            case 2: try await test.takeAll(.end(Sample.end(number, .committed)))
            default: break
            }
            _ = await test.trim(stepsMax: 7)
        }
        test.log.close()
    }

    @Test("Goal: a record that is lost behind the trimmed head is found all the same")
    func lossBehindTheHead() async throws {
        let test = try TestLog()
        for number in 1...5 as ClosedRange<UInt64> {
            try await test.takeAll(
                .begin(Sample.begin(number)), .commit(Sample.commit(number)), .end(Sample.end(number, .committed)))
        }
        test.clock.advance(seconds: 100)
        for number in 6...8 as ClosedRange<UInt64> {
            try await test.takeAll(
                .begin(Sample.begin(number)), .commit(Sample.commit(number)), .end(Sample.end(number, .committed)))
        }
        #expect(await test.trim() == 16)
        // The second record of transaction 8.
        try test.remove(\.records, Keys.record(LSN(rawValue: 24)))
        test.log.close()
        let found = try LogReader(path: test.directory.path).verify()
        #expect(found.findings.map(\.lsn?.rawValue) == [24])
        #expect(found.findings.first?.reason.contains("LSN 22") == true, "\(found.findings)")
    }

    @Test("Goal: a record that trimming has set aside is told as that, and its place is no gap")
    func setAsideByTrimming() async throws {
        let test = try TestLog()
        for number in 1...2 as ClosedRange<UInt64> {
            try await test.takeAll(
                .begin(Sample.begin(number)), .commit(Sample.commit(number)), .end(Sample.end(number, .committed)))
        }
        try await test.takeAll(.begin(Sample.begin(3)))
        try test.damage(\.records, Keys.record(LSN(rawValue: 6)))
        test.clock.advance(seconds: 100)
        try await test.takeAll(.begin(Sample.begin(4)))
        _ = await test.trim()
        test.log.close()
        let found = try LogReader(path: test.directory.path).verify()
        #expect(found.findings.map(\.lsn?.rawValue) == [6])
        #expect(found.findings.map(\.quarantineNumber) == [1])
        #expect(found.findings.map(\.transaction) == [Sample.transaction(2)])
    }

    @Test("Goal: beside a busy writer that trims as it goes, every look finds a sound log")
    func besideABusyWriter() async throws {
        let test = try TestLog()
        var number: UInt64 = 0
        for round in 0..<15 {
            let writes = (1...200 as ClosedRange<UInt64>).flatMap { offset -> [LogWrite] in
                let id = number + offset
                return [.begin(Sample.begin(id)), .commit(Sample.commit(id)), .end(Sample.end(id, .committed))]
            }
            number += 200
            async let answers = test.takeTogether(writes)
            let found = try await test.verifyCopy()
            #expect(found.isSound, "round \(round): \(found.findings)")
            #expect(await answers.allSatisfy { $0.isTaken })
            test.clock.advance(seconds: 10)
            if round % 3 == 2 { _ = await test.trim(stepsMax: 500) }
        }
        test.log.close()
    }
}
