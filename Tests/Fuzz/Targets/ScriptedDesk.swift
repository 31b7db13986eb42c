import Coordinator
import NIOCore
import Payments
import Runtime
import Synchronization
import Telemetry

@testable import Assembly
@testable import Server

/// A desk without a node behind it: every answer follows from the request alone, at once or when it is let go.
final class ScriptedDesk: PaymentDesk {
    let counters = Counters()
    let isReady = false
    func isFull(for request: RequestID?) -> Bool { false }
    private let holdsAnswers: Bool
    private let held = Mutex<[@Sendable () -> Void]>([])

    init(holdsAnswers: Bool) { self.holdsAnswers = holdsAnswers }

    /// The server's own front before it.
    var front: PaymentFront {
        PaymentFront(
            desk: self, key: Self.key, amountMaxMajorUnits: 10_000, apiToken: "token", faults: FaultInjector())
    }

    private static let key = TokenKey(secret: [UInt8](repeating: 7, count: TokenKey.bytes))
    /// Without digits, so that no card number is found in it by chance.
    private static let transaction = TransactionID(high: 0xABCD_EFAB_CDEF_ABCD, low: 0xFEDC_BAFE_DCBA_FEDC)

    /// All kinds of answers, chosen by the request_id; none that is answered with a status of the server's own failure.
    func submit(_ submission: Submission, completion: @escaping @Sendable (Reply) -> Void) {
        let transaction = Self.transaction
        let reply: Reply
        switch submission.intent {
        case .failure(let refusal): reply = Reply(.refused(refusal.reason))
        case .success(let intent):
            let text = submission.isNamedByClient ? intent.requestID.text : intent.amount.decimalText
            switch text.utf8.reduce(0, { ($0 &* 31 &+ Int($1)) & 0xFFFF }) % 6 {
            case 0: reply = Reply(.declined(.clearingDeclined, transaction))
            case 1: reply = Reply(.pending(transaction))
            case 2: reply = Reply(.approved(transaction), isRepeat: true)
            case 3: reply = Reply(.madeBy(transaction))
            case 4: reply = Reply(.refused(.idempotencyConflict))
            default: reply = Reply(.approved(transaction))
            }
        }
        settle { completion(reply) }
    }

    func payment(_ request: RequestID, completion: @escaping @Sendable (Result<PaymentView?, any Error>) -> Void) {
        settle { completion(.success(nil)) }
    }

    func readiness(completion: @escaping @Sendable ([String]) -> Void) { settle { completion([]) } }

    func gauges(completion: @escaping @Sendable ([NamedGauge]) -> Void) {
        settle { completion([NamedGauge("queued", 0, "Payments waiting for a place in flight")]) }
    }

    private func settle(_ answer: @escaping @Sendable () -> Void) {
        guard holdsAnswers else { return answer() }
        held.withLock { $0.append(answer) }
    }

    /// Lets one held answer go, whichever is picked.
    ///
    /// - Returns: whether there was one.
    func letOneGo(_ choices: inout Choices) -> Bool {
        let answer = held.withLock { held in held.isEmpty ? nil : held.remove(at: choices.below(held.count)) }
        answer?()
        return answer != nil
    }
}
