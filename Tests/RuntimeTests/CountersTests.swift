import Coordinator
import Foundation
import Runtime
import Telemetry
import Testing

/// What the counters and the log lines say.
@Suite struct CountersTests {
    /// Goal: every request is counted once as approved, declined, pending or a repeat, whatever became of it.
    @Test func theBooksBalance() async throws {
        let world = World {
            $0.prepareTimeout = Milliseconds(900)
            $0.commitTimeout = Milliseconds(1)
        }
        // Joined repeats of an approved payment, and a repeat and a conflict after it.
        world.clearing.votes.hold()
        let joined = (0..<3).map { _ in world.submit("r1") }
        try await world.settle()
        world.clearing.votes.answer(.yes(authorizationCode: "X"))
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        for ticket in joined { #expect(try await ticket.reply().answer.text == "APPROVED") }
        try await world.pay("r1")
        try await world.pay(Payment("r1").with { $0.amount = 5 })
        // Declined, joined; made by another; contended, joined; faulty.
        world.database.votes.hold()
        let declined = (0..<2).map { _ in world.submit("r2") }
        try await world.settle()
        world.database.votes.release(.no(.unavailable("x")))
        for ticket in declined { #expect(try await ticket.reply().answer.text == "DECLINED db_error") }
        world.database.votes.answer(.no(.madeBy(TransactionID(high: 8, low: 8))))
        try await world.pay("r3")
        world.database.votes.hold()
        let contended = (0..<2).map { _ in world.submit("r4") }
        try await world.settle()
        world.database.votes.release(.no(.contended))
        for ticket in contended { #expect(try await ticket.reply().answer.text == "PENDING") }
        try await world.pay(Payment("r5").with { $0.fault = .luhnFailed })
        // Pending at the waiter's limit, approved later.
        world.database.votes.answer(.yes(authorizationCode: ""))
        world.database.resolutions.hold()
        try await world.pay("r6")
        world.database.resolutions.answer(.done(.acknowledgement))
        world.database.resolutions.release(.done(.acknowledgement))
        try await world.idle()
        // Two that share the refusal of a full log.
        world.log.hold(\.isBegin)
        let busy = (0..<2).map { _ in world.submit("r7") }
        try await world.settle()
        world.log.refuseAsFull(\.isBegin)
        world.log.release()
        for ticket in busy { #expect(try await ticket.reply() == Reply(.refused(.serverBusy))) }

        let counted = Dictionary(uniqueKeysWithValues: world.counters.snapshot.map { ($0.counter, $0.count) })
        #expect(counted[.total] == 14)
        #expect(counted[.approved] == 1)
        #expect(counted[.declined] == 1 + 1 + 1 + 2)
        #expect(counted[.pending] == 2 + 1)
        #expect(counted[.idempotentRepeat] == 2 + 1 + 1 + 1)
        #expect(counted[.idempotencyConflict] == 1 && counted[.serverBusy] == 2)
        #expect(counted[.twoPhaseCommitted] == 2, "r1 and r6")
        #expect(counted[.twoPhaseAborted] == 3, "r2, r3 and r4")
        #expect(counted[.reversalEnqueued] == 3 && counted[.reversalSucceeded] == 3)
        let answered = [Counter.approved, .declined, .pending, .idempotentRepeat].compactMap { counted[$0] }
        #expect(answered.reduce(0, +) == counted[.total])
    }

    /// Goal: the line of a payment has the keys that people grep for, and no line has the card's number.
    @Test func aPaymentWritesItsLine() async throws {
        let path = NSTemporaryDirectory() + "holdfast-lines-\(UInt64.random(in: 0 ... .max))"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { unlink(path) }
        let sink = LineSink(descriptor: descriptor)
        let world = World(sink: sink)
        let approved = try await world.pay("r1")
        world.clearing.votes.answer(.no(.declined("no")))
        let declined = try await world.pay("r2")
        world.clearing.votes.answer(.unknown("the connection was lost"))
        try await world.pay("r3")
        try await world.idle()
        sink.flush()

        let text = try String(contentsOfFile: path, encoding: .utf8)
        let lines = text.split(separator: "\n")
        let made = try #require(lines.first { $0.contains(#""request_id":"r1""#) })
        let transactions = try [approved, declined].map { try #require($0.answer.transaction) }
        #expect(made.contains(#""lvl":"INFO","event":"tx""#) && made.contains(#""status":"APPROVED""#))
        #expect(made.contains(#""txn_id":"\#(transactions[0])""#) && made.contains(#""latency_us":"#))
        let refused = try #require(lines.first { $0.contains(#""request_id":"r2""#) })
        #expect(refused.contains(#""status":"DECLINED","reason":"clearing_declined""#))
        #expect(refused.contains(#""txn_id":"\#(transactions[1])""#))
        #expect(lines.contains { $0.contains(#""lvl":"WARN","event":"clearing""#) && $0.contains("was lost") })
        for line in lines {
            let parsed = try JSONSerialization.jsonObject(with: Data(line.utf8))
            #expect(parsed is [String: Any], "\(line)")
        }
        #expect(!text.contains("4111111111111111"))
    }
}
