import Payments
import Testing

@testable import Coordinator
@testable import PostgresParticipant

@Suite("PostgreSQL: what replies prove")
struct PrepareJudgementTests {
    private static let steps = Statements.steps(of: [.payment, .merchantEntry])

    private static func error(_ code: String, severity: String = "ERROR") -> StatementResult {
        .failed(SQLError(code: code, severity: severity, message: "m"))
    }

    private static func judge(_ results: [StatementResult], end: JobReport.End = .complete) -> PrepareJudgement {
        PrepareJudgement.of(JobReport(end: end, results: results), steps: steps)
    }

    @Test("Only four successes and a sound end are prepared")
    func success() {
        let ok = StatementResult.ok([])
        #expect(Self.judge([ok, ok, ok, ok]) == .prepared)
        #expect(Self.judge([ok, ok, ok]) != .prepared)
        for count in 0...4 {
            guard case .unknown = Self.judge(Array(repeating: ok, count: count), end: .broken("gone")) else {
                Issue.record("\(count) successes and a break were taken for certain")
                continue
            }
        }
    }

    @Test("A warning of the standby makes success unknown")
    func standby() {
        var report = JobReport(end: .complete, results: Array(repeating: .ok([]), count: 4))
        report.hasStandbyWarning = true
        guard case .unknown = PrepareJudgement.of(report, steps: Self.steps) else {
            Issue.record("a given-up wait was taken for success")
            return
        }
    }

    @Test(
        "An error before PREPARE is definite, and its SQLSTATE says which no",
        arguments: ["53200", "40001", "22003", "XX000"])
    func beforePrepare(code: String) {
        guard case .refused(.unavailable) = Self.judge([.ok([]), Self.error(code), .skipped, .skipped]) else {
            Issue.record("\(code) at the insert is a definite no")
            return
        }
    }

    @Test("A wait at the payment's row is contention, never a decline", arguments: ["55P03", "57014", "40P01"])
    func contention(code: String) {
        #expect(Self.judge([.ok([]), Self.error(code), .skipped, .skipped]) == .refused(.contended))
    }

    @Test("A unique violation asks for the row")
    func unique() {
        #expect(Self.judge([.ok([]), Self.error("23505"), .skipped, .skipped]) == .readRow)
    }

    @Test("The end of a session is unknown at every statement", arguments: 0..<4, ["57P01", "08006", ""])
    func sessionEnd(position: Int, code: String) {
        let before = Array(repeating: StatementResult.ok([]), count: position)
        for end in [JobReport.End.complete, .broken("gone")] {
            guard case .unknown = Self.judge(before + [Self.error(code, severity: "FATAL")], end: end) else {
                Issue.record("\(code) at \(position) was taken for certain")
                continue
            }
        }
    }

    @Test("At PREPARE only what is checked before the state file is written is definite")
    func atPrepare() {
        let ok = StatementResult.ok([])
        func at(_ code: String) -> PrepareJudgement { Self.judge([ok, ok, ok, Self.error(code)]) }
        guard case .noSlot = at("53200") else { Issue.record("53200 is a full cluster"); return }
        guard case .refused(.unavailable) = at("40001") else { Issue.record("40001 rolls back"); return }
        for code in ["57014", "42710", "53100", "58030", "XX000"] {
            guard case .unknown = at(code) else { Issue.record("\(code) at PREPARE is unknown"); return }
        }
    }

    @Test("PREPARE's tag ROLLBACK is a no; a swallowed row is unknown")
    func tags() {
        let ok = StatementResult.ok([])
        guard case .refused = Self.judge([ok, ok, ok, .unexpectedTag("ROLLBACK")]) else {
            Issue.record("ROLLBACK"); return
        }
        guard case .unknown = Self.judge([ok, .unexpectedTag("INSERT 0 0"), ok, ok]) else {
            Issue.record("INSERT"); return
        }
        guard case .unknown = Self.judge([ok, ok, ok, .unexpectedTag("PREPARE")]) else {
            Issue.record("PREPARE"); return
        }
    }
}

@Suite("PostgreSQL: who may take a database over")
struct FenceJudgementTests {
    private static let index = DatabaseIndex(rawValue: 1)
    private static let owner = pair(9, 90)

    private static func judge(_ found: FencePair?, confirmed: FencePair?, attempted: [FencePair]) -> FenceJudgement {
        let fence = DatabaseFence(database: index, identity: nil, confirmed: confirmed, attempted: attempted)
        return FenceJudgement.of(
            found.map { FenceJudgement.Row(pair: $0, database: index) }, fence: fence, owner: owner, log: log)
    }

    private static let log = LogID(high: 1, low: 2)

    /// As ``judge(_:confirmed:attempted:)`` with a confirmed pair 7 and former ones 5 and 6.
    private static func judgeFormer(
        _ found: FencePair?, takesOver: Bool = false, number: UInt8 = 1
    ) -> FenceJudgement {
        let fence = DatabaseFence(
            database: index, confirmed: pair(7), attempted: [pair(8)], former: [pair(5), pair(6)], takesOver: takesOver)
        let row = found.map { FenceJudgement.Row(pair: $0, database: DatabaseIndex(rawValue: number)) }
        return FenceJudgement.of(row, fence: fence, owner: owner, log: log)
    }

    private static func isRefused(_ judgement: FenceJudgement) -> Bool {
        if case .refused = judgement { true } else { false }
    }

    @Test("An empty database may be taken as long as it was never confirmed")
    func empty() {
        #expect(Self.judge(nil, confirmed: nil, attempted: []) == .replace(nil))
        #expect(Self.judge(nil, confirmed: nil, attempted: [pair(8)]) == .replace(nil))
        #expect(Self.isRefused(Self.judge(nil, confirmed: pair(8), attempted: [])))
        #expect(Self.isRefused(Self.judge(nil, confirmed: pair(7), attempted: [pair(8)])))
    }

    @Test("The confirmed pair and those attempted since may be replaced; a crash may have come between")
    func known() {
        #expect(Self.judge(pair(7), confirmed: pair(7), attempted: []) == .replace(pair(7)))
        #expect(Self.judge(pair(7), confirmed: pair(7), attempted: [pair(8)]) == .replace(pair(7)))
        #expect(Self.judge(pair(8), confirmed: pair(7), attempted: [pair(8)]) == .replace(pair(8)))
        #expect(Self.judge(pair(8), confirmed: nil, attempted: [pair(7), pair(8)]) == .replace(pair(8)))
        #expect(Self.judge(Self.owner, confirmed: pair(7), attempted: [Self.owner]) == .ours)
    }

    @Test("Every other pair is somebody else's: a clone, a restored directory")
    func foreign() {
        #expect(Self.isRefused(Self.judge(pair(7), confirmed: nil, attempted: [])))
        #expect(Self.isRefused(Self.judge(pair(10), confirmed: pair(7), attempted: [pair(8)])))
        #expect(Self.isRefused(Self.judge(pair(7, 71), confirmed: pair(7, 70), attempted: [])))
        #expect(Self.isRefused(Self.judge(pair(9, 91), confirmed: pair(8), attempted: [Self.owner])))
        #expect(Self.isRefused(Self.judge(pair(6), confirmed: pair(7), attempted: [])))
    }

    @Test("Goal: a pair attempted before the confirmed one may have been there when a copy of the database was taken")
    func attemptedBefore() {
        let identity = DatabaseIdentity(systemIdentifier: 1, databaseOID: 1)
        let fence = DatabaseFence(database: Self.index, confirmed: pair(6), attempted: [pair(7), pair(8)])
            .confirming(pair(8), at: identity, formerMax: 3)
        #expect(fence.former == [pair(6), pair(7)])
        for former in [pair(6), pair(7)] {
            let row = FenceJudgement.Row(pair: former, database: Self.index)
            #expect(FenceJudgement.of(row, fence: fence, owner: Self.owner, log: Self.log) == .wentBack(former))
        }
        let next = DatabaseFence(database: Self.index, confirmed: pair(8), attempted: [pair(9)], former: fence.former)
            .confirming(pair(10), at: identity, formerMax: 3)
        #expect(next.former == [pair(7), pair(8), pair(9)])
    }

    @Test("One database under two numbers is refused")
    func twice() {
        let fence = DatabaseFence(database: DatabaseIndex(rawValue: 2), identity: nil, confirmed: nil, attempted: [])
        let row = FenceJudgement.Row(pair: Self.owner, database: Self.index)
        #expect(Self.isRefused(FenceJudgement.of(row, fence: fence, owner: Self.owner, log: Self.log)))
    }

    @Test(
        "Goal: a pair of ours from before the confirmed one means that the database went back in time; any other stays refused"
    )
    func former() {
        #expect(Self.judgeFormer(pair(5)) == .wentBack(pair(5)))
        #expect(Self.judgeFormer(pair(6)) == .wentBack(pair(6)))
        #expect(Self.judgeFormer(pair(7)) == .replace(pair(7)))
        #expect(Self.judgeFormer(pair(8)) == .replace(pair(8)))
        #expect(Self.judgeFormer(Self.owner) == .ours)
        for stranger in [pair(4), pair(5, 8), pair(9), pair(10)] {
            #expect(Self.isRefused(Self.judgeFormer(stranger)), "\(stranger)")
        }
        #expect(Self.isRefused(Self.judgeFormer(pair(5), number: 2)), "another database's row is none of ours")
    }

    @Test(
        "Goal: a restored log takes over whatever earlier pair is there, but no later one and not another number's database"
    )
    func takesOver() {
        for there in [pair(4), pair(5), pair(7), pair(8, 1)] {
            #expect(Self.judgeFormer(there, takesOver: true) == .replace(there))
        }
        // Its epoch comes from a clock, and its backends would not be ended.
        for there in [pair(9, 1), pair(99, 1)] {
            guard case .refused(let message) = Self.judgeFormer(there, takesOver: true) else {
                Issue.record("\(there) is taken over")
                continue
            }
            #expect(message.contains("--beyond-epoch \(there.epoch)"), "\(message)")
        }
        #expect(Self.judgeFormer(nil, takesOver: true) == .replace(nil))
        #expect(Self.judgeFormer(Self.owner, takesOver: true) == .ours)
        #expect(Self.isRefused(Self.judgeFormer(pair(7), takesOver: true, number: 2)))
    }

    @Test("Goal: the refusal of a database without a fence says what to do, to the letter")
    func missingRow() {
        guard case .refused(let message) = Self.judgeFormer(nil) else { Issue.record("taken"); return }
        let insertion =
            "INSERT INTO holdfast_fence (log_id, epoch, incarnation, database) VALUES "
            + "('\(Self.log)', 6, '\(pair(6).incarnation)', 1)"
        #expect(message.contains(insertion), "\(message)")
    }
}

@Suite("PostgreSQL: the first replies on a connection")
struct SetupTests {
    private static let identity = DatabaseIdentity(systemIdentifier: 77, databaseOID: 5)

    private static func judge(
        pid: Int32 = 10, told: Int32 = 10, recovery: String = "false", fence: StatementResult? = nil,
        version: Int = 150_000
    ) -> Setup {
        let facts = StatementResult.ok([
            ["\(pid)", "2025-01-01 00:00:00+00", recovery, "77", "5", "64", "00000001", "4096"]
        ])
        let row = fence ?? .ok([["3", "0000000000000007", "1"]])
        let report = JobReport(end: .complete, results: [.ok([]), facts, row, .ok([])])
        return Setup.judge(
            report, isControl: false, backendPID: told, serverVersion: version, identity: identity, fence: pair(3),
            preparedAdvised: 256)
    }

    @Test("A sound connection is taken")
    func sound() {
        guard case .sound(let facts) = Self.judge() else { Issue.record("refused"); return }
        #expect(
            facts.identity == Self.identity && facts.position == DatabasePosition(timeline: 1, walBytes: 4096)
                && facts.preparedTransactionsMax == 64)
    }

    @Test("Another process than the one that was announced is a pooler")
    func pooler() {
        guard case .refused(let message) = Self.judge(told: 11) else { Issue.record("taken"); return }
        #expect(message.contains("pooler"))
    }

    @Test("A standby is waited for; an old server is refused")
    func standby() {
        #expect(Self.judge(recovery: "true") == .notNow("the server is a standby (in recovery)"))
        guard case .refused = Self.judge(version: 110_022) else { Issue.record("taken"); return }
    }

    @Test("Another pair, no row and no table mean that we were fenced out")
    func fencedOut() {
        let missingTable = StatementResult.failed(SQLError(code: "42P01", severity: "ERROR", message: "m"))
        for fence in [
            .ok([["4", "0000000000000007", "1"]]), .ok([["3", "0000000000000008", "1"]]), .ok([]), missingTable,
        ]
            as [StatementResult]
        {
            guard case .fencedOut = Self.judge(fence: fence) else { Issue.record("\(fence) was taken"); return }
        }
        let error = StatementResult.failed(SQLError(code: "57014", severity: "ERROR", message: "m"))
        guard case .notNow = Self.judge(fence: error) else { Issue.record("an error proves nothing"); return }
    }
}

@Suite("PostgreSQL: configuration")
struct PostgresConfigurationTests {
    @Test(
        "The password is in no description and in no error",
        arguments: [
            "postgresql://app:s3cret@db.example:5433/pay", "host=db.example user=app password=s3cret dbname=pay",
        ])
    func description(uri: String) throws {
        let configuration = try PostgresConfiguration(uri: uri)
        for text in ["\(configuration)", String(reflecting: configuration)] {
            #expect(!text.contains("s3cret"))
            #expect(text.contains("db.example"))
        }
        var dumped = ""
        dump(configuration, to: &dumped)
        #expect(!dumped.contains("s3cret"))
    }

    @Test(
        "What libpq does not take is refused without a quotation",
        arguments: [
            "postgresql://app:s3cret@db.example:5433/pay?nonsense=s3cret", "postgresql://app:s3cret@[::1/pay",
            "postgresql://app:s3cret%zz@db/pay", "s3cret", "password s3cret=x host", "",
            // The mark makes one character of itself and libpq's quotation mark.
            "\u{32F}s3cret=",
        ])
    func malformed(uri: String) {
        let error = #expect(throws: PostgresConfigurationError.self) { try PostgresConfiguration(uri: uri) }
        #expect(error.map { !$0.message.contains("s3cret") } ?? false)
    }

    @Test("Numbers out of range are refused")
    func ranges() {
        #expect(throws: PostgresConfigurationError.self) { try PostgresConfiguration(uri: "host=x", poolSize: 0) }
        #expect(throws: PostgresConfigurationError.self) { try PostgresConfiguration(uri: "host=x", poolSize: 513) }
        #expect(throws: PostgresConfigurationError.self) {
            try PostgresConfiguration(uri: "host=x", lockTimeout: .zero)
        }
    }

    @Test("Our name is forced, the operator's network settings are kept")
    func parameters() throws {
        let configuration = try PostgresConfiguration(uri: "host=x application_name=me keepalives_idle=99")
        let parameters = configuration.connectionParameters(applicationName: "holdfast/1/2")
        #expect(parameters.filter { $0.keyword == "application_name" }.map(\.value) == ["holdfast/1/2"])
        #expect(parameters.filter { $0.keyword == "keepalives_idle" }.map(\.value) == ["99"])
        #expect(parameters.contains { $0.keyword == "tcp_user_timeout" })
    }
}

@Suite("PostgreSQL: queues and timers")
struct PostgresQueueTests {
    @Test("Timers fire in the order of their times, those taken back never")
    func timers() {
        var heap = TimerHeap<Int>()
        var tokens: [TimerHeap<Int>.Token] = []
        let times = (0..<200).map { ($0 * 7919) % 211 }
        for (number, time) in times.enumerated() { tokens.append(heap.insert(number, due: UInt64(time))) }
        for number in stride(from: 0, to: 200, by: 3) { heap.cancel(tokens[number]) }
        heap.cancel(tokens[0])
        #expect(heap.popDue(at: 0).map { times[$0] } ?? 0 == 0)
        var fired: [Int] = []
        while let number = heap.popDue(at: 300) { fired.append(number) }
        #expect(fired.map { times[$0] } == fired.map { times[$0] }.sorted())
        #expect(Set(fired).isDisjoint(with: stride(from: 0, to: 200, by: 3)))
        #expect(heap.count == 0 && heap.nextDue == nil)
        // A token of a timer that has fired must not hit the one that has its place now.
        let later = heap.insert(1, due: 5)
        heap.cancel(tokens[1])
        #expect(heap.count == 1)
        heap.cancel(later)
        #expect(heap.count == 0)
    }

    @Test("Slots are handed out in order, and not to those that gave up")
    func slots() {
        final class Waiter {}
        let waiters = (0..<5).map { _ in Waiter() }
        var slots = PreparedSlots<Waiter>()
        slots.resize(to: 2)
        #expect(slots.acquire(waiters[0]) && slots.acquire(waiters[1]))
        #expect(!slots.acquire(waiters[2]) && !slots.acquire(waiters[3]) && !slots.acquire(waiters[4]))
        slots.withdraw(waiters[2])
        #expect(slots.waitingCount == 2)
        #expect(slots.release() === waiters[3])
        #expect(slots.taken == 2)
        slots.resize(to: 1)
        #expect(slots.release() == nil)
        #expect(slots.release() === waiters[4])
        #expect(slots.release() == nil && slots.taken == 0)
    }

    @Test("A queue gives back what it was given, in order")
    func fifo() {
        var queue = FIFO<Int>()
        var next = 0
        for number in 0..<1000 {
            queue.append(number)
            guard number % 3 == 0 else { continue }
            #expect(queue.popFirst() == next)
            next += 1
        }
        queue.keep { $0 % 2 == 0 }
        #expect(queue.removeAll() == (next..<1000).filter { $0 % 2 == 0 })
        #expect(queue.popFirst() == nil && queue.isEmpty)
    }
}
