import NIOCore
import NIOPosix
import Payments
import Synchronization
import Testing

@testable import ClearingParticipant
@testable import Coordinator

/// What the tests of the clearing participant share: orders, and a participant with the end of its life.
enum ClearingFixture {
    static let transaction = TransactionID(high: 1, low: 2)
    static let ok =
        #"{"status":"OK","action":"hold_placed","auth_code":"A1B2C3","transaction_id":"\#(transaction)"}"#
    static let settled = #"{"status":"OK","action":"settled","settlement_id":"stl_1"}"#
    static let released = #"{"status":"OK","action":"hold_released"}"#
    static let declined = #"{"status":"DECLINED","reason":"do_not_honor"}"#
    static let failed = #"{"status":"ERROR","reason":"internal"}"#

    /// Nanoseconds of the monotonic clock that NIO reads too.
    static let now: @Sendable () -> MonotonicTime = {
        MonotonicTime(nanoseconds: NIODeadline.now().uptimeNanoseconds)
    }

    static func intent(
        merchant: String = "MERCHANT001", kind: OperationKind = .authorization
    ) throws -> PaymentIntent {
        let digest = KeyedDigest(keyID: 1, bytes: [UInt8](repeating: 7, count: 32))
        return PaymentIntent(
            requestID: try #require(RequestID("request-1")), kind: kind,
            amount: Money(minorUnits: 1234, currency: .usDollar), merchant: try #require(MerchantID(merchant)),
            maskedPAN: try #require(MaskedPAN(masked: "411111******1111")), panToken: digest, requestHash: digest,
            reference: nil)
    }

    static func begin(_ intent: PaymentIntent) -> Durable<BeginRecord> {
        Durable(
            attestedByLog: BeginRecord(
                transaction: transaction, epoch: Epoch(rawValue: 1), intent: intent,
                branches: [Branch(participant: .clearing)], deadline: WallTime(microseconds: 0)),
            lsn: LSN(rawValue: 1), writtenAt: WallTime(microseconds: 0))
    }

    static func prepareOrder(deadline: Milliseconds = .seconds(10)) throws -> PrepareOrder {
        PrepareOrder(
            allowedBy: begin(try intent()), branch: Branch(participant: .clearing), authorizationCode: "",
            deadline: now() + deadline)
    }

    static func confirmOrder() throws -> ResolveOrder {
        let begin = begin(try intent())
        let decision = Durable(
            attestedByLog: CommitRecord(transaction: transaction, authorizationCode: "A1B2C3"),
            lsn: LSN(rawValue: 2), writtenAt: WallTime(microseconds: 0))
        return ResolveOrder(allowedBy: decision, begin: begin.record, branch: Branch(participant: .clearing))
    }

    static func reversalOrder(isRepeat: Bool = false) throws -> ReversalOrder {
        ReversalOrder(
            task: ReversalTask(
                transaction: transaction, intent: try intent(), createdAt: WallTime(microseconds: 0)),
            isRepeat: isRepeat)
    }

    /// Runs `body` with a participant for that address, and checks that it can be shut down after it.
    @discardableResult static func withClearing<Result>(
        _ address: String, attemptTimeout: Milliseconds = .seconds(5), retryMax: Int = 2,
        exchangesMax: Int = ClearingLimits.connectionsMax,
        on loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next(),
        _ body: (HTTPClearing) async throws -> Result
    ) async throws -> Result {
        let configuration = try ClearingConfiguration(
            url: address, attemptTimeout: attemptTimeout, retryMax: retryMax, backoffBase: Milliseconds(1))
        let clearing = try HTTPClearing(
            configuration: configuration, loop: loop, exchangesMax: exchangesMax, now: now)
        let result: Swift.Result<Result, any Error>
        do { result = .success(try await body(clearing)) } catch { result = .failure(error) }
        let failure = await withCheckedContinuation { continuation in
            clearing.shutdown { continuation.resume(returning: $0) }
        }
        #expect(failure == nil)
        return try result.get()
    }

    /// Runs `body` with a participant for a network that plays the script; gives back what the network was sent too.
    static func withNetwork<Result>(
        _ script: [ScriptedNetwork.Act], attemptTimeout: Milliseconds = .seconds(5), retryMax: Int = 2,
        _ body: (HTTPClearing) async throws -> Result
    ) async throws -> (Result, [ScriptedNetwork.Request]) {
        let network = try await ScriptedNetwork.start(script)
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(
                try await withClearing(
                    network.address, attemptTimeout: attemptTimeout, retryMax: retryMax, body))
        } catch { result = .failure(error) }
        let requests = network.requests
        try await network.stop()
        return (try result.get(), requests)
    }
}

/// The completions as values. A completion that is called twice traps in the continuation.
extension HTTPClearing {
    func vote(_ order: PrepareOrder) async -> Vote {
        await withCheckedContinuation { continuation in
            prepare(order) { continuation.resume(returning: $0) }
        }
    }

    func resolution(_ order: ResolveOrder, isRepeat: Bool = false) async -> Resolution {
        await withCheckedContinuation { continuation in
            confirm(order, isRepeat: isRepeat) { continuation.resume(returning: $0) }
        }
    }

    func reply(_ order: ReversalOrder) async -> ReversalReply {
        await withCheckedContinuation { continuation in
            reverse(order) { continuation.resume(returning: $0) }
        }
    }

    func status(_ transaction: TransactionID) async -> ClearingStatus {
        await withCheckedContinuation { continuation in
            status(transaction) { continuation.resume(returning: $0) }
        }
    }
}

/// Records an outcome that no test expects. (`Issue.record` gives back the issue, which `return` would not take.)
func unexpected(
    _ value: some Sendable, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
) {
    let text = comment.map { " (\($0))" } ?? ""
    Issue.record("\(String(describing: value))\(text)", sourceLocation: sourceLocation)
}
