internal import AsyncHTTPClient
public import Coordinator
internal import Foundation
public import NIOCore
internal import NIOHTTP1

/// The card network behind its HTTP API.
///
/// Redirects are not followed (they could repeat a request), bodies are not decompressed (they could grow), no proxy is used,
/// and TLS certificates are verified. Completions are called exactly once, on its loop.
public final class HTTPClearing: ClearingNetwork {
    private let configuration: ClearingConfiguration
    private let client: HTTPClient
    private let loop: any EventLoop
    private let now: @Sendable () -> MonotonicTime
    private let requests: Requests
    private let turns: ExchangeTurns

    /// What is sent but for the body, made once: reading an address costs as much as sending to it.
    private struct Requests: Sendable {
        let prepare: HTTPClient.Request
        let commit: HTTPClient.Request
        let abort: HTTPClient.Request
        /// What a transaction's name follows.
        let status: URL

        init(base: String) throws(ClearingConfigurationError) {
            prepare = try Self.post(base + "/clearing/prepare")
            commit = try Self.post(base + "/clearing/commit")
            abort = try Self.post(base + "/clearing/abort")
            guard let status = URL(string: base + "/clearing/status") else { throw .address }
            self.status = status
        }

        private static func post(_ address: String) throws(ClearingConfigurationError) -> HTTPClient.Request {
            let headers: HTTPHeaders = ["Accept": "application/json", "Content-Type": "application/json"]
            do {
                return try HTTPClient.Request(url: address, method: .POST, headers: headers)
            } catch {
                throw .address
            }
        }

        /// - Throws: `HTTPClientError` if the address cannot be asked.
        func status(of transaction: TransactionID) throws -> HTTPClient.Request {
            try HTTPClient.Request(
                url: status.appendingPathComponent(transaction.description), method: .GET,
                headers: ["Accept": "application/json"])
        }
    }

    /// - Parameters:
    ///   - loop: runs the connections and calls the completions; must outlive this. ``shutdown(completion:)`` does not end it. Reading an
    ///     answer costs more than anything that is done with it, so whoever gives many orders should run on another loop: then the first
    ///     of many answers is acted upon while the others are read.
    ///   - now: the monotonic clock that the orders' deadlines are of.
    /// - Throws: ``ClearingConfigurationError/address`` if no request's address can be made of the base.
    public convenience init(
        configuration: ClearingConfiguration, loop: any EventLoop, now: @escaping @Sendable () -> MonotonicTime
    ) throws(ClearingConfigurationError) {
        try self.init(
            configuration: configuration, loop: loop, exchangesMax: ClearingLimits.connectionsMax, now: now)
    }

    /// - Parameter exchangesMax: how many exchanges run at a time, up to ``ClearingLimits/connectionsMax``.
    init(
        configuration: ClearingConfiguration, loop: any EventLoop, exchangesMax: Int,
        now: @escaping @Sendable () -> MonotonicTime
    ) throws(ClearingConfigurationError) {
        requests = try Requests(base: configuration.base)
        self.configuration = configuration
        self.loop = loop
        self.now = now
        turns = ExchangeTurns(loop: loop, limit: exchangesMax)
        client = HTTPClient(eventLoopGroupProvider: .shared(loop), configuration: Self.settings(configuration))
    }

    private static func settings(_ configuration: ClearingConfiguration) -> HTTPClient.Configuration {
        var settings = HTTPClient.Configuration(redirectConfiguration: .disallow, decompression: .disabled)
        settings.proxy = nil
        settings.httpVersion = .http1Only
        settings.timeout.connect = .milliseconds(
            min(ClearingLimits.connectTimeMax, configuration.attemptTimeout).count)
        settings.connectionPool.idleTimeout = .milliseconds(ClearingLimits.idleTimeMax.count)
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = ClearingLimits.connectionsMax
        // A refused connection is to be known at once; repeating is done here, where the deadline is.
        settings.connectionPool.retryConnectionEstablishment = false
        // Without this each request has a span that nobody hears of.
        settings.tracing.tracer = nil
        settings.http1_1ConnectionDebugInitializer = { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(FlushTogether(), position: .first)
            }
        }
        return settings
    }

    /// Closes the connections; what is in flight ends as if its answer were lost, what waits for its turn is not sent. To be called
    /// once, after the last order.
    ///
    /// - Parameter completion: gets the error that closing met, if any.
    public func shutdown(completion: @escaping @Sendable ((any Error)?) -> Void) {
        onLoop { [self] in
            turns.dismissAll()
            client.shutdown().whenComplete { result in
                switch result {
                case .success: completion(nil)
                case .failure(let error): completion(error)
                }
            }
        }
    }

    // MARK: ClearingNetwork

    public func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        let start = now()
        let attempts = HoldAttempts(settings: configuration.attempts, now: start, deadline: order.deadline)
        let hold = Hold(order: order, completion: completion)
        loop.execute { self.take(attempts.begin(at: start), attempts, hold) }
    }

    public func confirm(
        _ order: ResolveOrder, isRepeat: Bool, completion: @escaping @Sendable (Resolution) -> Void
    ) {
        precondition(order.decision == .committed, "the network is told of an abort by a reversal")
        let message = ClearingMessage(
            action: .commit, transaction: order.begin.transaction, intent: order.begin.intent, isRepeat: isRepeat)
        send(message, with: requests.commit, timeout: configuration.attemptTimeout) { outcome in
            completion(Self.resolution(outcome))
        }
    }

    public func reverse(_ order: ReversalOrder, completion: @escaping @Sendable (ReversalReply) -> Void) {
        let message = ClearingMessage(
            action: .abort, transaction: order.transaction, intent: order.intent, isRepeat: order.isRepeat)
        send(message, with: requests.abort, timeout: configuration.attemptTimeout) { outcome in
            completion(Self.reversalReply(outcome))
        }
    }

    /// Asks what the network knows of a transaction: one attempt, without an effect there.
    public func status(_ transaction: TransactionID, completion: @escaping @Sendable (ClearingStatus) -> Void) {
        inquire(transaction) { completion(Self.status($0)) }
    }

    /// Asks about a transaction that nobody made, to find out whether the network answers and can be believed: one attempt,
    /// without an effect there.
    public func probe(_ transaction: TransactionID, completion: @escaping @Sendable (ClearingProbe) -> Void) {
        inquire(transaction) { completion(ClearingProbe($0)) }
    }

    private func inquire(
        _ transaction: TransactionID, completion: @escaping @Sendable (ExchangeOutcome) -> Void
    ) {
        do {
            let request = try requests.status(of: transaction)
            onLoop {
                self.exchange(
                    request, about: transaction, timeout: self.configuration.attemptTimeout, completion: completion)
            }
        } catch {
            loop.execute { completion(.notReached("no request can be made of the network's address")) }
        }
    }

    // MARK: The hold

    private struct Hold: Sendable {
        let order: PrepareOrder
        let completion: @Sendable (Vote) -> Void
    }

    private func take(_ step: HoldAttempts.Step, _ attempts: HoldAttempts, _ hold: Hold) {
        switch step {
        case .vote(let vote): hold.completion(vote)
        case .pause(let pause):
            // Jitter: payments that failed together must not come back together.
            let jittered = Int64(Double(pause.count * 1000) * Double.random(in: 0.5...1))
            loop.scheduleTask(in: .microseconds(jittered)) {
                self.take(attempts.pauseEnded(at: self.now()), attempts, hold)
            }
        case .attempt(let timeout, let isRepeat):
            let begin = hold.order.begin
            let message = ClearingMessage(
                action: .prepare, transaction: begin.transaction, intent: begin.intent, isRepeat: isRepeat)
            send(message, with: requests.prepare, timeout: timeout) { outcome in
                var attempts = attempts
                let step = attempts.attemptEnded(Self.holdOutcome(outcome), at: self.now())
                self.take(step, attempts, hold)
            }
        }
    }

    // MARK: What the replies mean

    private static func holdOutcome(_ outcome: ExchangeOutcome) -> HoldOutcome {
        switch outcome {
        case .replied(.holdPlaced(let code)): .placed(authorizationCode: code)
        case .replied(.declined(let reason)): .declined(reason)
        case .replied(.error(let reason)): .failed(reason)
        case .replied(.unreadable(let reason)): .lost(reason)
        case .replied(.settled), .replied(.holdReleased), .replied(.status): .lost(mismatch)
        case .lost(let reason): .lost(reason)
        case .notReached(let reason): .notReached(reason)
        }
    }

    private static func resolution(_ outcome: ExchangeOutcome) -> Resolution {
        switch outcome {
        case .replied(.settled): .done(.acknowledgement)
        case .replied(.declined(let reason)): .heuristic("the network refused the confirmation: \(reason)")
        case .replied(.error(let reason)): .open("the network failed: \(reason)")
        case .replied(.unreadable(let reason)): .open(reason)
        case .replied(.holdPlaced), .replied(.holdReleased), .replied(.status): .open(mismatch)
        case .lost(let reason), .notReached(let reason): .open(reason)
        }
    }

    private static func reversalReply(_ outcome: ExchangeOutcome) -> ReversalReply {
        switch outcome {
        case .replied(.holdReleased): .acknowledged
        case .replied(.declined(let reason)): .refused(reason)
        case .replied(.error(let reason)): .failed("the network failed: \(reason)")
        case .replied(.unreadable(let reason)): .failed(reason)
        case .replied(.holdPlaced), .replied(.settled), .replied(.status): .failed(mismatch)
        case .lost(let reason), .notReached(let reason): .failed(reason)
        }
    }

    private static func status(_ outcome: ExchangeOutcome) -> ClearingStatus {
        switch outcome {
        case .replied(.status(let status)): status
        case .replied(.error(let reason)): .unreachable("the network failed: \(reason)")
        case .replied(.declined(let reason)): .unreachable("the network refused to tell: \(reason)")
        case .replied(.unreadable(let reason)): .unreachable(reason)
        case .replied(.holdPlaced), .replied(.settled), .replied(.holdReleased): .unreachable(mismatch)
        case .lost(let reason), .notReached(let reason): .unreachable(reason)
        }
    }

    private static let mismatch = "a reply that does not belong to the request"

    // MARK: One request

    private func send(
        _ message: ClearingMessage, with prototype: HTTPClient.Request, timeout: Milliseconds,
        completion: @escaping @Sendable (ExchangeOutcome) -> Void
    ) {
        onLoop {
            var request = prototype
            request.body = .byteBuffer(message.encoded())
            self.exchange(request, about: message.transaction, timeout: timeout, completion: completion)
        }
    }

    /// Begins an exchange when it is its turn. On the loop.
    private func exchange(
        _ request: HTTPClient.Request, about transaction: TransactionID, timeout: Milliseconds,
        completion: @escaping @Sendable (ExchangeOutcome) -> Void
    ) {
        let now = loop.now
        let due = now + .milliseconds(timeout.count)
        if turns.begin() { return perform(request, about: transaction, until: due, completion: completion) }
        let waitMax = min(ClearingLimits.connectTimeMax.count, timeout.count / ClearingLimits.exchangeShareDivisor)
        turns.wait(until: now + .milliseconds(waitMax)) { [self] end in
            switch end {
            case .turn: perform(request, about: transaction, until: due, completion: completion)
            case .tooLate: completion(.noConnectionFree)
            case .dismissed: completion(.shutDown)
            }
        }
    }

    private func perform(
        _ request: HTTPClient.Request, about transaction: TransactionID, until due: NIODeadline,
        completion: @escaping @Sendable (ExchangeOutcome) -> Void
    ) {
        let exchange = ClearingExchange(transaction: transaction, eventLoop: loop)
        let task = client.execute(
            request: request, delegate: exchange, eventLoop: .delegate(on: loop), deadline: due)
        task.futureResult.whenComplete { [turns] result in
            completion(exchange.outcome(of: result))
            turns.end()
        }
    }

    /// Runs `body` on the loop, now if this is it. A request that is handed over whole costs less than one that the client hands over in
    /// pieces.
    private func onLoop(_ body: @escaping @Sendable () -> Void) {
        if loop.inEventLoop { body() } else { loop.execute(body) }
    }
}
