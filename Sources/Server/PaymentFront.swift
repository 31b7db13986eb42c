import Assembly
import Coordinator
import NIOCore
import Payments
import Runtime
import Synchronization
import Telemetry

/// An answer with the body that says it.
struct PaymentAnswer: Sendable {
    let answer: Answer
    let body: String
}

/// What the connections of every protocol share: requests go in as bytes, answers come out as text.
final class PaymentFront: Sendable {
    let desk: any PaymentDesk
    let faults: FaultInjector
    private let key: TokenKey
    private let amountLimit: Int64
    private let isStopping = Atomic(false)
    /// What `Authorization: Bearer` must carry; `nil` closes what needs it.
    let apiToken: String?

    init(
        desk: any PaymentDesk, key: TokenKey, amountMaxMajorUnits: Int64, apiToken: String?, faults: FaultInjector
    ) {
        self.desk = desk
        self.faults = faults
        self.key = key
        self.apiToken = apiToken
        amountLimit = amountMaxMajorUnits
    }

    /// One payment request as JSON. `completion` is called once with the answer's body, on this thread or the coordinator's.
    func pay(_ json: ByteBufferView, completion: @escaping @Sendable (PaymentAnswer) -> Void) {
        let parsed = json.withUnsafeBytes { bytes in Result { try RequestDraft(json: bytes) } }
        guard case .success(let draft) = parsed else { return refuse(.badRequest, completion) }
        let validated = Result { () throws(RequestFault) in try draft.validated(amountLimitMajorUnits: amountLimit) }
        // At once and here: under overload most requests end so.
        if case .success = validated, desk.isFull(for: draft.requestID) { return refuse(.serverBusy, completion) }
        let hash = draft.withCanonicalBytes { key.requestHash(of: $0) }
        let requestID = draft.requestID ?? IdentifierSource.request()
        let intent = validated.map {
            $0.intent(requestID: requestID, panToken: key.token(of: $0.pan), requestHash: hash)
        }.mapError { Submission.Refusal($0.declineReason) }
        let submission = Submission(
            requestID: requestID, isNamedByClient: draft.requestID != nil, requestHash: hash, intent: intent)
        let made = draft.requestID == nil ? requestID : nil
        desk.submit(submission) { reply in
            completion(PaymentAnswer(answer: reply.answer, body: Answers.body(of: reply, madeRequestID: made)))
        }
    }

    /// Refuses what does not reach the desk.
    private func refuse(_ reason: DeclineReason, _ completion: @Sendable (PaymentAnswer) -> Void) {
        desk.counters.add(.total)
        desk.counters.add(.declined)
        if reason == .serverBusy { desk.counters.add(.serverBusy) }
        completion(PaymentAnswer(answer: .refused(reason), body: Answers.declined(reason)))
    }

    func stop() { isStopping.store(true, ordering: .relaxed) }

    var isReady: Bool { !isStopping.load(ordering: .relaxed) && desk.isReady }
}

extension RequestFault {
    fileprivate var declineReason: DeclineReason {
        switch self {
        case .badRequest: .badRequest
        case .luhnFailed: .luhnFailed
        case .amountInvalid: .amountInvalid
        }
    }
}
