public import Payments

/// A payment's row in a database, with everything that the payment's BEGIN said of it.
public struct WitnessRow: Sendable, Hashable {
    public let transaction: TransactionID
    /// The epoch in which the transaction began.
    public let epoch: Epoch
    public let intent: PaymentIntent

    public init(transaction: TransactionID, epoch: Epoch, intent: PaymentIntent) {
        self.transaction = transaction
        self.epoch = epoch
        self.intent = intent
    }
}

/// What was found of a transaction that a broken log has no record of: its tail is lost.
public struct LostTransaction: Sendable, Hashable {
    public let transaction: TransactionID
    public let epoch: Epoch
    /// Databases that list a branch of it as prepared.
    public let prepared: Set<DatabaseIndex>
    /// Databases in which a row of it is visible: its branch there is committed.
    public let witnessed: Set<DatabaseIndex>
    /// The payment's row, if that is visible.
    public let row: WitnessRow?
    /// What the network says; `nil` if it was not asked.
    public let status: ClearingStatus?

    public init(
        transaction: TransactionID, epoch: Epoch, prepared: Set<DatabaseIndex>, witnessed: Set<DatabaseIndex>,
        row: WitnessRow?, status: ClearingStatus?
    ) {
        self.transaction = transaction
        self.epoch = epoch
        self.prepared = prepared
        self.witnessed = witnessed
        self.row = row
        self.status = status
    }
}

/// The judgement on a transaction of the lost tail. Nothing is presumed of it: a committed row proves COMMIT; where no database has
/// one the client was never told APPROVED, so with the network's word it may be aborted; all else waits.
public struct AdoptionVerdict: Sendable, Hashable {
    public let found: LostTransaction
    public let verdict: Verdict

    public enum Verdict: Sendable, Hashable {
        /// Taken in with this outcome, which is then carried out.
        case adopt(AdoptionRecord)
        /// Cannot be told yet. The text says what is missing.
        case awaitEvidence(String)
        /// What is there contradicts itself: an operator has to look. The text says how.
        case contradiction(String)
    }

    /// Whether recovery would do something.
    public var isWork: Bool {
        switch verdict {
        case .adopt: true
        case .awaitEvidence, .contradiction: false
        }
    }

    /// Whether evidence is missing.
    public var isOpen: Bool {
        switch verdict {
        case .awaitEvidence: true
        case .adopt, .contradiction: false
        }
    }

    public var isContradiction: Bool {
        switch verdict {
        case .contradiction: true
        case .adopt, .awaitEvidence: false
        }
    }

    /// - Parameters:
    ///   - databases: how many are configured.
    ///   - unseen: what keeps databases from being evidence: they could not be asked, or may still change.
    ///   - actor: the program that reads the evidence.
    init(_ found: LostTransaction, databases: Int, unseen: [DatabaseIndex: String], actor: String) {
        self.found = found
        verdict = Self.judge(found, databases: databases, unseen: unseen, actor: actor)
    }

    private static func judge(
        _ found: LostTransaction, databases: Int, unseen: [DatabaseIndex: String], actor: String
    ) -> Verdict {
        if let row = found.row {
            return .adopt(
                record(
                    found, .committed, row.intent, Placement.branches(of: row.intent, databases: databases), actor,
                    "its row is committed in \(names(found.witnessed))"))
        }
        let missing = unseen.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        if !found.witnessed.isEmpty {
            // The merchant's entry: the payment's row is the other branch's.
            guard let own = found.prepared.min() else {
                return missing.isEmpty
                    ? .contradiction(
                        "a row of it is committed in \(names(found.witnessed)), and none that can be read as its payment's"
                    )
                    : .awaitEvidence(missing)
            }
            return .adopt(
                record(
                    found, .committed, nameless(found), branches(own: own, entries: found.witnessed), actor,
                    "its merchant's entry is committed in \(names(found.witnessed))"))
        }
        guard missing.isEmpty else { return .awaitEvidence(missing) }
        switch found.status {
        case nil: return .awaitEvidence("the network was not asked")
        case .unreachable(let why): return .awaitEvidence("clearing \(why)")
        case .settled:
            return .contradiction("the network has confirmed it, and no database shows its row")
        case .held, .released, .declined, .tombstone, .unknown:
            guard let own = found.prepared.min() else { return .contradiction("nothing of it is anywhere") }
            return .adopt(
                record(
                    found, .aborted, nameless(found), branches(own: own, entries: found.prepared), actor,
                    "no database has its row, and the network says \(found.status.map { "\($0)" } ?? "nothing")"))
        }
    }

    private static func names(_ databases: Set<DatabaseIndex>) -> String {
        databases.sorted().map(\.description).joined(separator: " and ")
    }

    private static func record(
        _ found: LostTransaction, _ outcome: Outcome, _ intent: PaymentIntent, _ branches: [Branch], _ actor: String,
        _ evidence: String
    ) -> AdoptionRecord {
        AdoptionRecord(
            begin: BeginRecord(
                transaction: found.transaction, epoch: found.epoch, intent: intent, branches: branches,
                deadline: WallTime(microseconds: 0)),
            outcome: outcome, warrant: Warrant(.evidence, actor: actor, reason: evidence))
    }

    private static func branches(own: DatabaseIndex, entries: Set<DatabaseIndex>) -> [Branch] {
        let others = entries.subtracting([own]).sorted()
        let role: BranchRole = others.isEmpty ? [.payment, .merchantEntry] : .payment
        return [Branch(participant: .clearing), Branch(participant: .database(own), role: role)]
            + others.map { Branch(participant: .database($0), role: .merchantEntry) }
    }

    private static func nameless(_ found: LostTransaction) -> PaymentIntent { .nameless(found.transaction) }
}

extension PaymentIntent {
    /// Stands for a payment of which nothing but the transaction's id is known: its request_id is that id, its amount zero.
    public static func nameless(_ transaction: TransactionID) -> PaymentIntent {
        guard let request = RequestID(transaction.description), let masked = MaskedPAN(masked: "000000******0000")
        else { preconditionFailure("a txn_id is visible ASCII, and the mask has a mask's form") }
        return PaymentIntent(
            requestID: request, kind: .authorization, amount: Money(minorUnits: 0, currency: .usDollar),
            merchant: .standard, maskedPAN: masked, panToken: KeyedDigest(keyID: 0, bytes: []),
            requestHash: KeyedDigest(keyID: 0, bytes: []), reference: nil)
    }
}

extension ClearingStatus: CustomStringConvertible {
    public var description: String {
        switch self {
        case .held: "held"
        case .settled: "settled"
        case .released: "released"
        case .declined: "declined"
        case .tombstone: "tombstone"
        case .unknown: "unknown"
        case .unreachable(let why): "unreachable: \(why)"
        }
    }
}
