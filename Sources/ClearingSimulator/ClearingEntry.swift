/// What a payment is for, as far as the network keeps it.
struct PaymentTerms: Sendable, Equatable {
    /// The decimal text as it was sent.
    let amount: String
    let currency: String
    /// Of everything that a repeat of the prepare must say again.
    let fingerprint: UInt64
}

/// What a commit or an abort says of the payment. Both are optional there.
struct PaymentClaim: Sendable, Equatable {
    let amount: String?
    let currency: String?

    static let none = PaymentClaim(amount: nil, currency: nil)

    func contradicts(_ terms: PaymentTerms?) -> Bool {
        guard let terms else { return false }
        return (amount.map { $0 != terms.amount } ?? false) || (currency.map { $0 != terms.currency } ?? false)
    }
}

/// Why the network refuses for good. The raw values are on the wire and in the books.
enum Refusal: String, Sendable, CaseIterable {
    /// The issuer says no (drawn by the rate of declines).
    case doNotHonor = "do_not_honor"
    /// The abort came before the prepare.
    case aborted
    /// The hold was released before.
    case released
    /// Nothing is known under that transaction_id.
    case unknownTransaction = "unknown_transaction"
    /// A confirmed authorization cannot be released: a void is a transaction of its own.
    case alreadySettled = "already_settled"
}

/// What happens to one transaction at the network.
enum ClearingEvent: Sendable, Equatable {
    /// - Parameters:
    ///   - authorizationCode: what a new hold is given.
    ///   - declines: whether the issuer says no to a new hold.
    case prepare(PaymentTerms, authorizationCode: String, declines: Bool)
    /// - Parameter settlement: what a new confirmation is given.
    case commit(PaymentClaim, settlement: UInt64)
    case abort(PaymentClaim)
}

/// What the network answers.
enum ClearingReply: Sendable, Equatable {
    case holdPlaced(authorizationCode: String)
    case settled(settlement: UInt64)
    case holdReleased
    /// Final: whatever is asked later, this request stays refused.
    case declined(Refusal)
    /// The transaction is known with another content. Nothing was done or counted.
    case conflict
}

/// One transaction in the network's books: a state machine that is idempotent by transaction_id.
///
/// An abort goes by the transaction_id alone: whoever wants to undo must not fail for an amount. A prepare and a commit that
/// contradict what is known are a conflict, which is an error and not a refusal: it says nothing of the payment.
struct ClearingEntry: Sendable, Equatable {
    enum State: String, Sendable, CaseIterable {
        /// Nothing was heard; never in the books. Goes to every other state but `released`.
        case unseen
        /// Money is held. Goes to `settled` or `released`.
        case held
        /// The authorization is confirmed. Final.
        case settled
        /// The hold was given back. Final.
        case released
        /// The hold was refused, or a commit came for nothing. Final.
        case declined
        /// An abort came first, so a prepare that arrives later is refused. Final.
        case tombstone
    }

    let transaction: String
    private(set) var state: State
    /// `nil` as long as no prepare was heard.
    private(set) var terms: PaymentTerms?
    /// What the first request said of the payment, as long as no prepare was heard.
    private(set) var claim: PaymentClaim
    /// Empty if no hold was ever placed.
    private(set) var authorizationCode: String
    /// 0 until settled.
    private(set) var settlement: UInt64
    /// Why it was declined; `nil` in other states.
    private(set) var refusal: Refusal?
    /// Requests heard, repeats and refused ones included; conflicts not.
    private(set) var prepares: UInt32
    private(set) var commits: UInt32
    private(set) var aborts: UInt32

    init(unseen transaction: String) {
        self.init(
            transaction: transaction, state: .unseen, terms: nil, claim: .none, authorizationCode: "", settlement: 0,
            refusal: nil,
            prepares: 0, commits: 0, aborts: 0)
    }

    /// Takes an entry back from the books; `nil` for a combination that no sequence of events leads to.
    init?(
        readBack transaction: String, state: State, terms: PaymentTerms?, claim: PaymentClaim,
        authorizationCode: String, settlement: UInt64, refusal: Refusal?, prepares: UInt32, commits: UInt32,
        aborts: UInt32
    ) {
        self.init(
            transaction: transaction, state: state, terms: terms, claim: claim, authorizationCode: authorizationCode,
            settlement: settlement, refusal: refusal, prepares: prepares, commits: commits, aborts: aborts)
        let isConsistent =
            switch state {
            case .unseen: false
            case .held: hasHold && settlement == 0 && refusal == nil && commits == 0 && aborts == 0
            case .settled: hasHold && settlement > 0 && refusal == nil && commits > 0
            case .released: hasHold && settlement == 0 && refusal == nil && aborts > 0
            case .declined: authorizationCode.isEmpty && settlement == 0 && refusal != nil
            case .tombstone: authorizationCode.isEmpty && settlement == 0 && refusal == nil && aborts > 0
            }
        guard isConsistent else { return nil }
    }

    private init(
        transaction: String, state: State, terms: PaymentTerms?, claim: PaymentClaim, authorizationCode: String,
        settlement: UInt64, refusal: Refusal?, prepares: UInt32, commits: UInt32, aborts: UInt32
    ) {
        self.transaction = transaction
        self.state = state
        self.terms = terms
        self.claim = claim
        self.authorizationCode = authorizationCode
        self.settlement = settlement
        self.refusal = refusal
        self.prepares = prepares
        self.commits = commits
        self.aborts = aborts
    }

    /// The amount as far as it is known; empty if no request said it.
    var amount: String { terms?.amount ?? claim.amount ?? "" }

    private var hasHold: Bool { terms != nil && !authorizationCode.isEmpty && prepares > 0 }

    mutating func handle(_ event: ClearingEvent) -> ClearingReply {
        switch event {
        case .prepare(let terms, let code, let declines):
            prepare(terms, authorizationCode: code, declines: declines)
        case .commit(let claim, let settlement): commit(claim, settlement: settlement)
        case .abort(let claim): abort(claim)
        }
    }

    private mutating func prepare(
        _ asked: PaymentTerms, authorizationCode code: String, declines: Bool
    ) -> ClearingReply {
        if let terms, terms != asked { return .conflict }
        prepares = prepares.addingSaturated(1)
        switch state {
        case .unseen:
            terms = asked
            if declines {
                state = .declined
                refusal = .doNotHonor
                return .declined(.doNotHonor)
            }
            state = .held
            authorizationCode = code
            return .holdPlaced(authorizationCode: code)
        // A repeat of the prepare that was confirmed since: the hold was placed.
        case .held, .settled: return .holdPlaced(authorizationCode: authorizationCode)
        case .released: return .declined(.released)
        case .declined: return .declined(refusal ?? .doNotHonor)
        case .tombstone:
            terms = asked
            claim = .none
            return .declined(.aborted)
        }
    }

    private mutating func commit(_ said: PaymentClaim, settlement number: UInt64) -> ClearingReply {
        guard !said.contradicts(terms) else { return .conflict }
        commits = commits.addingSaturated(1)
        switch state {
        case .unseen:
            // Remembered, so that the refusal stays true if a prepare arrives later.
            state = .declined
            claim = said
            refusal = .unknownTransaction
            return .declined(.unknownTransaction)
        case .held:
            state = .settled
            settlement = number
            return .settled(settlement: number)
        case .settled: return .settled(settlement: settlement)
        case .released: return .declined(.released)
        case .declined: return .declined(refusal ?? .doNotHonor)
        case .tombstone: return .declined(.aborted)
        }
    }

    private mutating func abort(_ said: PaymentClaim) -> ClearingReply {
        aborts = aborts.addingSaturated(1)
        switch state {
        case .unseen:
            state = .tombstone
            claim = said
            return .holdReleased
        case .held:
            state = .released
            return .holdReleased
        case .settled: return .declined(.alreadySettled)
        case .released, .declined, .tombstone: return .holdReleased
        }
    }
}

extension UInt32 {
    fileprivate func addingSaturated(_ other: UInt32) -> UInt32 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
