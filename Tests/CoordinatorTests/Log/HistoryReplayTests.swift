import Coordinator
import Payments
import Testing

/// A history replayed to a point shows the transaction as it was there.
@Suite struct HistoryReplayTests {
    private static let id = TransactionID(high: 1, low: 2)
    private static let db1 = Participant.database(DatabaseIndex(rawValue: 1))

    private static var begin: BeginRecord {
        BeginRecord(
            transaction: id, epoch: Epoch(rawValue: 1), intent: .nameless(id),
            branches: [
                Branch(participant: .clearing), Branch(participant: db1, role: [.payment, .merchantEntry]),
            ], deadline: WallTime(microseconds: 0))
    }

    private static func abort(reversal: Bool) -> AbortRecord {
        let task = ReversalTask(transaction: id, intent: .nameless(id), createdAt: WallTime(microseconds: 30))
        return AbortRecord(
            transaction: id, reason: .commitFailed, claim: .declined, reversal: reversal ? task : nil)
    }

    /// Each a record further and ten microseconds later, from LSN 1 on.
    private static func history(_ records: LogRecord...) -> [Placed<LogRecord>] {
        records.enumerated().map {
            Placed($1, lsn: LSN(rawValue: UInt64($0 + 1)), writtenAt: WallTime(microseconds: Int64($0 + 1) * 10))
        }
    }

    private static let committed = history(
        .begin(begin), .commit(CommitRecord(transaction: id, authorizationCode: "A1")),
        .acknowledged(AcknowledgedRecord(transaction: id, participant: db1, proof: .witness)),
        .acknowledged(AcknowledgedRecord(transaction: id, participant: .clearing, proof: .acknowledgement)),
        .end(EndRecord(transaction: id, requestID: begin.intent.requestID, outcome: .committed)))

    private static func replay(_ history: [Placed<LogRecord>], upTo lsn: UInt64) -> HistoryReplay? {
        HistoryReplay(of: id, history) { $0.lsn.rawValue <= lsn }
    }

    @Test("Goal: the state, what is open and what came later are those of the point")
    func points() throws {
        let stages: [TransactionTrace.Stage] = [.preparing, .committing, .committing, .committing, .committed]
        let open: [[Participant]] = [[.clearing, Self.db1], [.clearing, Self.db1], [.clearing], [], []]
        for (index, stage) in stages.enumerated() {
            let replay = try #require(Self.replay(Self.committed, upTo: UInt64(index + 1)))
            #expect(replay.trace.stage == stage, "at \(index + 1)")
            #expect(replay.trace.open == open[index], "at \(index + 1)")
            #expect(replay.records.count == index + 1 && replay.laterCount == 4 - index)
            #expect(replay.faults.isEmpty)
        }
        #expect(Self.replay(Self.committed, upTo: 0) == nil)
        let byTime = HistoryReplay(of: Self.id, Self.committed) { $0.writtenAt.microseconds <= 25 }
        #expect(byTime?.trace.stage == .committing && byTime?.laterCount == 3)
    }

    @Test("Goal: a parking, a proposal and the resolution show as they stood")
    func parked() throws {
        let warrant = Warrant(.order, actor: "alice", reason: "seen")
        let order = ResolutionRecord(transaction: Self.id, outcome: .aborted, isForced: true, warrant: warrant)
        let history = Self.history(
            .begin(Self.begin),
            .parked(ParkedRecord(transaction: Self.id, participant: Self.db1, evidence: "its row is there")),
            .resolutionProposed(order), .resolved(order), .abort(Self.abort(reversal: true)),
            .reversalClosed(ReversalClosedRecord(transaction: Self.id)))
        let parked = try #require(Self.replay(history, upTo: 2)?.trace)
        #expect(parked.stage == .parked && parked.parkings.map(\.record.participant) == [Self.db1])
        #expect(parked.proposal == nil)
        #expect(Self.replay(history, upTo: 3)?.trace.proposal?.record.warrant.actor == "alice")
        let aborting = try #require(Self.replay(history, upTo: 5)?.trace)
        #expect(aborting.stage == .aborting && aborting.parkings.isEmpty && aborting.proposal == nil)
        guard case .open(let task) = aborting.reversal else {
            Issue.record("no open reversal: \(aborting.reversal)")
            return
        }
        #expect(task.createdAt == WallTime(microseconds: 30))
        #expect(Self.replay(history, upTo: 6)?.trace.reversal == .closed)
    }

    @Test("Goal: what may not stand where it does is named and changes nothing; a trimmed head is no fault")
    func faultsAndGaps() throws {
        let twice = Self.history(
            .begin(Self.begin), .commit(CommitRecord(transaction: Self.id, authorizationCode: "A1")),
            .abort(Self.abort(reversal: false)))
        let replay = try #require(Self.replay(twice, upTo: 3))
        #expect(replay.trace.stage == .committing)
        #expect(Array(replay.faults.keys) == [LSN(rawValue: 3)])

        let tail = Array(Self.committed.dropFirst(2))
        let trimmed = try #require(HistoryReplay(of: Self.id, tail))
        #expect(trimmed.faults.isEmpty && trimmed.trace.begin == nil && trimmed.trace.stage == .committed)
    }
}
