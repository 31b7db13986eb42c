import Assembly
import Coordinator
import Payments
import Runtime
import Telemetry

/// Answers while there is no room to open the log: repeats and questions from what is in it; new payments are refused.
final class WaitingDesk: PaymentDesk {
    let counters = Counters()
    private let log: LogWithoutRoom
    /// What the operator is told.
    private let reason: String

    init(_ log: LogWithoutRoom, reason: String) {
        self.log = log
        self.reason = reason
    }

    var isReady: Bool { false }

    func isFull(for request: RequestID?) -> Bool { false }

    func submit(_ submission: Submission, completion: @escaping @Sendable (Reply) -> Void) {
        let reply = log.reply(to: submission)
        counters.add(.total)
        switch reply.answer {
        case .approved, .declined, .madeBy: counters.add(.idempotentRepeat)
        case .pending: counters.add(.pending)
        case .refused(let reason):
            counters.add(.declined)
            if reason == .serverBusy { counters.add(.serverBusy) }
            if reason == .idempotencyConflict { counters.add(.idempotencyConflict) }
        }
        completion(reply)
    }

    func payment(_ request: RequestID, completion: @escaping @Sendable (Result<PaymentView?, any Error>) -> Void) {
        completion(log.payment(request))
    }

    func readiness(completion: @escaping @Sendable ([String]) -> Void) {
        completion(["log: waits for room: \(reason)"])
    }

    func gauges(completion: @escaping @Sendable ([NamedGauge]) -> Void) {
        completion([NamedGauge("log_admits", 0, "1 while the log and its disk have room for new payments")])
    }
}

extension ServerRun {
    /// Opens the log. While there is no room for that, what is in it is served, and it is tried again and again.
    ///
    /// - Returns: `nil` if the server was told to stop meanwhile.
    func openNode(_ key: TokenKey, _ stop: StopRequest, _ open: () throws -> Node) async throws -> Node? {
        let log = LogWithoutRoom(settings)
        var serving: PaymentServer?
        var alarmDue = ContinuousClock.now
        do {
            while true {
                do {
                    let node = try log.open(open)
                    if serving != nil { events.emit(.info, .log, .message("there is room for the log again")) }
                    await end(serving)
                    return node
                } catch let refusal as StartRefusal where refusal.isForSpace {
                    // The advice is for those who do not wait.
                    let reason = refusal.message.replacing(
                        ", then start again.", with: "; this server then goes on by itself.")
                    if ContinuousClock.now >= alarmDue {
                        events.emit(.error, .log, .message("waiting for room, serving what can be read: \(reason)"))
                        alarmDue = .now + ServerLimits.spaceAlarmInterval
                    }
                    if serving == nil { serving = try await serve(WaitingDesk(log, reason: reason), key) }
                }
                for _ in 0..<ServerLimits.spaceChecksPerAttempt where !stop.isAsked {
                    try await Task.sleep(for: ServerLimits.spaceCheckInterval)
                }
                guard !stop.isAsked else {
                    await end(serving)
                    return nil
                }
            }
        } catch {
            await end(serving)
            throw error
        }
    }

    private func end(_ server: PaymentServer?) async {
        await server?.stopListening()
        await server?.close()
    }
}
