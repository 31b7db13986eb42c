import Coordinator
import Payments
import Testing

@testable import WAL

/// Steps that an operator or evidence stands behind, as the log takes them.
@Suite struct InterventionTests {
    private static let first = DatabaseIndex(rawValue: 1)

    private static func parking(_ number: UInt64, _ participant: Participant) -> ParkedRecord {
        ParkedRecord(transaction: Sample.transaction(number), participant: participant, evidence: "did otherwise")
    }

    private static func adoption(_ number: UInt64, _ outcome: Outcome) -> AdoptionRecord {
        AdoptionRecord(
            begin: Sample.begin(number), outcome: outcome,
            warrant: Warrant(.evidence, actor: "recover", reason: "its row is committed"))
    }

    @Test("Goal: two participants that did otherwise are both remembered, each once")
    func twoParkings() async throws {
        let test = try TestLog()
        try await test.takeAll(
            .begin(Sample.begin(1)), .commit(Sample.commit(1)), .park(Self.parking(1, .database(Self.first))),
            .park(Self.parking(1, .clearing)), .park(Self.parking(1, .clearing)))
        #expect(try test.log.snapshot().active.first?.parkedParticipants == [.database(Self.first), .clearing])
        #expect(try test.log.snapshot().active.first?.parkings.count == 2)
    }

    @Test("Goal: a resolution unparks, writes who ordered it, and settles the request's entry")
    func resolution() async throws {
        let test = try TestLog()
        try await test.takeAll(
            .begin(Sample.begin(1)), .commit(Sample.commit(1)), .park(Self.parking(1, .database(Self.first))))
        let request = Sample.intent(1).requestID
        #expect(try test.log.lookUp(request)?.status == .heuristic)
        let refused = await test.take(.resolve(Sample.resolution(1, .aborted), needsTwoPersons: false))
        #expect(refused == .failure(.notResolvable(.contradictsDecision(.committed))))
        let forced = Sample.resolution(1, .aborted, isForced: true)
        guard case .success(.resumed(let state)) = await test.take(.resolve(forced, needsTwoPersons: false)) else {
            return #expect(Bool(false), "not resolved")
        }
        guard case .abort(let abort) = state.decision else { return #expect(Bool(false), "not aborted") }
        #expect(!state.isParked && abort.record.reversal != nil)
        let snapshot = try test.log.snapshot()
        #expect(snapshot.active == [state] && snapshot.reversals.map(\.transaction) == [state.transaction])
        #expect(try test.log.lookUp(request)?.status == .declined(.commitFailed))
        let history = try test.log.history(of: state.transaction)
        #expect(history.suffix(2).first?.record == .resolved(forced))
        #expect(history.last?.lsn == abort.lsn)
    }

    @Test("Goal: where two persons are needed, one alone resolves nothing, twice neither")
    func twoPersons() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .park(Self.parking(1, .database(Self.first))))
        let alice = Sample.resolution(1, .committed)
        guard case .success(.proposed) = await test.take(.resolve(alice, needsTwoPersons: true)) else {
            return #expect(Bool(false), "not proposed")
        }
        #expect(try test.log.snapshot().active.first?.isParked == true)
        let again = await test.take(.resolve(alice, needsTwoPersons: true))
        #expect(again == .failure(.notResolvable(.sameActor("alice"))))
        // Another order of the second person is a proposal of its own.
        let other = Sample.resolution(1, .aborted, isForced: true, by: "bob")
        guard case .success(.proposed) = await test.take(.resolve(other, needsTwoPersons: true)) else {
            return #expect(Bool(false), "not proposed")
        }
        let carol = Sample.resolution(1, .aborted, isForced: true, by: "carol")
        guard case .success(.resumed) = await test.take(.resolve(carol, needsTwoPersons: true)) else {
            return #expect(Bool(false), "not resolved")
        }
    }

    @Test("Goal: an adopted transaction is unfinished with its decision, and answers for its request_id")
    func adoption() async throws {
        let test = try TestLog()
        guard case .success(.resumed(let state)) = await test.take(.adopt(Self.adoption(1, .committed))) else {
            return #expect(Bool(false), "not adopted")
        }
        #expect(try test.log.snapshot().active == [state])
        #expect(try test.log.lookUp(Sample.intent(1).requestID)?.status == .committing)
        #expect(await test.take(.adopt(Self.adoption(1, .aborted))) == .failure(.alreadyActive(state.transaction)))
        try await test.takeAll(.end(Sample.end(1, .committed)))
        let ended = try #require(try test.log.ended(state.transaction))
        #expect(ended.begin == state.begin)
        guard case .success(.resumed(let aborted)) = await test.take(.adopt(Self.adoption(2, .aborted))) else {
            return #expect(Bool(false), "not adopted")
        }
        #expect(try test.log.snapshot().reversals.map(\.transaction) == [aborted.transaction])
        test.log.close()
        #expect(try LogReader(path: test.directory.path).verify().isSound)
    }

    @Test("Goal: a transaction whose database lost its end is unfinished again, once")
    func reopening() async throws {
        let test = try TestLog()
        try await test.takeAll(
            .begin(Sample.begin(1)), .commit(Sample.commit(1)),
            .acknowledged(Sample.acknowledged(1, .database(Self.first))), .acknowledged(Sample.acknowledged(1)),
            .end(Sample.end(1, .committed)))
        let ended = try #require(try test.log.ended(Sample.transaction(1)))
        let record = ReopenedRecord(
            transaction: ended.transaction, database: Self.first, isParked: true, evidence: "neither branch nor row")
        guard case .success(.resumed(let state)) = await test.take(.reopen(ended, record)) else {
            return #expect(Bool(false), "not reopened")
        }
        #expect(state.parkedParticipants == [.database(Self.first)])
        #expect(state.acknowledged[.clearing] != nil && state.acknowledged[.database(Self.first)] == .lost)
        #expect(state.proven[.database(Self.first)] == nil, "nobody counts on it")
        let taken = await test.take(.resolve(Sample.resolution(1, .aborted, isForced: true), needsTwoPersons: false))
        #expect(taken == .failure(.notResolvable(.wasApproved)), "its client was told APPROVED")
        #expect(try test.log.lookUp(Sample.intent(1).requestID)?.status == .heuristic)
        #expect(await test.take(.reopen(ended, record)) == .failure(.alreadyActive(ended.transaction)))
        #expect(try test.log.ended(Sample.transaction(1)) == nil)
    }

    @Test("Goal: a parked reversal is sent again with its refusals forgotten")
    func reversalReleased() async throws {
        let test = try TestLog()
        try await test.takeAll(
            .begin(Sample.begin(1)), .abort(Sample.abort(1)),
            .parkReversal(ReversalParkedRecord(transaction: Sample.transaction(1), reason: "refused")),
            .releaseReversal(ReversalReleasedRecord(transaction: Sample.transaction(1), warrant: Sample.warrant)))
        let task = try #require(try test.log.snapshot().reversals.first)
        #expect(task.parkedReason == nil && task.refusals == 0)
    }

    @Test("Goal: the pairs that a database held and how far it was are remembered with its fence")
    func fences() async throws {
        let test = try TestLog()
        let identity = DatabaseIdentity(systemIdentifier: 1, databaseOID: 2)
        let pairs = (1...3).map {
            FencePair(epoch: Epoch(rawValue: UInt64($0)), incarnation: Incarnation(rawValue: 9))
        }
        let position = DatabasePosition(timeline: 1, walBytes: 77)
        try await test.takeAll(
            .fenceConfirmed(Self.first, identity, pairs[0]), .databaseSeen(Self.first, position),
            .fenceConfirmed(Self.first, identity, pairs[1]), .fenceConfirmed(Self.first, identity, pairs[1]),
            .fenceConfirmed(Self.first, identity, pairs[2]))
        let fence = try #require(try test.log.snapshot().fences.first)
        #expect(fence.confirmed == pairs[2] && fence.former == [pairs[0], pairs[1]] && fence.position == position)
        #expect(!position.mayHaveLostCommits(since: position))
        #expect(position.mayHaveLostCommits(since: DatabasePosition(timeline: 1, walBytes: 78)))
        #expect(DatabasePosition(timeline: 2, walBytes: 99).mayHaveLostCommits(since: position))
    }

    @Test("Goal: a value in quarantine goes back to its place only if it can be read there")
    func quarantine() async throws {
        let test = try TestLog()
        let missing = QuarantineReleasedRecord(number: 1, wasRestored: true, warrant: Sample.warrant)
        guard case .failure(.notInQuarantine) = await test.take(.releaseQuarantined(missing)) else {
            return #expect(Bool(false), "nothing was there")
        }
    }
}
