import Testing

@testable import ClearingSimulator

/// Goal: a transaction at the network is idempotent, its final states are final, and its replies never contradict each other.
@Suite struct ClearingEntryTests {
    static let terms = PaymentTerms(amount: "12.34", currency: "USD", fingerprint: 1)
    static let otherTerms = PaymentTerms(amount: "99.00", currency: "USD", fingerprint: 2)
    static let claim = PaymentClaim(amount: "12.34", currency: "USD")

    static let prepare = ClearingEvent.prepare(terms, authorizationCode: "AAAAAA", declines: false)
    static let declinedPrepare = ClearingEvent.prepare(terms, authorizationCode: "BBBBBB", declines: true)
    static let otherPrepare = ClearingEvent.prepare(otherTerms, authorizationCode: "CCCCCC", declines: false)
    static let commit = ClearingEvent.commit(claim, settlement: 7)
    static let otherCommit = ClearingEvent.commit(PaymentClaim(amount: "99.00", currency: nil), settlement: 8)
    static let abort = ClearingEvent.abort(claim)
    static let events = [prepare, declinedPrepare, otherPrepare, commit, otherCommit, abort]

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let history: [ClearingEvent]
        let event: ClearingEvent
        let reply: ClearingReply
        let state: ClearingEntry.State
        var testDescription: String { name }
    }

    static let cases = [
        Case(
            name: "prepare", history: [], event: prepare, reply: .holdPlaced(authorizationCode: "AAAAAA"), state: .held),
        Case(
            name: "a repeat of the prepare has the first code", history: [prepare],
            event: .prepare(terms, authorizationCode: "ZZZZZZ", declines: true),
            reply: .holdPlaced(authorizationCode: "AAAAAA"), state: .held),
        Case(
            name: "prepare, declined", history: [], event: declinedPrepare, reply: .declined(.doNotHonor),
            state: .declined),
        Case(
            name: "a decline is remembered", history: [declinedPrepare], event: prepare,
            reply: .declined(.doNotHonor), state: .declined),
        Case(name: "another content", history: [prepare], event: otherPrepare, reply: .conflict, state: .held),
        Case(name: "commit", history: [prepare], event: commit, reply: .settled(settlement: 7), state: .settled),
        Case(
            name: "a repeat of the commit has the first number", history: [prepare, commit],
            event: .commit(.none, settlement: 99), reply: .settled(settlement: 7), state: .settled),
        Case(
            name: "a commit of another amount", history: [prepare], event: otherCommit, reply: .conflict, state: .held),
        Case(
            name: "commit of nothing", history: [], event: commit, reply: .declined(.unknownTransaction),
            state: .declined),
        Case(
            name: "prepare after a refused commit", history: [commit], event: prepare,
            reply: .declined(.unknownTransaction), state: .declined),
        Case(
            name: "commit after a decline", history: [declinedPrepare], event: commit, reply: .declined(.doNotHonor),
            state: .declined),
        Case(
            name: "commit after a release", history: [prepare, abort], event: commit, reply: .declined(.released),
            state: .released),
        Case(
            name: "commit of a tombstone", history: [abort], event: commit, reply: .declined(.aborted),
            state: .tombstone),
        Case(name: "abort", history: [prepare], event: abort, reply: .holdReleased, state: .released),
        Case(
            name: "a repeat of the abort", history: [prepare, abort], event: abort, reply: .holdReleased,
            state: .released),
        Case(name: "abort of nothing", history: [], event: abort, reply: .holdReleased, state: .tombstone),
        Case(name: "a repeat of that", history: [abort], event: abort, reply: .holdReleased, state: .tombstone),
        Case(
            name: "prepare after the abort", history: [abort], event: prepare, reply: .declined(.aborted),
            state: .tombstone),
        Case(
            name: "prepare after the release", history: [prepare, abort], event: prepare,
            reply: .declined(.released), state: .released),
        Case(
            name: "abort after a decline", history: [declinedPrepare], event: abort, reply: .holdReleased,
            state: .declined),
        Case(
            name: "abort after the commit", history: [prepare, commit], event: abort,
            reply: .declined(.alreadySettled), state: .settled),
        Case(
            name: "a late repeat of the prepare", history: [prepare, commit], event: prepare,
            reply: .holdPlaced(authorizationCode: "AAAAAA"), state: .settled),
    ]

    @Test(arguments: cases) func reply(_ example: Case) {
        var entry = ClearingEntry(unseen: "t")
        for event in example.history { _ = entry.handle(event) }
        #expect(entry.handle(example.event) == example.reply)
        #expect(entry.state == example.state)
    }

    /// Every sequence of up to five events, 9,330 of them.
    @Test func everySequence() {
        var level: [[ClearingEvent]] = [[]]
        for _ in 0..<5 {
            level = level.flatMap { sequence in Self.events.map { sequence + [$0] } }
            for sequence in level { check(sequence) }
        }
        #expect(level.count == 7776)
    }

    private func check(_ sequence: [ClearingEvent]) {
        var entry = ClearingEntry(unseen: "t")
        var wasSettled = false
        var wasReleased = false
        var heard = 0
        for event in sequence {
            let before = entry
            let reply = entry.handle(event)
            if reply == .conflict {
                #expect(entry == before, "a conflict changed something: \(sequence)")
                continue
            }
            heard += 1
            switch before.state {
            case .unseen: #expect(entry.state != .unseen && entry.state != .released)
            case .held: break
            case .settled, .released, .declined, .tombstone:
                #expect(entry.state == before.state, "a final state changed: \(sequence)")
            }
            var again = entry
            let repeated = again.handle(event)
            #expect(repeated == reply, "a repeat was answered otherwise: \(sequence)")
            #expect(again.state == entry.state)
            if case .settled = reply { wasSettled = true }
            if case .holdReleased = reply, before.state == .held || before.state == .released { wasReleased = true }
            #expect(!(wasSettled && wasReleased), "settled and released: \(sequence)")
            let line = JournalLine.encode(entry)
            #expect(JournalLine.decode(line.dropLast()) == entry, "the books give back another entry: \(sequence)")
        }
        #expect(Int(entry.prepares + entry.commits + entry.aborts) == heard)
    }

    /// Goal: a settlement number is given once, also when the books were read back.
    @Test func settlementNumbers() {
        var book = ClearingBook()
        for index in 1...3 {
            let id = "t\(index)"
            book.record(book.outcome(of: Self.prepare, for: id).entry)
            let (entry, reply) = book.outcome(
                of: .commit(Self.claim, settlement: book.nextSettlement), for: id)
            book.record(entry)
            #expect(reply == .settled(settlement: UInt64(index)))
        }
        var readBack = ClearingBook()
        for entry in book.entries.reversed() { readBack.record(entry) }
        #expect(readBack.nextSettlement == 4)
        #expect(book.entries.map(\.transaction) == ["t1", "t2", "t3"])
    }
}
