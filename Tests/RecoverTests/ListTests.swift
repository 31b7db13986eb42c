import Assembly
import Coordinator
import Foundation
import Payments
import Testing

@testable import recover

/// Which part of what is unfinished is listed, and how.
@Suite struct ListTests {
    private static let now = WallTime(microseconds: 200_000_000)

    private static func parked(_ number: UInt64) -> ActiveTransaction {
        var active = Samples.committing(number)
        active.park(
            Samples.durable(
                ParkedRecord(
                    transaction: active.transaction, participant: .database(Samples.db1),
                    evidence: "rolled back by hand"),
                lsn: number + 200))
        let warrant = Warrant(.order, actor: "alice", reason: "the money\u{1B}[2J is there")
        let order = ResolutionRecord(
            transaction: active.transaction, outcome: .committed, isForced: true, warrant: warrant)
        active.proposal = Samples.durable(order, lsn: number + 201)
        return active
    }

    private static func aborting(_ number: UInt64) -> ActiveTransaction {
        var active = Samples.undecided(number)
        let record = AbortRecord(
            transaction: active.transaction, reason: .commitFailed, claim: .declined, reversal: nil)
        active.decision = .abort(Samples.durable(record, lsn: number + 100))
        return active
    }

    private static var snapshot: LogSnapshot {
        var confirming = Samples.committing(2)
        confirming.acknowledged = [.database(Samples.db1): .acknowledgement]
        return LogSnapshot(
            log: Samples.log, owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 7)),
            nextLSN: LSN(rawValue: 1000),
            active: [parked(4), aborting(3), confirming, Samples.undecided(1)], reversals: [Samples.reversal(9)],
            fences: [], quarantined: 0)
    }

    private static func listed(_ filter: ListFilter) -> [UInt64] {
        let report = ListReport(snapshot, filter, now: now)
        return report.transactions.map(\.transaction.high) + report.reversals.map(\.transaction.high)
    }

    @Test("Goal: each state, several at once, and none given for all, in the order of BEGIN")
    func states() {
        #expect(Self.listed(ListFilter()) == [1, 2, 3, 4, 9])
        let each = ListState.allCases.map { Self.listed(ListFilter(states: [$0])) }
        #expect(each == [[1], [2], [3], [4], [9]])
        #expect(Self.listed(ListFilter(states: [.parked, .reversal])) == [4, 9])
    }

    @Test("Goal: age, participant and amount leave out what does not fit, and all conditions hold together")
    func conditions() throws {
        // Begun at 1 to 4 s, the reversal at 5 µs; it is 200 s now.
        #expect(Self.listed(ListFilter(olderThan: Span(.seconds(198)))) == [1, 2, 9])
        #expect(Self.listed(ListFilter(participant: .database(Samples.db1))) == [1, 3, 4])
        #expect(Self.listed(ListFilter(participant: .clearing)) == [1, 2, 3, 4, 9])
        #expect(Self.listed(ListFilter(participant: .database(DatabaseIndex(rawValue: 2)))) == [])
        let exact = try #require(AmountArgument(argument: "12.34"))
        let above = try #require(AmountArgument(argument: "12.341"))
        #expect(Self.listed(ListFilter(amountMin: exact, amountMax: exact)).count == 5)
        #expect(Self.listed(ListFilter(amountMin: above)) == [] && Self.listed(ListFilter(amountMax: above)).count == 5)
        #expect(
            Self.listed(
                ListFilter(states: [.preparing, .aborting], olderThan: Span(.seconds(198)), amountMax: exact)) == [1])
    }

    @Test(
        "Goal: amounts are plain decimals in the currency's unit",
        arguments: [
            ("0", 0), ("12", 12_000), ("12.3", 12_300), ("12.345", 12_345), ("12.3456", nil), ("-1", nil), ("", nil),
            (".5", nil), ("1.", nil), ("1,5", nil), ("1e3", nil), ("9223372036854775807", nil), ("٣", nil),
        ])
    func amounts(text: String, thousandths: Int64?) {
        #expect(AmountArgument(argument: text)?.thousandths == thousandths)
    }

    @Test("Goal: amounts of currencies with other decimals are compared by their unit")
    func currencies() throws {
        let yen = Money(minorUnits: 500, currency: try #require(Currency(code: "JPY")))
        let dinar = Money(minorUnits: 500_000, currency: try #require(Currency(code: "KWD")))
        #expect(AmountArgument(yen).thousandths == 500_000 && AmountArgument(dinar).thousandths == 500_000)
        #expect(AmountArgument(Money(minorUnits: .max, currency: .usDollar)).thousandths == .max)
    }

    @Test(
        "Goal: participants are named as everywhere else",
        arguments: [
            ("clearing", true), ("db1", true), ("db255", true), ("db0", false), ("db01", false), ("db256", false),
            ("DB1", false), ("db", false),
        ]
    )
    func participants(text: String, isOne: Bool) {
        #expect((ParticipantArgument(argument: text) != nil) == isOne)
        #expect(ParticipantArgument(argument: text).map(\.participant.description) ?? text == text)
    }

    @Test("Goal: what waits for an operator and for a second person is told, and nothing of it is obeyed")
    func waiting() throws {
        let text = ListReport(Self.snapshot, now: Self.now).text(for: .none)
        let line = try #require(text.split(separator: "\n").first { $0.contains("PARKED") })
        #expect(line.contains("an operator: db1: rolled back by hand"), "\(line)")
        #expect(line.contains("a second person: alice proposed committed by force: the money"), "\(line)")
        #expect(!text.contains("\u{1B}"))
        #expect(
            ListReport(Self.snapshot, ListFilter(states: []), now: Self.now).summary.hasPrefix("4 unfinished, 1 rev"))
        let none = ListReport(
            Self.snapshot, ListFilter(participant: .database(DatabaseIndex(rawValue: 9))), now: Self.now)
        #expect(none.text(for: .none) == "nothing matches (5 unfinished in all)")
        let empty = LogSnapshot(
            log: Samples.log, owner: Self.snapshot.owner, nextLSN: LSN(rawValue: 9), active: [], reversals: [],
            fences: [], quarantined: 0)
        let state = ListFilter(states: [.parked])
        #expect(ListReport(empty, state, now: Self.now).text(for: .none) == "nothing is unfinished")
        let orphan = BranchLocks(
            gid: Samples.branch(77).gid, database: Samples.db1, blockedSessions: 0, tables: [], xidAge: 1,
            holdsHorizon: false)
        let picture = LockPicture(branches: [orphan], unreachable: [:])
        #expect(
            ListReport(empty, locks: picture, now: Self.now).text(for: .none)
                .hasPrefix("the log has nothing unfinished, yet 1 branch is prepared"))
    }

    @Test("Goal: locks are shown for what is listed, and for branches without a record only where nothing is left out")
    func locks() throws {
        func lock(_ number: UInt64, blocked: Int) -> BranchLocks {
            BranchLocks(
                gid: Samples.branch(number).gid, database: Samples.db1, blockedSessions: blocked,
                tables: ["merchant_entries", "transactions"], xidAge: 5, holdsHorizon: blocked > 1)
        }
        let picture = LockPicture(
            branches: [lock(1, blocked: 2), lock(77, blocked: 0)],
            unreachable: [DatabaseIndex(rawValue: 2): "connection refused"])
        let all = ListReport(Self.snapshot, locks: picture, now: Self.now)
        #expect(all.locks?.count == 2)
        #expect(all.summary.hasSuffix("1 of 2 branches block others"), "\(all.summary)")
        let text = all.text(for: .none)
        #expect(text.contains("db2 could not be reached: connection refused"), "\(text)")
        let line = try #require(text.split(separator: "\n").first { $0.contains("merchant_entries") })
        #expect(
            line.split(separator: " ").map(String.init)
                == [Samples.transaction(1).description, "db1", "2", "5", "yes", "merchant_entries,", "transactions"])
        let some = ListReport(Self.snapshot, ListFilter(states: [.preparing]), locks: picture, now: Self.now)
        #expect(some.locks?.map(\.transaction) == [Samples.transaction(1)])
        #expect(ListReport(Self.snapshot, now: Self.now).locks == nil)
    }

    @Test("Goal: the JSON has the keys of its page and no other, and what was asked for alone")
    func json() throws {
        let picture = LockPicture(
            branches: [
                BranchLocks(
                    gid: Samples.branch(1).gid, database: Samples.db1, blockedSessions: 1, tables: ["transactions"],
                    xidAge: 1, holdsHorizon: false)
            ], unreachable: [:])
        var reversal = Samples.reversal(9)
        reversal.parkedReason = "refused"
        let snapshot = LogSnapshot(
            log: Samples.log, owner: Self.snapshot.owner, nextLSN: LSN(rawValue: 1000), active: [Self.parked(4)],
            reversals: [reversal], fences: [], quarantined: 1)
        let text = try DocumentText.json(
            ListDocument(ListReport(snapshot, locks: picture, now: Self.now)), isOneLine: true)
        #expect(!text.contains("\n"))
        let keys = try JSONKeys.all(text)
        let page = try JSONKeys.page("docs/reference/list-and-show.md")
        // There the locks are of a listed transaction, so nothing of it is left out.
        #expect(keys.subtracting(page).isEmpty, "the page misses \(keys.subtracting(page))")
        #expect(
            keys.isSuperset(of: ["proposal", "parked", "locks", "blocked_sessions", "holds_xmin", "parked_reason"]))
        #expect(
            try !JSONKeys.all(DocumentText.json(ListDocument(ListReport(snapshot, now: Self.now)))).contains("locks"))
    }

    @Test("Goal: a screen shows what fits and says how much does not")
    func frames() {
        #expect(WatchFrame.lines("a\nb\nc", height: 3) == ["a", "b", "c"])
        #expect(WatchFrame.lines("a\nb\nc\nd", height: 3) == ["a", "b", "… 2 more lines"])
        #expect(WatchFrame.lines("a\nb", height: nil) == ["a", "b"])
    }
}

enum JSONKeys {
    /// Every key at every depth; those under `databases` and `unreachable` are names.
    static func all(_ json: String) throws -> Set<String> {
        keys(try JSONSerialization.jsonObject(with: Data(json.utf8)))
    }

    private static func keys(_ value: Any) -> Set<String> {
        if let list = value as? [Any] { return list.reduce(into: []) { $0.formUnion(keys($1)) } }
        guard let object = value as? [String: Any] else { return [] }
        return object.reduce(into: []) { result, member in
            result.insert(member.key)
            if member.key != "unreachable" { result.formUnion(keys(member.value)) }
        }
    }

    /// The keys that a page describes: the code at the begin of each table's line.
    static func page(_ path: String) throws -> Set<String> {
        Set(try Repository.text(path).matches(of: /(?m)^\| `([a-z_]+)`/).map { String($0.output.1) })
    }
}
