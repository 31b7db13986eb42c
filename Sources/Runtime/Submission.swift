public import Coordinator
public import Payments

/// A payment request whose form is right, as it reaches the coordinator.
public struct Submission: Sendable {
    public let requestID: RequestID
    /// Whether the client named it: a name that the server made up is known to nobody.
    public let isNamedByClient: Bool
    /// Keyed hash of what makes two requests the same one.
    public let requestHash: KeyedDigest
    /// The outcome of the checks of card number and amount. They are made before, and told after the look-up.
    public let intent: Result<PaymentIntent, Refusal>

    public struct Refusal: Error, Sendable {
        public let reason: DeclineReason
        public init(_ reason: DeclineReason) { self.reason = reason }
    }

    public init(
        requestID: RequestID, isNamedByClient: Bool, requestHash: KeyedDigest, intent: Result<PaymentIntent, Refusal>
    ) {
        self.requestID = requestID
        self.isNamedByClient = isNamedByClient
        self.requestHash = requestHash
        self.intent = intent
    }
}

/// What a client is told, and whether it was told before.
public struct Reply: Sendable, Equatable {
    public let answer: Answer
    /// The answer of an earlier request with the same request_id.
    public let isRepeat: Bool

    public init(_ answer: Answer, isRepeat: Bool = false) {
        self.answer = answer
        self.isRepeat = isRepeat
    }
}

/// What is known of a request_id, for those who ask.
public struct PaymentStatus: Sendable, Equatable {
    public let intent: PaymentIntent
    public let transaction: TransactionID
    public let state: State

    public enum State: String, Sendable {
        case approved = "APPROVED"
        case declined = "DECLINED"
        case pending = "PENDING"
        case heuristic = "HEURISTIC"
    }
}
