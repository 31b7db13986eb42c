import Payments
import Testing

@testable import Coordinator

/// Histories in short: what a test writes, record by record.
private struct History {
    private(set) var check: HistoryCheck
    private(set) var reasons: [String] = []
    var gaps: [HistoryCheck.Gap] { check.gaps }
    private var lsn: UInt64 = 0

    init(kept: Set<TransactionID> = [], rememberedMin: Int = 100) {
        check = HistoryCheck(kept: kept, rememberedMin: rememberedMin)
    }

    mutating func take(_ records: LogRecord...) {
        for record in records {
            let place = step()
            let taken = check.take(record, at: place, writtenAt: WallTime(microseconds: Int64(lsn)))
            if let violation = taken.violation { reasons.append("\(violation.lsn): \(violation.reason)") }
        }
    }

    /// Records that are not there.
    mutating func skip(_ count: UInt64) { lsn += count }

    mutating func takeUnreadable() { check.passUnreadable(at: step()) }

    private mutating func step() -> LSN {
        lsn += 1
        check.advance(to: LSN(rawValue: lsn)) { _ in true }
        return LSN(rawValue: lsn)
    }
}

@Suite("A history's check tells what the protocol cannot have written")
struct HistoryCheckTests {
    private static let database = Participant.database(DatabaseIndex(rawValue: 1))

    private static func start(_ epoch: UInt64) -> LogRecord {
        .serverStarted(FencePair(epoch: Epoch(rawValue: epoch), incarnation: Incarnation(rawValue: epoch)))
    }
    private static func begin(_ number: UInt64, epoch: UInt64 = 1) -> LogRecord {
        .begin(Samples.begin(Samples.transactionID(number), epoch: epoch))
    }
    private static func commit(_ number: UInt64) -> LogRecord {
        .commit(CommitRecord(transaction: Samples.transactionID(number), authorizationCode: "A1"))
    }
    private static func abort(_ number: UInt64, reversed: Bool = false) -> LogRecord {
        let id = Samples.transactionID(number)
        return .abort(
            AbortRecord(
                transaction: id, reason: .databaseError, claim: .declined,
                reversal: reversed ? Samples.reversal(id) : nil))
    }
    private static func done(_ number: UInt64, _ participant: Participant = database) -> LogRecord {
        .acknowledged(
            AcknowledgedRecord(
                transaction: Samples.transactionID(number), participant: participant, proof: .acknowledgement))
    }
    private static func end(_ number: UInt64, _ outcome: Outcome, request: String = "order-1") -> LogRecord {
        guard let requestID = RequestID(request) else { preconditionFailure("the sample's own texts are valid") }
        return .end(EndRecord(transaction: Samples.transactionID(number), requestID: requestID, outcome: outcome))
    }
    private static func parked(_ number: UInt64) -> LogRecord {
        .parked(ParkedRecord(transaction: Samples.transactionID(number), participant: .clearing, evidence: "gone"))
    }
    private static func refused(_ number: UInt64) -> LogRecord {
        .reversalRefused(
            ReversalRefusedRecord(transaction: Samples.transactionID(number), refusals: 1, reason: "no"))
    }
    private static func closed(_ number: UInt64) -> LogRecord {
        .reversalClosed(ReversalClosedRecord(transaction: Samples.transactionID(number)))
    }

    @Test("Goal: what the protocol writes is legal, and of what is finished only the outcome is kept")
    func legalHistories() {
        var history = History()
        history.take(
            Self.start(1), Self.begin(1), Self.commit(1), Self.done(1), Self.parked(1), Self.done(1, .clearing),
            Self.end(1, .committed))
        history.take(
            Self.begin(2), Self.abort(2, reversed: true), Self.refused(2), Self.end(2, .aborted), Self.refused(2),
            .reversalParked(ReversalParkedRecord(transaction: Samples.transactionID(2), reason: "six refusals")),
            Self.closed(2))
        history.take(
            Self.start(2), Self.begin(3, epoch: 2), Self.begin(4), Self.abort(4, reversed: true), Self.end(4, .aborted))
        #expect(history.reasons.isEmpty)
        #expect(history.gaps.isEmpty)
        #expect(Set(history.check.unfinished.keys) == [Samples.transactionID(3), Samples.transactionID(4)])
        #expect(history.check.finishedOutcome(of: Samples.transactionID(1)) == .committed)
        #expect(history.check.finishedOutcome(of: Samples.transactionID(2)) == .aborted)
    }

    @Test("Goal: each rule is told with the place where it is broken", arguments: Self.broken)
    func brokenRule(_ sample: Broken) {
        var history = History()
        for record in sample.records { history.take(record) }
        #expect(history.reasons == [sample.reason])
    }

    struct Broken: Sendable, CustomTestStringConvertible {
        let records: [LogRecord]
        let reason: String
        var testDescription: String { reason }
    }

    static let broken: [Broken] = [
        Broken(records: [start(2), start(2)], reason: "2: a start with epoch 2 after epoch 2 at LSN 1"),
        Broken(records: [start(1), begin(1, epoch: 2)], reason: "2: BEGIN of epoch 2 in epoch 1"),
        Broken(records: [begin(1), begin(1)], reason: "2: a second BEGIN, the first is at LSN 1"),
        Broken(records: [commit(1)], reason: "1: COMMIT without BEGIN"),
        Broken(records: [abort(1)], reason: "1: ABORT without BEGIN"),
        Broken(records: [parked(1)], reason: "1: parked without BEGIN"),
        Broken(records: [begin(1), commit(1), abort(1)], reason: "3: ABORT after COMMIT at LSN 2"),
        Broken(records: [begin(1), abort(1), commit(1)], reason: "3: COMMIT after ABORT at LSN 2"),
        Broken(records: [begin(1), commit(1), commit(1)], reason: "3: COMMIT after COMMIT at LSN 2"),
        Broken(records: [begin(1), done(1)], reason: "2: an acknowledgement before a decision"),
        Broken(
            records: [begin(1), commit(1), done(1, .database(DatabaseIndex(rawValue: 9)))],
            reason: "3: db9 is no participant of its transaction"),
        Broken(records: [begin(1), end(1, .committed)], reason: "2: END without a decision"),
        Broken(
            records: [begin(1), commit(1), end(1, .aborted)],
            reason: "3: END says aborted, the decision at LSN 2 is COMMIT"),
        Broken(
            records: [begin(1), abort(1), end(1, .committed)],
            reason: "3: END says committed, the decision at LSN 2 is ABORT"),
        Broken(
            records: [begin(1), commit(1), end(1, .committed, request: "order-2")],
            reason: "3: END of the request_id order-2, BEGIN was of order-1"),
        Broken(
            records: [begin(1), commit(1), end(1, .committed), done(1)],
            reason: "4: a record of a transaction that is finished"),
        Broken(
            records: [begin(1), abort(1, reversed: true), end(1, .aborted), commit(1)], reason: "4: COMMIT after END"),
        Broken(
            records: [begin(1), abort(1, reversed: true), end(1, .aborted), parked(1)], reason: "4: parked after END"),
        Broken(
            records: [begin(1), commit(1), refused(1)],
            reason: "3: a refusal of a reversal, the decision at LSN 2 is COMMIT"),
        Broken(
            records: [begin(1), abort(1), closed(1)],
            reason: "3: a closing of a reversal, the ABORT at LSN 2 has none"),
        Broken(records: [begin(1), closed(1)], reason: "2: a closing of a reversal, without an ABORT"),
        Broken(
            records: [begin(1), commit(1), parked(1), resolved(1, .aborted)],
            reason: "4: a resolution that contradicts the decision without force"),
        Broken(
            records: [begin(1), parked(1), resolved(1, .committed), done(1)],
            reason: "4: what was resolved as committed has no record of that decision behind it"),
        Broken(records: [begin(1), commit(1), reopened(1)], reason: "3: reopened before END"),
        Broken(
            records: [begin(1), abort(1, reversed: true), closed(1), closed(1)],
            reason: "4: a closing of a reversal that was closed before"),
    ]

    @Test("Goal: a head that was trimmed, with what trimming keeps left in it, breaks no rule")
    func trimmedHead() {
        var history = History()
        history.skip(10)
        // Still unfinished, so its records stayed; of the others the rest was dropped in the middle of a pass.
        history.take(Self.begin(1))
        history.skip(5)
        history.take(Self.commit(1))
        history.skip(3)
        history.take(Self.done(2), Self.end(2, .committed), Self.closed(3), Self.begin(4), Self.commit(4))
        #expect(history.reasons.isEmpty)
        #expect(history.gaps.isEmpty)
    }

    @Test(
        "Goal: what is left of an abort whose first records were trimmed breaks no rule, whether it had a reversal or not"
    )
    func trimmedAbort() {
        var history = History()
        history.skip(10)
        history.take(Self.end(1, .aborted), Self.refused(1), Self.closed(1))
        history.take(Self.refused(2), Self.end(2, .aborted), Self.closed(2), Self.end(3, .aborted))
        #expect(history.reasons.isEmpty)
        // Once its closing is there it is finished like any other.
        history.take(Self.closed(1))
        #expect(history.reasons == ["18: a record of a transaction that is finished"])
    }

    @Test("Goal: a record missing behind one that trimming drops first is a gap; behind what it keeps it is none")
    func gaps() {
        var history = History(kept: [Samples.transactionID(2)])
        history.take(Self.begin(1), Self.begin(2), Self.commit(2), Self.end(2, .committed))
        history.skip(1)
        // Kept for its value in the quarantine, so it proves nothing.
        #expect(history.gaps.isEmpty)
        history.take(Self.begin(3), Self.commit(3), Self.end(3, .committed))
        history.skip(2)
        history.take(Self.commit(1))
        #expect(history.gaps.map(\.first.rawValue) == [9])
        #expect(history.gaps.map(\.last.rawValue) == [10])
        #expect(history.gaps.map(\.survivor?.rawValue) == [8])
        #expect(history.reasons.isEmpty)
        // Unfinished again, so trimming has passed it by.
        history.take(Self.reopened(3))
        #expect(history.gaps.isEmpty)
    }

    @Test("Goal: orders and evidence: resolutions that turn a decision round, adoptions, reopened transactions")
    func interventions() {
        var history = History()
        history.take(
            Self.begin(1), Self.commit(1), Self.done(1), Self.parked(1), Self.proposed(1, .aborted),
            Self.resolved(1, .aborted, isForced: true), Self.abort(1, reversed: true))
        let trace = history.check.unfinished[Samples.transactionID(1)]
        #expect(trace?.acknowledged == [Self.database: .accepted])
        #expect(trace?.parkings == [] && trace?.proposal == nil)
        history.take(Self.closed(1), Self.end(1, .aborted))
        history.take(
            .adopted(
                AdoptionRecord(
                    begin: Samples.begin(Samples.transactionID(2)), outcome: .committed, warrant: Self.warrant)),
            Self.commit(2), Self.end(2, .committed), Self.reopened(2), Self.done(2), Self.end(2, .committed))
        history.take(
            Self.begin(3), Self.abort(3, reversed: true), Self.end(3, .aborted), Self.refused(3),
            .reversalReleased(
                ReversalReleasedRecord(transaction: Samples.transactionID(3), warrant: Self.warrant)))
        if case .open(let task) = history.check.unfinished[Samples.transactionID(3)]?.reversal {
            #expect(task.refusals == 0)
        } else {
            Issue.record("the reversal is not open")
        }
        #expect(history.reasons.isEmpty, "\(history.reasons)")
        history.take(Self.reopened(3))
        #expect(history.check.unfinished[Samples.transactionID(3)]?.outcome == nil)
        #expect(history.reasons.isEmpty, "\(history.reasons)")
    }

    private static let warrant = Warrant(.order, actor: "ann", reason: "the bank says so")
    private static func resolution(_ number: UInt64, _ outcome: Outcome, isForced: Bool) -> ResolutionRecord {
        ResolutionRecord(
            transaction: Samples.transactionID(number), outcome: outcome, isForced: isForced, warrant: warrant)
    }
    private static func resolved(_ number: UInt64, _ outcome: Outcome, isForced: Bool = false) -> LogRecord {
        .resolved(resolution(number, outcome, isForced: isForced))
    }
    private static func proposed(_ number: UInt64, _ outcome: Outcome) -> LogRecord {
        .resolutionProposed(resolution(number, outcome, isForced: true))
    }
    private static func reopened(_ number: UInt64) -> LogRecord {
        .reopened(
            ReopenedRecord(
                transaction: Samples.transactionID(number), database: DatabaseIndex(rawValue: 1), isParked: false,
                evidence: "prepared again"))
    }

    @Test("Goal: what follows from a record that cannot be read is not blamed on others, what does not follow is")
    func unreadable() {
        var history = History()
        history.take(Self.start(1))
        history.takeUnreadable()
        history.take(Self.commit(1), Self.end(1, .committed))
        history.take(Self.begin(2))
        history.takeUnreadable()
        history.take(Self.done(2), Self.end(2, .aborted))
        history.take(Self.commit(3), Self.abort(3))
        #expect(history.reasons == ["10: ABORT after COMMIT at LSN 9"])
        #expect(history.gaps.isEmpty)
    }

    @Test("Goal: only a bounded number of finished transactions is remembered, and it is known that some are not")
    func memory() {
        var history = History(rememberedMin: 10)
        for number in 1...20 as ClosedRange<UInt64> {
            history.take(Self.begin(number), Self.commit(number), Self.end(number, .committed))
        }
        #expect(!history.check.hasForgotten)
        for number in 21...40 as ClosedRange<UInt64> {
            history.take(Self.begin(number), Self.commit(number), Self.end(number, .committed))
        }
        #expect(history.check.hasForgotten)
        #expect(history.check.finishedOutcome(of: Samples.transactionID(1)) == nil)
        #expect(history.check.finishedOutcome(of: Samples.transactionID(31)) == .committed)
        // A record of a forgotten one may be anything.
        history.take(Self.done(1))
        #expect(history.reasons.isEmpty)
    }
}

@Suite("The log's answers about request_ids agree with its history")
struct RequestCheckTests {
    private static func trace(_ records: LogRecord...) throws -> TransactionTrace {
        var trace = TransactionTrace(Samples.transaction, isPartial: false)
        for (index, record) in records.enumerated() {
            let fault = trace.take(record, at: LSN(rawValue: UInt64(index) + 1), WallTime(microseconds: 0))
            try #require(fault == nil)
        }
        return trace
    }

    private static func entry(_ status: RequestEntry.Status, of number: UInt64 = 1) -> RequestEntry {
        RequestEntry(transaction: Samples.transactionID(number), intent: Samples.intent(), status: status)
    }

    @Test("Goal: each state of a transaction has its answer, and every other one is a fault")
    func answers() throws {
        let begin = LogRecord.begin(Samples.begin())
        let commit = LogRecord.commit(CommitRecord(transaction: Samples.transaction, authorizationCode: "A1"))
        func abort(_ claim: ClaimDisposition) -> LogRecord {
            .abort(
                AbortRecord(transaction: Samples.transaction, reason: .databaseError, claim: claim, reversal: nil))
        }
        let other = Samples.transactionID(7)
        let end = LogRecord.end(
            EndRecord(
                transaction: Samples.transaction, requestID: Samples.intent().requestID, outcome: .committed))
        let all: [RequestEntry.Status] = [
            .preparing, .committing, .approved, .declined(.databaseError), .declined(.clearingDeclined), .madeBy(other),
            .heuristic,
        ]
        let expected: [(TransactionTrace, [RequestEntry.Status])] = [
            (try Self.trace(begin), [.preparing]), (try Self.trace(begin, commit), [.preparing, .committing]),
            (try Self.trace(begin, commit, end), [.approved]),
            (try Self.trace(begin, abort(.declined)), [.declined(.databaseError)]),
            (try Self.trace(begin, abort(.madeBy(other))), [.madeBy(other)]),
            (try Self.trace(begin, abort(.released)), []),
        ]
        for (trace, statuses) in expected {
            for candidate in all {
                let fault = RequestCheck.fault(of: trace, entry: Self.entry(candidate))
                #expect((fault == nil) == statuses.contains(candidate), "\(candidate.name): \(fault ?? "no fault")")
            }
            #expect((RequestCheck.fault(of: trace, entry: nil) == nil) == statuses.isEmpty)
            #expect((RequestCheck.fault(of: trace, entry: Self.entry(.approved, of: 9)) == nil) == statuses.isEmpty)
        }
    }

    @Test("Goal: what gave its request_id up may stand for it again when it is parked or resolved, or another does")
    func answersAfterARelease() throws {
        let begin = LogRecord.begin(Samples.begin())
        let abort = LogRecord.abort(
            AbortRecord(transaction: Samples.transaction, reason: .databaseError, claim: .released, reversal: nil))
        let parked = LogRecord.parked(
            ParkedRecord(
                transaction: Samples.transaction, participant: .database(Samples.database(1)), evidence: "seen"))
        let resolved = LogRecord.resolved(
            ResolutionRecord(
                transaction: Samples.transaction, outcome: .committed, isForced: true,
                warrant: Warrant(.order, actor: "somebody", reason: "the row is there")))
        let commit = LogRecord.commit(CommitRecord(transaction: Samples.transaction, authorizationCode: ""))
        for (trace, own) in [
            (try Self.trace(begin, abort, parked), RequestEntry.Status.heuristic),
            (try Self.trace(begin, abort, parked, resolved, commit), .committing),
        ] {
            #expect(RequestCheck.fault(of: trace, entry: Self.entry(own)) == nil)
            #expect(RequestCheck.fault(of: trace, entry: Self.entry(.approved)) != nil)
            #expect(RequestCheck.fault(of: trace, entry: nil) == nil)
            #expect(RequestCheck.fault(of: trace, entry: Self.entry(.preparing, of: 9)) == nil)
        }
    }
}
