import Assembly
import Coordinator
import Foundation
import Payments
import Testing

@testable import recover

/// One transaction: its timeline, what the participants show, and what would be done about it.
@Suite struct ShowTests {
    private static let id = Samples.transaction(1)
    private static let database = Participant.database(Samples.db1)

    private static func history(_ records: LogRecord...) -> [Placed<LogRecord>] {
        let times: [Int64] = [0, 412, 3_500, 2_050_000, 190_000_000]
        return zip(records, times).enumerated().map { index, entry in
            Placed(
                entry.0, lsn: LSN(rawValue: UInt64(index + 10)),
                writtenAt: WallTime(microseconds: 1_000_000 + entry.1))
        }
    }

    private static let committed = history(
        .begin(Samples.begin(1)), .commit(CommitRecord(transaction: id, authorizationCode: "A1B2C3")),
        .acknowledged(AcknowledgedRecord(transaction: id, participant: database, proof: .witness)),
        .acknowledged(AcknowledgedRecord(transaction: id, participant: .clearing, proof: .acknowledgement)),
        .end(EndRecord(transaction: id, requestID: Samples.begin(1).intent.requestID, outcome: .committed)))

    private static func report(
        _ history: [Placed<LogRecord>], upTo lsn: UInt64 = .max, _ state: DatabaseSight? = nil,
        plan: RecoveryPlan = Samples.plan([]), says status: ClearingStatus? = nil
    ) -> ShowReport {
        ShowReport(
            transaction: id, replay: HistoryReplay(of: id, history) { $0.lsn.rawValue <= lsn },
            sight: state.map { TransactionSight(plan: plan, databases: [Samples.db1: $0], status: status) })
    }

    /// The cells of the first line that holds a text.
    private static func cells(_ text: String, _ part: String) -> [String] {
        let line = text.split(separator: "\n").first { $0.contains(part) } ?? ""
        return line.trimmingCharacters(in: .whitespaces).replacing(#/ {2,}/#, with: "\t").split(separator: "\t")
            .map(String.init)
    }

    @Test("Goal: times at the ends of their range, which only a damaged log holds, are printed")
    func timesAtTheEdge() {
        let edges = [Int64.min, 0, .max]
        let history = edges.enumerated().map { index, time in
            Placed(
                LogRecord.begin(Samples.begin(1)), lsn: LSN(rawValue: UInt64(index + 1)),
                writtenAt: WallTime(microseconds: time))
        }
        let report = Self.report(history)
        #expect(report.text(for: .none).contains("-290308-12-21T19:59:05.224192Z"))
        #expect(ShowDocument(report).records.map(\.at).last == "294247-01-10T04:00:54.775807Z")
        for place in history {
            let line = RecordLine(place.record, lsn: place.lsn, writtenAt: place.writtenAt).printable
            #expect(line.contains(#""at":"#))
        }
    }

    @Test("Goal: each record is a line with LSN, time, and the spans since the first and since the one before")
    func timeline() {
        let text = Self.report(Self.committed).text(for: .none)
        #expect(Self.cells(text, "LSN") == ["LSN", "TIME", "AFTER", "STEP", "RECORD"])
        #expect(Self.cells(text, "BEGIN").prefix(4) == ["10", "1970-01-01T00:00:01.000000Z", "0", "0"])
        #expect(Self.cells(text, "COMMIT,").suffix(3) == ["412 µs", "412 µs", "COMMIT, authorization code A1B2C3"])
        #expect(Self.cells(text, "db1 done").prefix(4).suffix(2) == ["3.5 ms", "3.0 ms"])
        #expect(Self.cells(text, "END").suffix(3) == ["3m 10s", "3m 7s", "END, committed"])
        #expect(text.contains("AUTH 12.34 USD, card 411111******1111, request order-1"))
        #expect(text.contains("state in the log: COMMITTED") && !text.contains("verdict"))
    }

    @Test("Goal: at an earlier point the later records are not shown, and the state is that of the point")
    func earlier() {
        let text = Self.report(Self.committed, upTo: 12).text(for: .none)
        #expect(text.contains("state in the log: COMMITTING as of record 12; 2 later records"), "\(text)")
        #expect(!text.contains("END"))
        #expect(Self.cells(text, " hold ") == ["clearing", "hold", "to be confirmed", "not asked"])
        #expect(
            Self.cells(text, " payment, ") == ["db1", "payment, merchant's entry", "done (row seen)", "not asked"])
    }

    @Test("Goal: an unfinished transaction has the plan's verdict, its reason and its action")
    func unfinished() throws {
        let plan = Samples.plan([Samples.undecided(1)], at: Samples.seen([Samples.branch(1)]))
        let report = Self.report(Self.history(.begin(Samples.begin(1))), .prepared, plan: plan, says: .held)
        let judgement = try #require(report.judgement)
        let verdict = try #require(plan.transactions.first)
        #expect(judgement.code == "presume_abort" && judgement.evidence == verdict.evidence)
        #expect(judgement.action == verdict.verdict.action)
        let text = report.text(for: .none)
        #expect(Self.cells(text, " hold ") == ["clearing", "hold", "may hold", "held"])
        #expect(Self.cells(text, " payment, ").suffix(2) == ["undecided", "prepared"])
        #expect(text.hasSuffix("action:  \(judgement.action)"))
    }

    @Test("Goal: what ended is over, unless a database shows otherwise than it ended; an open reversal is told")
    func ended() {
        #expect(Self.report(Self.committed, .committed).judgement?.code == "ended")
        #expect(Self.report(Self.committed, .absent).judgement?.code == "ended_otherwise")
        let task = Samples.reversal(1)
        let aborted = Self.history(
            .begin(Samples.begin(1)),
            .abort(AbortRecord(transaction: Self.id, reason: .commitFailed, claim: .declined, reversal: task)),
            .end(EndRecord(transaction: Self.id, requestID: task.intent.requestID, outcome: .aborted)))
        #expect(Self.report(aborted, .absent).judgement?.code == "ended")
        #expect(Self.report(aborted, .committed).judgement?.code == "ended_otherwise")
        let open = Self.report(aborted, .absent, plan: Samples.plan([], reversals: [task]))
        #expect(open.judgement?.code == "reversal_open")
        #expect(Self.cells(open.text(for: .none), " hold ").contains("to be reversed"))
    }

    @Test("Goal: what an operator took as it is by force is over, and it is told who did")
    func accepted() {
        let warrant = Warrant(.order, actor: "alice", reason: "the row was lost")
        let history = Self.history(
            .begin(Samples.begin(1)), .commit(CommitRecord(transaction: Self.id, authorizationCode: "A1B2C3")),
            .parked(ParkedRecord(transaction: Self.id, participant: Self.database, evidence: "rolled back")),
            .resolved(
                ResolutionRecord(transaction: Self.id, outcome: .committed, isForced: true, warrant: warrant)),
            .end(
                EndRecord(
                    transaction: Self.id, requestID: Samples.begin(1).intent.requestID, outcome: .committed)))
        let judgement = Self.report(history, .absent).judgement
        #expect(judgement?.code == "ended_accepted" && judgement?.action == "nothing is left to do")
        #expect(
            judgement?.evidence.contains("forced order of alice, record") == true, "\(String(describing: judgement))")
    }

    @Test("Goal: of a transaction without a record what is found is shown; where nothing is, nothing is known")
    func withoutRecord() {
        let orphan = Samples.plan([], at: Samples.seen([Samples.branch(1)]))
        let found = Self.report([], .prepared, plan: orphan)
        #expect(found.judgement?.code == "orphan" && !found.isEmpty)
        #expect(found.text(for: .none).contains("the log has no record of it"))
        let lost = Samples.brokenPlan(lost: [Samples.lost(1, says: .released)])
        #expect(Self.report([], .prepared, plan: lost).judgement?.code == "adopt_abort")
        #expect(Self.report([], .committed).isEmpty == false)
        #expect(Self.report([], .absent).isEmpty && Self.report([]).isEmpty)
    }

    @Test("Goal: a participant that could not be asked is told, and only one with a part in it counts")
    func unreached() {
        let away = Self.report(Self.committed, .unreachable("connection refused"))
        #expect(away.isPartlyUnreached && away.text(for: .none).contains("could not be reached: connection refused"))
        #expect(!Self.report(Self.committed, .committed).isPartlyUnreached)
        #expect(Self.report(Self.committed, .committed, says: .unreachable("timeout")).isPartlyUnreached)
        let other = ShowReport(
            transaction: Self.id, replay: HistoryReplay(of: Self.id, Self.committed),
            sight: TransactionSight(
                plan: Samples.plan([]),
                databases: [Samples.db1: .committed, DatabaseIndex(rawValue: 2): .unreachable("away")], status: nil))
        #expect(!other.isPartlyUnreached)
        #expect(!Self.report(Self.committed).isPartlyUnreached)
    }

    @Test("Goal: the JSON has the keys of its page, and every record with its kind")
    func json() throws {
        var parked = Self.history(.begin(Samples.begin(1)))
        let warrant = Warrant(.order, actor: "alice", reason: "seen")
        let order = ResolutionRecord(transaction: Self.id, outcome: .committed, isForced: false, warrant: warrant)
        let park = ParkedRecord(transaction: Self.id, participant: Self.database, evidence: "its row is there")
        for (index, record) in [LogRecord.parked(park), .resolutionProposed(order), .begin(Samples.begin(1))]
            .enumerated()
        {
            parked.append(
                Placed(record, lsn: LSN(rawValue: UInt64(20 + index)), writtenAt: WallTime(microseconds: 2_000_000)))
        }
        let plan = Samples.plan([Samples.undecided(1)], at: Samples.seen([Samples.branch(1)]))
        let text = try DocumentText.json(ShowDocument(Self.report(parked, .prepared, plan: plan, says: .held)))
        let page = try JSONKeys.page("docs/reference/list-and-show.md")
        let keys = try JSONKeys.all(text)
        #expect(keys.subtracting(page).isEmpty, "the page misses \(keys.subtracting(page))")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let kinds = (object["records"] as? [[String: Any]])?.map { $0["kind"] as? String }
        #expect(kinds == ["begin", "parked", "resolution_proposed", "begin"])
        #expect(keys.isSuperset(of: ["fault", "proposal", "verdict", "in_the_log", "now"]))
        let list = ListDocument(
            ListReport(
                LogSnapshot(
                    log: Samples.log,
                    owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 7)),
                    nextLSN: LSN(rawValue: 9), active: [], reversals: [], fences: [], quarantined: 0),
                now: WallTime(microseconds: 0)))
        #expect(try JSONKeys.all(DocumentText.json(list)).isSubset(of: page))
    }

    @Test(
        "Goal: spans are told in the unit that fits",
        arguments: [
            (0, "0"), (999, "999 µs"), (1_500, "1.5 ms"), (999_999, "999.9 ms"), (2_000_000, "2.0 s"),
            (-1_500, "-1.5 ms"), (125_000_000, "2m 5s"), (7_260_000_000, "2h 1m"),
        ])
    func spans(microseconds: Int64, text: String) {
        #expect(Elapsed.text(microseconds: microseconds) == text)
    }
}
