import Coordinator
import Testing

/// What a database that went back in time has lost.
@Suite struct CommitAuditTests {
    private static let db1 = Samples.database(1)
    private static let db2 = Samples.database(2)
    private static let begin = Samples.begin(databases: 2)

    private static func committed(
        _ proofs: [Participant: Proof] = [.database(db1): .acknowledgement, .database(db2): .witness],
        parked: ParkedRecord? = nil
    ) -> ActiveTransaction {
        Samples.active(begin, Samples.commit(begin), acknowledged: proofs, parked: parked)
    }

    private static func losses(
        _ transactions: [ActiveTransaction], prepared: [PreparedTransaction] = [], witnessed: Set<TransactionID> = []
    ) -> [LostCommit] {
        CommitAudit.losses(
            among: transactions, at: db1, log: Samples.log,
            .init(prepared: prepared, witnessed: witnessed, olderBackendsAlive: false))
    }

    @Test("Goal: a row that is there proves the commit, whatever else is listed")
    func witnessed() {
        let branch = Recovery.branch(at: Self.db1, epoch: 1)
        #expect(Self.losses([Self.committed()], witnessed: [Samples.transaction]) == [])
        #expect(Self.losses([Self.committed()], prepared: [branch], witnessed: [Samples.transaction]) == [])
    }

    @Test(
        "Goal: without a row the commit is lost; only its own branch can be committed again, else it waits for an operator"
    )
    func lost() throws {
        let gone = try #require(Self.losses([Self.committed()]).first)
        #expect(!gone.isPreparedAgain && gone.reopening.isParked)
        #expect(gone.reopening.database == Self.db1 && gone.reopening.transaction == Samples.transaction)
        let again = try #require(
            Self.losses([Self.committed()], prepared: [Recovery.branch(at: Self.db1, epoch: 1)]).first)
        #expect(again.isPreparedAgain && !again.reopening.isParked)
        for other in [
            Recovery.branch(at: Self.db2, epoch: 1), Recovery.branch(at: Self.db1, epoch: 2),
            Recovery.branch(at: Self.db1, epoch: 1, of: Samples.transactionID(9)),
        ] {
            #expect(Self.losses([Self.committed()], prepared: [other]).map(\.isPreparedAgain) == [false])
        }
    }

    @Test("Goal: only a commit that the log counts on there is verified")
    func concerned() {
        let db1 = Participant.database(Self.db1)
        let parked = ParkedRecord(transaction: Samples.transaction, participant: db1, evidence: "rolled back")
        #expect(CommitAudit.concerns(Self.committed(), at: Self.db1))
        #expect(!CommitAudit.concerns(Self.committed(), at: Samples.database(3)))
        for passedOver in [
            Self.committed([:]), Self.committed([db1: .accepted]), Self.committed(parked: parked),
            Samples.active(Self.begin, Samples.abort(Self.begin), acknowledged: [db1: .acknowledgement]),
            Samples.active(Self.begin),
        ] {
            #expect(!CommitAudit.concerns(passedOver, at: Self.db1), "\(passedOver)")
            #expect(Self.losses([passedOver]) == [])
        }
    }

    @Test(
        "Goal: a database that lost an acknowledged commit is told again, and its new answer is written like the first")
    func toldAgain() throws {
        let active = Self.committed()
        let db1 = Participant.database(Self.db1)
        var (machine, effects) = TransactionMachine.resume(
            active, timing: Samples.timing, now: WallTime(microseconds: 0))
        #expect(Self.told(effects) == [.clearing])
        let again = machine.acknowledgementLost(by: db1)
        #expect(Self.told(again) == [db1])
        #expect(machine.acknowledgementLost(by: db1) == [], "it is being told already")
        // Without the database the payment does not end, even if the network confirms.
        #expect(!machine.resolved(.clearing, .done(.acknowledgement)).contains { $0.isEnd })
        #expect(machine.resolved(db1, .heuristic("gone")).contains { $0.isParking })
        #expect(machine.waitsForOperator)
        #expect(machine.acknowledgementLost(by: db1) == [], "it waits for an operator already")
        #expect(machine.acknowledgementLost(by: .clearing) == [], "the network is no database")
    }

    @Test("Goal: an abort that was acknowledged is carried out again as well, and then ends")
    func abortToldAgain() {
        let db1 = Participant.database(Self.db1)
        let active = Samples.active(Self.begin, Samples.abort(Self.begin), acknowledged: [db1: .absence])
        var (machine, _) = TransactionMachine.resume(active, timing: Samples.timing, now: WallTime(microseconds: 0))
        #expect(Self.told(machine.acknowledgementLost(by: db1)) == [db1])
        #expect(!machine.resolved(.database(Self.db2), .done(.absence)).contains { $0.isEnd })
        #expect(machine.resolved(db1, .done(.acknowledgement)).contains { $0.isEnd })
        #expect(machine.acknowledgementLost(by: db1) == [], "END is on its way")
    }

    private static func told(_ effects: [Effect]) -> [Participant] {
        effects.compactMap { if case .resolve(let order, _) = $0 { order.branch.participant } else { nil } }
    }
}

extension Effect {
    fileprivate var isEnd: Bool { if case .append(.end, _) = self { true } else { false } }
    fileprivate var isParking: Bool { if case .append(.park, _) = self { true } else { false } }
}
