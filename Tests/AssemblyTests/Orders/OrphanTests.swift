import Coordinator
import Payments
import Testing

@testable import Assembly

/// What is proposed for a branch without a record, and what an adoption makes of it.
@Suite struct OrphanTests {
    private static let log = LogID(high: 5, low: 6)
    private static let id = TransactionID(high: 1, low: 2)
    private static let db1 = DatabaseIndex(rawValue: 1)
    private static let db2 = DatabaseIndex(rawValue: 2)

    private enum Shown { case prepared, committed, absent, away }

    private static func orphan(
        _ shown: Shown..., network: ClearingStatus? = nil, epochs: [UInt64] = [3, 3]
    ) -> Orphan {
        var states: [DatabaseIndex: DatabaseObservation.State] = [:]
        for (offset, shown) in shown.enumerated() {
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            let gid = GlobalBranchID(
                log: log, epoch: Epoch(rawValue: epochs[offset]), transaction: id, database: index
            ).description
            // The list is of the whole cluster: every database shows every other's branches, and foreign ones.
            let foreign = PreparedTransaction(
                gid: "visa_x", owner: "o", databaseName: "d", preparedAt: WallTime(microseconds: 1))
            let own = PreparedTransaction(
                gid: gid, owner: "o", databaseName: "d", preparedAt: WallTime(microseconds: 1))
            switch shown {
            case .prepared:
                states[index] = .seen(.init(prepared: [foreign, own], witnessed: [], olderBackendsAlive: false))
            case .committed:
                states[index] = .seen(.init(prepared: [foreign], witnessed: [id], olderBackendsAlive: false))
            case .absent: states[index] = .seen(.init(prepared: [foreign], witnessed: [], olderBackendsAlive: false))
            case .away: states[index] = .unreachable("away")
            }
        }
        return Orphan(id, log: log, states, network: network)
    }

    private static func proposed(_ orphan: Orphan) -> Outcome? {
        guard case .outcome(let outcome, let why) = orphan.proposal else { return nil }
        #expect(!why.isEmpty)
        return outcome
    }

    @Test("Goal: a committed row proves the commit; without one in any database nobody was told APPROVED")
    func proposals() {
        let quiet: [ClearingStatus] = [.released, .declined, .tombstone]
        #expect(Self.proposed(Self.orphan(.prepared, .committed)) == .committed)
        #expect(Self.proposed(Self.orphan(.prepared, .committed, network: .held)) == .committed)
        #expect(Self.proposed(Self.orphan(.prepared, .absent, network: .settled)) == .committed)
        for status in quiet + [.held, .unknown] {
            #expect(Self.proposed(Self.orphan(.prepared, .absent, network: status)) == .aborted, "\(status)")
        }
        for status in quiet {
            #expect(
                Self.proposed(Self.orphan(.prepared, .committed, network: status)) == nil, "they contradict each other")
        }
        #expect(Self.proposed(Self.orphan(.prepared)) == nil, "the network was not asked")
        #expect(Self.proposed(Self.orphan(.prepared, network: .unreachable("out"))) == nil)
        #expect(Self.proposed(Self.orphan(.prepared, .away, network: .held)) == nil, "the row may be there")
    }

    @Test("Goal: while a database cannot be asked nothing is adopted, and never against a committed row")
    func refusals() {
        #expect(Self.orphan(.prepared, .away).refusal(of: .committed)?.code == "not_asked")
        #expect(Self.orphan(.absent, .absent).refusal(of: .committed)?.code == "no_orphan")
        #expect(Self.orphan(.prepared, .committed).refusal(of: .aborted)?.code == "contradicts_witness")
        #expect(Self.orphan(.prepared, .prepared, epochs: [3, 4]).refusal(of: .aborted)?.code == "failed")
        #expect(Self.orphan(.prepared, .committed).refusal(of: .committed) == nil)
        #expect(Self.orphan(.prepared, .absent).refusal(of: .aborted) == nil)
    }

    @Test(
        "Goal: the record names every database that has a part in it and the epoch of its branches; one is the witness")
    func begin() {
        func begin(_ orphan: Orphan) -> BeginRecord {
            orphan.begin(epochIfUnknown: Epoch(rawValue: 9), now: WallTime(microseconds: 7))
        }
        let one = begin(Self.orphan(.absent, .prepared))
        #expect(one.epoch == Epoch(rawValue: 3))
        #expect(
            one.branches == [
                Branch(participant: .clearing),
                Branch(participant: .database(Self.db2), role: [.payment, .merchantEntry]),
            ])
        let both = begin(Self.orphan(.prepared, .committed))
        #expect(both.paymentDatabase == .database(Self.db2), "where the row is visible")
        #expect(both.branches.count == 3)
        let neither = begin(Self.orphan(.prepared, .prepared))
        #expect(neither.paymentDatabase == .database(Self.db1))
        #expect(begin(Self.orphan(.committed)).epoch == Epoch(rawValue: 9), "no branch has to be named any more")
        #expect(one.intent.amount.minorUnits == 0 && one.intent.requestID.text == Self.id.description)
        let warrant = Warrant(.order, actor: "alice", reason: "why")
        #expect(AdoptionRecord(begin: one, outcome: .aborted, warrant: warrant).isNameless)
    }
}
