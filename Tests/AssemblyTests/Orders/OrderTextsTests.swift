import Coordinator
import Foundation
import Payments
import Runtime
import Testing

@testable import Assembly

/// What people and scripts are told of an order.
@Suite struct OrderTextsTests {
    private static let id = TransactionID(high: 1, low: 2)

    private static func order(_ outcome: Outcome = .committed) throws -> OperatorOrder {
        .resolve(id, outcome, isForced: false, by: try Signature(actor: "alice", reason: "why"))
    }

    @Test("Goal: every refusal has a code of its own, exit code 1, and says what can be done")
    func refusals() throws {
        let order = try Self.order()
        let refusals: [(OrderRefusal, OrderResult.Code, String)] = [
            (.busy(Self.id), .busy, "again in a moment"),
            (.notAnOrder, .invalid, "nothing that can be ordered"),
            (.log(.notActive(Self.id)), .notUnfinished, "recover show"),
            (.log(.noReversal(Self.id)), .noReversal, "acknowledged"),
            (.log(.alreadyActive(Self.id)), .known, "no orphan"),
            (.log(.notInQuarantine("there is no number 3")), .notInQuarantine, "number 3"),
            (.log(.full), .logFull, "free space"),
            (.log(.notResolvable(.notParked)), .notParked, "run recover"),
            (.log(.notResolvable(.contradictsDecision(.committed))), .contradictsDecision, "--force-heuristic"),
            (.log(.notResolvable(.contradictsWitness)), .contradictsWitness, "--commit"),
            (.log(.notResolvable(.wasApproved)), .wasApproved, "refund"),
            (.log(.notResolvable(.hasNoRow)), .hasNoRow, "aborted"),
            (.log(.notResolvable(.sameActor("alice"))), .sameActor, "second person"),
        ]
        for (refusal, code, words) in refusals {
            let result = OrderResult(refusal, of: order)
            #expect(result.code == code.rawValue && !result.isAccepted && result.exitCode == 1, "\(refusal)")
            #expect(result.message.contains(words), "\(result.message)")
        }
        #expect(Set(refusals.map(\.1)).count == refusals.count)
    }

    @Test("Goal: only refusals that yield to force mention it")
    func force() throws {
        let all: [ResolutionRefusal] = [
            .notParked, .contradictsDecision(.aborted), .contradictsWitness, .wasApproved, .hasNoRow, .sameActor("bob"),
        ]
        for refusal in all {
            let message = OrderResult(refusal, of: try Self.order()).message
            #expect(message.contains("--force-heuristic") == refusal.yieldsToForce, "\(message)")
        }
    }

    @Test("Goal: what came of an order tells done from what is left, in words, code and exit code")
    func aftermath() throws {
        let order = try Self.order()
        let parking = ParkedRecord(
            transaction: Self.id, participant: .database(DatabaseIndex(rawValue: 1)), evidence: "rolled back in db1")
        let expected: [(Aftermath, OrderResult.Code, Int32, String?, String)] = [
            (.done, .done, 0, "COMMITTED", "is committed"),
            (.parked([parking]), .parkedAgain, 3, "PARKED", "db1: rolled back in db1"),
            (.reversalParked("already_settled"), .parkedAgain, 3, "REVERSAL PARKED", "already_settled"),
            (.reversalOpen(refusals: 2), .stillOpen, 3, "REVERSAL DUE", "refused 2 times"),
            (.open, .stillOpen, 3, "COMMITTING", "recover show"),
        ]
        for (aftermath, code, exit, state, words) in expected {
            let result = OrderResult(aftermath, of: order)
            #expect(result.code == code.rawValue && result.exitCode == exit && result.state == state)
            #expect(result.isAccepted && result.message.contains(words), "\(result.message)")
        }
        let again = OrderResult(.parked([parking]), of: order).message
        #expect(again.contains("--commit --force-heuristic takes this as it is"))
        #expect(again.contains("--abort --force-heuristic turns the decision round"))
    }

    @Test("Goal: a result comes out of its line as it went in")
    func line() throws {
        for result in [OrderResult(.done, "a \"b\" é", state: "COMMITTED"), OrderResult(.busy, "x")] {
            let line = try result.line
            #expect(line.last == UInt8(ascii: "\n"))
            #expect(try OrderResult(line: line.dropLast()) == result)
        }
        let text = String(decoding: try OrderResult(.busy, "x").line, as: UTF8.self)
        #expect(text == #"{"accepted":false,"code":"busy","exit_code":1,"message":"x"}"# + "\n")
        #expect(throws: ControlSocketError.self) { try OrderResult(line: "{}".utf8) }
    }

    // MARK: - From the log alone

    private static func snapshot(
        active: [ActiveTransaction] = [], reversals: [ReversalTask] = []
    ) -> LogSnapshot {
        LogSnapshot(
            log: LogID(high: 1, low: 1),
            owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 3)),
            nextLSN: LSN(rawValue: 10), active: active, reversals: reversals, fences: [], quarantined: 0)
    }

    private static func active(isParked: Bool) -> ActiveTransaction {
        let begin = BeginRecord(
            transaction: id, epoch: Epoch(rawValue: 1), intent: .nameless(id),
            branches: [
                Branch(participant: .clearing),
                Branch(participant: .database(DatabaseIndex(rawValue: 1)), role: [.payment, .merchantEntry]),
            ], deadline: WallTime(microseconds: 0))
        var active = ActiveTransaction(
            begin: durable(begin), decision: .commit(durable(CommitRecord(transaction: id, authorizationCode: ""))),
            acknowledged: [:])
        if isParked {
            active.park(
                durable(
                    ParkedRecord(
                        transaction: id, participant: .database(DatabaseIndex(rawValue: 1)), evidence: "not there")))
        }
        return active
    }

    private static func durable<Record>(_ record: Record) -> Durable<Record> {
        Durable(attestedByLog: record, lsn: LSN(rawValue: 1), writtenAt: WallTime(microseconds: 0))
    }

    private static func task(parked reason: String? = nil) -> ReversalTask {
        ReversalTask(
            transaction: id, intent: .nameless(id), createdAt: WallTime(microseconds: 0), parkedReason: reason)
    }

    @Test("Goal: an order that the log would refuse is refused before anything is taken over")
    func refusedFromTheLog() throws {
        let by = try Signature(actor: "alice", reason: "why")
        func code(_ order: OperatorOrder, _ snapshot: LogSnapshot) -> String? {
            OrderResult.refusal(of: order, in: snapshot, now: WallTime(microseconds: 1))?.code
        }
        let none = Self.snapshot()
        let parked = Self.snapshot(active: [Self.active(isParked: true)])
        let moving = Self.snapshot(active: [Self.active(isParked: false)])
        #expect(code(try Self.order(), none) == "not_unfinished")
        #expect(code(try Self.order(), moving) == "not_parked")
        #expect(code(try Self.order(), parked) == nil)
        #expect(code(try Self.order(.aborted), parked) == "contradicts_decision")
        #expect(code(.resolve(Self.id, .aborted, isForced: true, by: by), parked) == nil)
        #expect(code(.adopt(Self.id, .committed, by: by), parked) == "known")
        #expect(code(.adopt(Self.id, .committed, by: by), none) == nil)

        let due = Self.snapshot(reversals: [Self.task()])
        let waiting = Self.snapshot(reversals: [Self.task(parked: "no")])
        let held = Self.snapshot(active: [Self.active(isParked: true)], reversals: [Self.task()])
        for order in [OperatorOrder.retryReversal(Self.id, by: by), .unparkReversal(Self.id, by: by)] {
            #expect(code(order, none) == "no_reversal")
            #expect(code(order, held) == "reversal_held")
            #expect(code(order, waiting) == nil)
        }
        #expect(code(.retryReversal(Self.id, by: by), due) == nil)
        #expect(code(.unparkReversal(Self.id, by: by), due) == "reversal_not_parked")
        #expect(code(.parkReversal(Self.id, by: by), due) == nil)
        #expect(code(.parkReversal(Self.id, by: by), none) == "no_reversal")
    }

    @Test("Goal: what is seen afterwards is read from the log")
    func seenAfterwards() throws {
        let order = try Self.order(.aborted)
        #expect(Aftermath(of: order, in: Self.snapshot()) == .done)
        #expect(Aftermath(of: order, in: Self.snapshot(active: [Self.active(isParked: false)])) == .open)
        #expect(
            Aftermath(of: order, in: Self.snapshot(active: [Self.active(isParked: true)]))
                == .parked([Self.active(isParked: true).parkings[0].record]))
        #expect(Aftermath(of: order, in: Self.snapshot(reversals: [Self.task()])) == .reversalOpen(refusals: 0))
        #expect(Aftermath(of: order, in: Self.snapshot(reversals: [Self.task(parked: "no")])) == .reversalParked("no"))
    }
}
