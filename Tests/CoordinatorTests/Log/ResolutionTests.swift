import Coordinator
import Payments
import Testing

/// What an operator may order, and what not.
@Suite struct ResolutionTests {
    private static let begin = Samples.begin(databases: 2)
    private static let db1 = Participant.database(Samples.database(1))
    private static let db2 = Participant.database(Samples.database(2))
    private static let now = WallTime(microseconds: 7)

    private static func parked(_ participant: Participant) -> ParkedRecord {
        ParkedRecord(transaction: Samples.transaction, participant: participant, evidence: "seen")
    }

    private static func order(
        _ outcome: Outcome, forced: Bool = false, _ authority: Authority = .order
    ) -> ResolutionRecord {
        ResolutionRecord(
            transaction: Samples.transaction, outcome: outcome, isForced: forced,
            warrant: Warrant(authority, actor: "alice", reason: "because"))
    }

    private static let lost = LogContinuity.broken(
        LogBreak(cause: .restored, firstLostEpoch: Epoch(rawValue: 1), at: now))

    private static func resolving(
        _ active: ActiveTransaction, _ order: ResolutionRecord, _ continuity: LogContinuity = .unbroken
    ) -> Result<Resolving, ResolutionRefusal> {
        Result { () throws(ResolutionRefusal) in
            try active.resolving(order, now: now, continuity: continuity)
        }
    }

    private static func refusal(
        _ active: ActiveTransaction, _ order: ResolutionRecord, _ continuity: LogContinuity = .unbroken
    ) -> ResolutionRefusal? {
        switch resolving(active, order, continuity) {
        case .success: nil
        case .failure(let refusal): refusal
        }
    }

    @Test("Goal: what goes on by itself is not resolved, whatever the order")
    func onlyWhatIsParked() {
        for decision in [.undecided, Samples.commit(Self.begin), Samples.abort(Self.begin)] {
            for outcome in Outcome.allCases {
                let active = Samples.active(Self.begin, decision)
                #expect(Self.refusal(active, Self.order(outcome, forced: true)) == .notParked)
            }
        }
    }

    @Test("Goal: in a broken log evidence decides what is open, and nothing that waits for a person")
    func evidence() throws {
        let open = Samples.active(Self.begin)
        for outcome in Outcome.allCases {
            #expect(Self.refusal(open, Self.order(outcome, .evidence), Self.lost) == nil)
            #expect(Self.refusal(open, Self.order(outcome, .evidence)) == .notParked)
            let waiting = Samples.active(Self.begin, parked: Self.parked(Self.db1))
            #expect(Self.refusal(waiting, Self.order(outcome, .evidence), Self.lost) == .notParked)
        }
    }

    @Test("Goal: a payment whose row is committed is not aborted without force, and then has its reversal")
    func contradiction() throws {
        let active = Samples.active(Self.begin, parked: Self.parked(Self.db1))
        let committing = try Self.resolving(active, Self.order(.committed)).get()
        guard case .commit = committing.decision else { return #expect(Bool(false), "not committed") }
        #expect(committing.acknowledged == [:] && committing.dropsReversal)
        #expect(Self.refusal(active, Self.order(.aborted)) == .contradictsWitness)
        let aborting = try Self.resolving(active, Self.order(.aborted, forced: true)).get()
        guard case .abort(let record) = aborting.decision else { return #expect(Bool(false), "not aborted") }
        #expect(record.reversal?.transaction == Samples.transaction && record.reversal?.createdAt == Self.now)
        #expect(aborting.acknowledged == [Self.db1: .accepted])
    }

    @Test("Goal: an order that agrees with the decision asks again who did otherwise; with force it is taken as it is")
    func agreement() throws {
        for (decision, outcome) in [
            (Samples.commit(Self.begin), Outcome.committed), (Samples.abort(Self.begin), .aborted),
        ] {
            let active = Samples.active(
                Self.begin, decision, acknowledged: [Self.db2: .acknowledgement], parked: Self.parked(Self.db1))
            let again = try Self.resolving(active, Self.order(outcome)).get()
            #expect(again.decision == .asLogged && again.acknowledged == [Self.db2: .acknowledgement])
            let taken = try Self.resolving(active, Self.order(outcome, forced: true)).get()
            #expect(taken.acknowledged == [Self.db1: .accepted, Self.db2: .acknowledgement])
            let resolved = active.resolved(taken, decision: active.decision)
            #expect(!resolved.isParked && resolved.proposal == nil)
        }
    }

    @Test("Goal: a database that had committed and lost it is asked again, and APPROVED is not forgotten over it")
    func lostCommits() throws {
        let lost = Samples.active(
            Self.begin, Samples.commit(Self.begin), acknowledged: [Self.db1: .acknowledgement],
            parked: Self.parked(Self.db1))
        let again = try Self.resolving(lost, Self.order(.committed)).get()
        #expect(again.acknowledged == [Self.db1: .lost])
        let asked = lost.resolved(again, decision: lost.decision)
        #expect(asked.proven.isEmpty, "nobody counts on it")
        var parkedAgain = asked
        parkedAgain.park(Samples.durable(Self.parked(Self.db1)))
        #expect(Self.refusal(parkedAgain, Self.order(.aborted, forced: true)) == .wasApproved)
        let confirmed = Samples.active(
            Self.begin, Samples.commit(Self.begin), acknowledged: [.clearing: .acknowledgement],
            parked: Self.parked(Self.db1))
        #expect(Self.refusal(confirmed, Self.order(.aborted, forced: true)) == .wasApproved)
    }

    @Test("Goal: capitals and blanks make no second person of the first")
    func samePerson() {
        let alice = Warrant(.order, actor: "alice", reason: "seen")
        for name in ["Alice", " ALICE ", "alice\t"] {
            #expect(alice.isBySameActor(as: Warrant(.order, actor: name, reason: "other")))
        }
        #expect(!alice.isBySameActor(as: Warrant(.order, actor: "alice b", reason: "seen")))
    }

    @Test("Goal: in a broken log a person decides before the evidence only with force")
    func insistence() {
        let open = Samples.active(Self.begin)
        for outcome in Outcome.allCases {
            #expect(Self.refusal(open, Self.order(outcome), Self.lost) == .awaitsEvidence)
            #expect(Self.refusal(open, Self.order(outcome, forced: true), Self.lost) == nil)
        }
    }

    @Test("Goal: a logged decision is contradicted with force only, and an APPROVED payment never")
    func contradictsDecision() throws {
        let rolledBack = Samples.active(Self.begin, Samples.commit(Self.begin), parked: Self.parked(Self.db1))
        #expect(Self.refusal(rolledBack, Self.order(.aborted)) == .contradictsDecision(.committed))
        let aborting = try Self.resolving(rolledBack, Self.order(.aborted, forced: true)).get()
        guard case .abort(let record) = aborting.decision else { return #expect(Bool(false), "not aborted") }
        #expect(record.reversal != nil)

        let approved = Samples.active(
            Self.begin, Samples.commit(Self.begin), acknowledged: [Self.db1: .acknowledgement],
            parked: Self.parked(Self.db2))
        #expect(Self.refusal(approved, Self.order(.aborted, forced: true)) == .wasApproved)

        let committed = Samples.active(Self.begin, Samples.abort(Self.begin), parked: Self.parked(Self.db1))
        #expect(Self.refusal(committed, Self.order(.committed)) == .contradictsDecision(.aborted))
        let committing = try Self.resolving(committed, Self.order(.committed, forced: true)).get()
        #expect(committing.dropsReversal)
        let gone = Samples.active(
            Self.begin, Samples.abort(Self.begin), acknowledged: [Self.db1: .absence], parked: Self.parked(Self.db2))
        #expect(Self.refusal(gone, Self.order(.committed, forced: true)) == .hasNoRow)
    }
}
