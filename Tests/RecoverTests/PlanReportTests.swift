import Coordinator
import Foundation
import Testing

@testable import recover

/// What a plan says to people and to programs.
@Suite struct PlanReportTests {
    private static func text(_ plan: RecoveryPlan) -> String {
        PlanReport(plan: plan, now: WallTime(microseconds: 60_000_000)).text(for: .none)
    }

    @Test("Goal: each transaction is one line with every participant, the verdict, why, and what is done")
    func transactions() {
        let text = Self.text(
            Samples.plan([Samples.undecided(1), Samples.committing(2)], at: Samples.seen([Samples.branch(1)])))
        let lines = text.split(separator: "\n").map {
            $0.split(separator: "  ", omittingEmptySubsequences: true).map { $0.trimmingCharacters(in: .whitespaces) }
        }
        #expect(
            lines[0] == [
                "TRANSACTION", "AGE", "AMOUNT", "LOG", "DATABASES", "NETWORK", "VERDICT", "EVIDENCE", "ACTION",
            ])
        #expect(
            lines[1] == [
                Samples.transaction(1).description, "59s", "12.34 USD", "PREPARING", "db1 prepared", "may hold",
                "presume_abort", "undecided, its server is gone, no row is committed; begun in epoch 1",
                "write ABORT and its reversal, then roll back",
            ])
        #expect(lines[2][3...6] == ["COMMITTING", "db1 absent", "to be confirmed", "park_rolled_back"])
        #expect(
            text.hasSuffix("2 transactions to resolve, 0 reversals to send, 1 left to an operator or a running server"))
    }

    @Test("Goal: foreign, orphaned and prepared again branches stand apart, and a hostile name stays on its line")
    func strays() {
        var ended = Samples.committing(1)
        ended.acknowledged = [.clearing: .acknowledgement, .database(Samples.db1): .acknowledgement]
        let hostile = PreparedTransaction(
            gid: "'; DROP TABLE x; --\n\u{1B}[2J", owner: "o\u{1B}", databaseName: "d",
            preparedAt: WallTime(microseconds: 0))
        let plan = Samples.plan(
            [], at: Samples.seen([Samples.branch(1), Samples.branch(9), hostile]), history: [ended.transaction: ended])
        let text = Self.text(plan)
        let heads = text.split(separator: "\n").filter { $0.contains("SEEN FROM") }.map { $0.prefix { $0 != " " } }
        #expect(heads == ["PREPARED", "ORPHAN", "FOREIGN"])
        #expect(!text.contains("\u{1B}") && text.contains(#"--\u{a}\u{1b}[2J"#))
        #expect(text.hasSuffix(", 1 prepared again, 1 orphan, 1 foreign"))
    }

    @Test("Goal: what waits for an operator cites the parking and its evidence, and says what to type")
    func parked() {
        var active = Samples.committing(1)
        active.park(
            Samples.durable(
                ParkedRecord(
                    transaction: active.transaction, participant: .database(Samples.db1), evidence: "rolled back"),
                lsn: 201))
        let order = "recover resolve \(active.transaction) --commit|--abort --reason TEXT --actor NAME"
        let open = Samples.plan([active]).transactions.first
        #expect(open?.evidence == "waits for an operator, record 201: db1: rolled back")
        #expect(open?.action == order, "the network is told after the databases")
        let two = BeginRecord(
            transaction: active.transaction, epoch: Epoch(rawValue: 1), intent: Samples.begin(1).intent,
            branches: Samples.begin(1).branches + [Branch(participant: .database(DatabaseIndex(rawValue: 2)))],
            deadline: WallTime(microseconds: 0))
        var others = ActiveTransaction(
            begin: Samples.durable(two, lsn: 1), decision: active.decision, acknowledged: [:],
            parkings: active.parkings)
        #expect(
            Samples.plan([others]).transactions.first?.action == "finish the other participants; then " + order)
        others.acknowledged = [.database(DatabaseIndex(rawValue: 2)): .acknowledgement]
        #expect(Samples.plan([others]).transactions.first?.action == order)
    }

    @Test("Goal: nothing is said of a database that was not asked, nor to be done that is done")
    func truth() {
        let away = Samples.plan([Samples.undecided(1)], at: .unreachable("refused")).transactions.first
        #expect(
            away?.evidence
                == "undecided, its server is gone, no row seen; db1 could not be asked; begun in epoch 1")
        let id = Samples.transaction(1)
        let committed = Samples.plan([Samples.committing(1)], at: Samples.seen(witnessed: [id])).transactions.first
        #expect(committed?.action == "confirm to the network")
        let open = Samples.plan([Samples.committing(1)], at: Samples.seen([Samples.branch(1)])).transactions.first
        #expect(open?.action == "commit in the databases, then confirm to the network")
        #expect(Samples.plan([], at: .unreachable("refused")).unasked.hasPrefix("db1 could not be asked"))
    }

    @Test("Goal: beside a server its own work is counted as in its hands, and orphans are left to an operator")
    func live() {
        var report = PlanReport(
            plan: Samples.plan(
                [Samples.committing(1)], reversals: [Samples.reversal(2)],
                at: Samples.seen([Samples.branch(1), Samples.branch(9)])), now: WallTime(microseconds: 0))
        #expect(
            report.text(for: .none).hasSuffix(
                "1 transaction to resolve, 1 reversal to send, 1 left to an operator or a running server, 1 orphan"))
        report.isLive = true
        #expect(
            report.text(for: .none).hasSuffix(
                "0 transactions to resolve, 0 reversals to send, 2 in the hands of the running server, "
                    + "1 left to an operator, 1 orphan"))
    }

    @Test("Goal: an all-clear for a part tells of the rest, and what was done is counted from before and after")
    func doubts() {
        let whole = Samples.plan([Samples.undecided(1), Samples.committing(2)], reversals: [Samples.reversal(3)])
        let none = whole.filtered(PlanSelection(only: []))
        #expect(none.allClear(ofAll: whole) == "nothing of what was selected is in doubt; 3 others are")
        #expect(none.allClear(ofAll: Samples.plan([])) == "nothing is in doubt")
        var deeds = Deeds()
        #expect(deeds.words(after: whole) == nil)
        let at = Samples.seen([Samples.branch(1), Samples.branch(2)])
        deeds.take(
            Samples.plan([Samples.undecided(1), Samples.committing(2)], reversals: [Samples.reversal(3)], at: at))
        #expect(deeds.words(after: Samples.plan([])) == "1 committed, 1 aborted, 2 reversed at the network")
        let left = Samples.plan([], reversals: [Samples.reversal(1)])
        #expect(deeds.words(after: left) == "1 committed, 1 aborted, 1 reversed at the network")
    }

    @Test("Goal: of a payment of which only the txn_id is known nothing is made up")
    func nameless() {
        let id = Samples.transaction(1)
        let begin = BeginRecord(
            transaction: id, epoch: Epoch(rawValue: 1), intent: .nameless(id),
            branches: [Branch(participant: .database(Samples.db1))], deadline: WallTime(microseconds: 0))
        let active = ActiveTransaction(
            begin: Samples.durable(begin, lsn: 1), decision: .undecided, acknowledged: [:])
        let plan = Self.text(Samples.plan([active]))
        #expect(plan.contains("unknown") && !plan.contains("0.00"), "\(plan)")
        let words = LogRecord.begin(begin).words
        #expect(words == "BEGIN AUTH unknown card unknown request unknown, participants db1")
    }

    @Test("Goal: version 1 of the JSON has its keys, and what was added beside them")
    func json() throws {
        let plan = Samples.plan(
            [Samples.undecided(1)], reversals: [Samples.reversal(2)],
            at: Samples.seen([Samples.branch(1), Samples.branch(9)]))
        let object = try JSONSerialization.jsonObject(with: Data(try Samples.document(plan).json.utf8))
        let document = try #require(object as? [String: Any])
        func keys(_ list: String) throws -> Set<String> {
            let entries = try #require(document[list] as? [[String: Any]])
            return Set(try #require(entries.first).keys)
        }
        #expect(document["version"] as? Int == 1 && document["kind"] as? String == "holdfast-recovery-plan")
        #expect(
            Set(["transactions", "reversals", "prepared", "has_work", "has_remainder"]).isSubset(of: Set(document.keys))
        )
        let transaction = try keys("transactions")
        let reversal = try keys("reversals")
        let prepared = try keys("prepared")
        #expect(
            transaction.isSuperset(of: [
                "txn_id", "request_id", "begun_at", "amount", "currency", "log_state", "databases", "verdict",
                "evidence",
                "action",
            ]))
        #expect(reversal.isSuperset(of: ["txn_id", "amount", "currency", "refusals", "is_parked", "action"]))
        #expect(prepared.isSuperset(of: ["gid", "database", "owner", "prepared_at", "verdict"]))
        // Every key that the schema's page names, and no other.
        let page = try SchemaPage.keys()
        let found = Set(document.keys).union(transaction).union(reversal).union(prepared)
        #expect(found.subtracting(page).isEmpty, "the page misses \(found.subtracting(page))")
        let optional: Set<String> = [
            "refused", "entry", "why", "decision_lsn", "lost", "network_status", "lost_commits",
        ]
        #expect(page.subtracting(found).subtracting(optional).isEmpty, "\(page.subtracting(found))")
    }
}

/// The keys that docs/reference/plan-schema.md describes: the code at the begin of each table's line.
enum SchemaPage {
    static func keys() throws -> Set<String> {
        Set(try text().matches(of: /(?m)^\| `([a-z_]+)`/).map { String($0.output.1) })
    }

    static func text() throws -> String { try Repository.text("docs/reference/plan-schema.md") }
}

/// The files of the repository that say what the program does.
enum Repository {
    static func text(_ path: String, file: String = #filePath) throws -> String {
        try String(contentsOf: root(file: file).appendingPathComponent(path), encoding: .utf8)
    }

    static func root(file: String = #filePath) -> URL {
        var folder = URL(fileURLWithPath: file).resolvingSymlinksInPath().deletingLastPathComponent()
        while !FileManager.default.fileExists(atPath: folder.appendingPathComponent("Package.swift").path),
            folder.path != "/"
        {
            folder.deleteLastPathComponent()
        }
        return folder
    }
}
