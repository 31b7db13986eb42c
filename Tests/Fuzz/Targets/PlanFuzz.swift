import Assembly
import Coordinator
import Foundation
import Payments

@testable import recover

/// A plan file that `recover --apply` is given.
///
/// An input of any bytes; where it is a plan but for the fingerprints of its entries, these are made right, so that what lies behind
/// them is tried too.
enum PlanFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        let data = Data(input)
        try take(data)
        if let repaired = withFingerprints(data) { try take(repaired) }
    }

    private static func take(_ data: Data) throws {
        let document: PlanDocument
        do {
            document = try PlanFile.document(in: data, "plan")
        } catch let refusal as StartRefusal {
            try hold(refusal.exitCode == ProgramExit.usage, "a plan is refused with another code than for wrong usage")
            return
        }
        // What is written is taken again, and is the same.
        let written = try document.json
        try hold(RecordWordsCheck.isPrintable(written.filter { $0 != "\n" }), "a plan holds what a terminal obeys")
        try hold(try PlanFile.document(in: Data(written.utf8), "plan") == document, "a plan written is another one")
        try match(document)
    }

    /// Nothing is carried out that the plan of now does not hold, whatever the file says.
    private static func match(_ document: PlanDocument) throws {
        let match = PlanMatch(document, now: now)
        let all = PlanDocument(now, now: WallTime(microseconds: 0))
        let kept = PlanDocument(match.plan, now: WallTime(microseconds: 0))
        let named = Set(document.transactions.map(\.txnId))
        try hold(
            kept.transactions.allSatisfy { all.transactions.contains($0) && named.contains($0.txnId) },
            "a transaction is carried out that is not in both plans")
        let reversals = Set(document.reversals.map(\.txnId))
        try hold(
            kept.reversals.allSatisfy { all.reversals.contains($0) && reversals.contains($0.txnId) },
            "a reversal is carried out that is not in both plans")
        let branches = Set(document.prepared.map(\.gid))
        try hold(
            kept.prepared.allSatisfy { all.prepared.contains($0) && branches.contains($0.gid) },
            "a branch is carried out that is not in both plans")
        for refusal in match.refused { try hold(!refusal.why.isEmpty, "an entry is refused without a reason") }
        if document.logId != all.logId {
            try hold(
                kept.transactions.isEmpty && kept.reversals.isEmpty && kept.prepared.isEmpty,
                "something of another log's plan is carried out")
        }
    }

    /// The plan with every entry's fingerprint as it has to be; `nil` if it is no plan.
    private static func withFingerprints(_ data: Data) -> Data? {
        guard let document = try? PlanDocument(json: data),
            var object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { return nil }
        let log = document.logId
        let right: [(String, [String])] = [
            ("transactions", document.transactions.map { Fingerprint.text(of: $0.basis(log: log)) }),
            ("reversals", document.reversals.map { Fingerprint.text(of: $0.basis(log: log)) }),
            ("prepared", document.prepared.map { Fingerprint.text(of: $0.basis(log: log)) }),
            ("lost", (document.lost ?? []).map { Fingerprint.text(of: $0.basis(log: log)) }),
        ]
        for (key, fingerprints) in right {
            guard let entries = object[key] as? [[String: Any]], entries.count == fingerprints.count else { continue }
            object[key] = zip(entries, fingerprints).map { entry, fingerprint in
                entry.merging(["fingerprint": fingerprint]) { _, new in new }
            }
        }
        return try? JSONSerialization.data(withJSONObject: object)
    }

    // MARK: The plan of now

    private static let log = LogID(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
    private static let database = DatabaseIndex(rawValue: 1)

    /// One undecided transaction, one that is committing, a reversal, a branch of somebody else.
    static let now: RecoveryPlan = {
        var committing = undecided(2)
        committing.decision = .commit(
            durable(CommitRecord(transaction: transaction(2), authorizationCode: "A1B2C3"), lsn: 102))
        let task = ReversalTask(
            transaction: transaction(3), intent: begin(3).intent, createdAt: WallTime(microseconds: 5), refusals: 1)
        let sighting = DatabaseObservation.Sighting(
            prepared: [prepared(gid(1)), prepared(gid(2)), prepared("somebody_elses")], witnessed: [],
            olderBackendsAlive: false)
        let snapshot = LogSnapshot(
            log: log, owner: FencePair(epoch: Epoch(rawValue: 2), incarnation: Incarnation(rawValue: 7)),
            nextLSN: LSN(rawValue: 1000), active: [undecided(1), committing], reversals: [task], fences: [],
            quarantined: 0)
        return RecoveryPlan(
            .init(snapshot: snapshot, liveEpoch: nil, observations: [database: .seen(sighting)], history: [:]))
    }()

    private static func transaction(_ number: UInt64) -> TransactionID { TransactionID(high: number, low: 0) }

    private static func gid(_ number: UInt64) -> String {
        GlobalBranchID(
            log: log, epoch: Epoch(rawValue: 1), transaction: transaction(number), database: database
        ).description
    }

    private static func prepared(_ gid: String) -> PreparedTransaction {
        PreparedTransaction(
            gid: gid, owner: "payments", databaseName: "payments", preparedAt: WallTime(microseconds: 7))
    }

    private static func durable<Record>(_ record: Record, lsn: UInt64) -> Durable<Record> {
        Durable(attestedByLog: record, lsn: LSN(rawValue: lsn), writtenAt: WallTime(microseconds: Int64(lsn)))
    }

    private static func undecided(_ number: UInt64) -> ActiveTransaction {
        ActiveTransaction(begin: durable(begin(number), lsn: number), decision: .undecided, acknowledged: [:])
    }

    private static func begin(_ number: UInt64) -> BeginRecord {
        guard let requestID = RequestID("order-\(number)"), let masked = MaskedPAN(masked: "411111******1111") else {
            preconditionFailure("the texts of the sample are valid")
        }
        let digest = KeyedDigest(keyID: 1, bytes: [])
        let intent = PaymentIntent(
            requestID: requestID, kind: .authorization, amount: Money(minorUnits: 1234, currency: .usDollar),
            merchant: .standard, maskedPAN: masked, panToken: digest, requestHash: digest, reference: nil)
        return BeginRecord(
            transaction: transaction(number), epoch: Epoch(rawValue: 1), intent: intent,
            branches: [
                Branch(participant: .clearing),
                Branch(participant: .database(database), role: [.payment, .merchantEntry]),
            ], deadline: WallTime(microseconds: 0))
    }
}
