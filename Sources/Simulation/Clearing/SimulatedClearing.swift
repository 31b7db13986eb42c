import Coordinator
import Runtime

/// A server's client of the card network: the attempts of a hold as the real one makes them, over a network that loses, delays, repeats
/// and reorders.
final class SimulatedClearing: ClearingNetwork, @unchecked Sendable {
    // @unchecked: a simulation runs on one thread.

    private enum Outcome {
        case replied(CardNetwork.Reply)
        case lost(String)
        case notReached(String)
    }

    unowned let world: World
    private let life: Life
    private let log: SimulatedLog

    init(_ world: World, life: Life, log: SimulatedLog) {
        self.world = world
        self.life = life
        self.log = log
    }

    // MARK: - The hold

    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        world.checker.prepareOrdered(order, at: .clearing, log: log)
        let attempts = HoldAttempts(settings: world.scenario.hold, now: world.monotonic, deadline: order.deadline)
        world.scheduler.after(0, for: life) { [self] in
            take(attempts.begin(at: world.monotonic), attempts, order, completion)
        }
    }

    private func take(
        _ step: HoldAttempts.Step, _ attempts: HoldAttempts, _ order: PrepareOrder,
        _ completion: @escaping (Vote) -> Void
    ) {
        switch step {
        case .vote(let vote): completion(vote)
        case .pause(let pause):
            let jittered = UInt64(Double(pause.count) * world.messages.between(0.5, 1) * 1_000_000)
            world.scheduler.after(jittered, for: life) { [self] in
                take(attempts.pauseEnded(at: world.monotonic), attempts, order, completion)
            }
        case .attempt(let timeout, let isRepeat):
            world.note(order.begin.transaction, 7, "the hold is asked for")
            send(timeout, { $0.prepare(order, isRepeat: isRepeat) }) { [self] outcome in
                var attempts = attempts
                let step = attempts.attemptEnded(Self.holdOutcome(outcome), at: world.monotonic)
                take(step, attempts, order, completion)
            }
        }
    }

    private static func holdOutcome(_ outcome: Outcome) -> HoldOutcome {
        switch outcome {
        case .replied(.placed(let code)): .placed(authorizationCode: code)
        case .replied(.declined(let reason)): .declined(reason)
        case .replied(.error): .failed("error")
        case .replied(.settled), .replied(.released), .replied(.status): .lost("mismatch")
        case .lost(let reason): .lost(reason)
        case .notReached(let reason): .notReached(reason)
        }
    }

    // MARK: - Confirmation, reversal, status

    func confirm(
        _ order: ResolveOrder, isRepeat: Bool, completion: @escaping @Sendable (Resolution) -> Void
    ) {
        world.checker.resolveOrdered(order, log: log)
        let transaction = order.begin.transaction
        world.note(transaction, 8, "the confirmation is sent")
        send(world.scenario.hold.attemptTimeout, { $0.confirm(transaction) }) { outcome in
            switch outcome {
            case .replied(.settled): completion(.done(.acknowledgement))
            case .replied(.declined(let reason)): completion(.heuristic("the network refused: \(reason)"))
            case .replied: completion(.open("the network failed"))
            case .lost(let reason), .notReached(let reason): completion(.open(reason))
            }
        }
    }

    func reverse(_ order: ReversalOrder, completion: @escaping @Sendable (ReversalReply) -> Void) {
        world.checker.reversalOrdered(order, log: log)
        let transaction = order.transaction
        world.note(transaction, 9, "the reversal is sent")
        world.coverage.hit(.reversal, order.isRepeat ? "sent again" : "sent")
        send(world.scenario.hold.attemptTimeout, { $0.reverse(transaction) }) { [world] outcome in
            let reply: ReversalReply =
                switch outcome {
                case .replied(.released): .acknowledged
                case .replied(.declined(let reason)): .refused(reason)
                case .replied: .failed("the network failed")
                case .lost(let reason), .notReached(let reason): .failed(reason)
                }
            switch reply {
            case .acknowledged: world.coverage.hit(.reversal, "acknowledged")
            case .refused: world.coverage.hit(.reversal, "refused")
            case .failed: world.coverage.hit(.reversal, "failed")
            }
            completion(reply)
        }
    }

    func status(_ transaction: TransactionID, completion: @escaping (ClearingStatus) -> Void) {
        send(world.scenario.hold.attemptTimeout, { $0.status(transaction) }) { outcome in
            if case .replied(.status(let status)) = outcome { return completion(status) }
            completion(.unreachable("no answer"))
        }
    }

    // MARK: - One request

    /// `completion` is called exactly once, at the timeout at the latest, unless the process dies.
    private func send(
        _ timeout: Milliseconds, _ request: @escaping (CardNetwork) -> CardNetwork.Reply,
        _ completion: @escaping (Outcome) -> Void
    ) {
        var isOver = false
        let timer = Scheduler.Ticket()
        let finish = { [life] (outcome: Outcome) in
            guard !isOver, life.isAlive else { return }
            isOver = true
            timer.cancel()
            completion(outcome)
        }
        let limit = UInt64(max(1, timeout.count)) * 1_000_000
        world.scheduler.after(limit, for: life, ticket: timer) { finish(.lost("no answer in time")) }
        if world.network.isOut, world.messages.chance(0.7) {
            return world.scheduler.after(world.latency(), for: life) { finish(.notReached("refused")) }
        }
        let isLost = world.strikes(.lostMessages, atMost: 0.12)
        if isLost, world.messages.chance(0.5) {
            guard world.messages.chance(0.5) else { return }
            return world.scheduler.after(.milliseconds(world.messages.between(1, 2000)), for: life) {
                finish(.lost("the connection broke"))
            }
        }
        deliver(request, hearsReply: !isLost, finish)
        if world.strikes(.duplicatedMessages, atMost: 0.2) {
            deliver(request, isSecond: true, hearsReply: false, finish)
        }
    }

    private func deliver(
        _ request: @escaping (CardNetwork) -> CardNetwork.Reply, isSecond: Bool = false, hearsReply: Bool,
        _ finish: @escaping (Outcome) -> Void
    ) {
        let isLate = isSecond || world.strikes(.lateMessages, atMost: 0.1)
        let travel: UInt64 = isLate ? .milliseconds(world.messages.between(50, 60_000)) : world.latency()
        world.network.expect()
        world.after(travel) { [self] in
            world.network.arrived()
            guard !world.network.isOut else { return }
            let reply = request(world.network)
            guard hearsReply else { return }
            world.after(world.latency()) { finish(.replied(reply)) }
        }
    }
}
