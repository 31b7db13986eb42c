import Coordinator
import Payments

@testable import recover

/// Plans made by hand.
enum Samples {
    static let log = LogID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)
    static let db1 = DatabaseIndex(rawValue: 1)

    static func transaction(_ number: UInt64) -> TransactionID { TransactionID(high: number, low: 0) }

    static func begin(_ number: UInt64) -> BeginRecord {
        guard let requestID = RequestID("order-\(number)"), let masked = MaskedPAN(masked: "411111******1111") else {
            preconditionFailure("the sample's own texts are valid")
        }
        let intent = PaymentIntent(
            requestID: requestID, kind: .authorization, amount: Money(minorUnits: 1234, currency: .usDollar),
            merchant: .standard, maskedPAN: masked, panToken: KeyedDigest(keyID: 1, bytes: []),
            requestHash: KeyedDigest(keyID: 1, bytes: []), reference: nil)
        return BeginRecord(
            transaction: transaction(number), epoch: Epoch(rawValue: 1), intent: intent,
            branches: [
                Branch(participant: .clearing),
                Branch(participant: .database(db1), role: [.payment, .merchantEntry]),
            ], deadline: WallTime(microseconds: 0))
    }

    static func durable<Record>(_ record: Record, lsn: UInt64) -> Durable<Record> {
        Durable(
            attestedByLog: record, lsn: LSN(rawValue: lsn), writtenAt: WallTime(microseconds: Int64(lsn) * 1_000_000))
    }

    static func undecided(_ number: UInt64) -> ActiveTransaction {
        ActiveTransaction(
            begin: durable(begin(number), lsn: number), decision: .undecided, acknowledged: [:])
    }

    static func committing(_ number: UInt64) -> ActiveTransaction {
        var active = undecided(number)
        let record = CommitRecord(transaction: transaction(number), authorizationCode: "A1B2C3")
        active.decision = .commit(durable(record, lsn: number + 100))
        return active
    }

    static func reversal(_ number: UInt64, refusals: Int = 0) -> ReversalTask {
        ReversalTask(
            transaction: transaction(number), intent: begin(number).intent, createdAt: WallTime(microseconds: 5),
            refusals: refusals)
    }

    static func branch(_ number: UInt64) -> PreparedTransaction {
        PreparedTransaction(
            gid: GlobalBranchID(
                log: log, epoch: Epoch(rawValue: 1), transaction: transaction(number), database: db1
            ).description, owner: "payments", databaseName: "payments", preparedAt: WallTime(microseconds: 7))
    }

    static func seen(
        _ prepared: [PreparedTransaction] = [], witnessed: Set<TransactionID> = [], backends: Bool = false
    ) -> DatabaseObservation.State {
        .seen(.init(prepared: prepared, witnessed: witnessed, olderBackendsAlive: backends))
    }

    static func plan(
        _ active: [ActiveTransaction], reversals: [ReversalTask] = [], at state: DatabaseObservation.State = seen(),
        log: LogID = log, history: [TransactionID: ActiveTransaction] = [:]
    ) -> RecoveryPlan {
        let snapshot = LogSnapshot(
            log: log, owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 7)),
            nextLSN: LSN(rawValue: 1000), active: active, reversals: reversals, fences: [], quarantined: 0)
        return RecoveryPlan(.init(snapshot: snapshot, liveEpoch: nil, observations: [db1: state], history: history))
    }

    /// The plan of a log that has lost its tail.
    static func brokenPlan(
        _ active: [ActiveTransaction] = [], at state: DatabaseObservation.State = seen(),
        says statuses: [UInt64: ClearingStatus] = [:], lost: [LostTransaction] = []
    ) -> RecoveryPlan {
        let loss = LogBreak(cause: .restored, firstLostEpoch: Epoch(rawValue: 1), at: WallTime(microseconds: 1))
        let snapshot = LogSnapshot(
            log: log, owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 7)),
            nextLSN: LSN(rawValue: 1000), active: active, reversals: [], fences: [], quarantined: 0,
            continuity: .broken(loss))
        return RecoveryPlan(
            .init(
                snapshot: snapshot, liveEpoch: nil, observations: [db1: state], history: [:],
                statuses: Dictionary(uniqueKeysWithValues: statuses.map { (transaction($0.key), $0.value) }),
                lost: lost))
    }

    /// A branch without a record.
    static func lost(_ number: UInt64, says status: ClearingStatus?) -> LostTransaction {
        LostTransaction(
            transaction: transaction(number), epoch: Epoch(rawValue: 1), prepared: [db1], witnessed: [], row: nil,
            status: status)
    }

    static func document(_ plan: RecoveryPlan) -> PlanDocument { PlanDocument(plan, now: WallTime(microseconds: 0)) }
}
