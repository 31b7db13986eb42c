import Coordinator
import Payments
import Runtime

/// Those who pay: each payment is asked for once or several times, of one server or another, until its outcome is known.
final class Clients {
    private final class Script {
        let number: Int
        let intent: PaymentIntent
        let isNamed: Bool
        /// The same request_id with other content; `nil` if nobody sends one.
        let conflicting: PaymentIntent?
        var attemptsLeft: Int
        var repeatsLeft: Int
        /// Of a payment that never had a final answer.
        var isOpen = true
        var nextAt: UInt64?

        init(_ number: Int, _ intent: PaymentIntent, isNamed: Bool, conflicting: PaymentIntent?, repeats: Int) {
            self.number = number
            self.intent = intent
            self.isNamed = isNamed
            self.conflicting = conflicting
            attemptsLeft = 8
            repeatsLeft = repeats
        }
    }

    private final class Waiter {
        let node: Node
        let whenLost: () -> Void
        var isOver = false
        init(_ node: Node, _ whenLost: @escaping () -> Void) {
            self.node = node
            self.whenLost = whenLost
        }
    }

    unowned let world: World
    private var random: Randomness
    private var scripts: [Script] = []
    private var waiters: [Waiter] = []
    private var underWay = 0
    private(set) var submissions = 0

    /// - Parameter only: the numbers of the payments that are made; `nil` for all.
    init(_ world: World, only: Set<Int>?) {
        self.world = world
        random = Randomness(seed: world.scenario.seed, stream: 10)
        let scenario = world.scenario
        var at: UInt64 = 0
        for number in 0..<scenario.payments {
            at += .milliseconds(random.between(0, 2 * scenario.pace))
            let intent = Self.intent(number, scenario, amount: random.between(1, 500), &random)
            let repeats = scenario.has(.repeats) && random.chance(0.6) ? random.between(1, 4) : 0
            let conflicts = scenario.has(.conflicts) && random.chance(0.3)
            let other = conflicts ? Self.intent(number, scenario, amount: 777, &random) : nil
            let isNamed = random.chance(0.95)
            guard only?.contains(number) ?? true else { continue }
            let script = Script(number, intent, isNamed: isNamed, conflicting: other, repeats: repeats)
            script.nextAt = at
            scripts.append(script)
        }
    }

    private static func intent(
        _ number: Int, _ scenario: Scenario, amount: Int, _ random: inout Randomness
    ) -> PaymentIntent {
        let merchant = random.below(scenario.merchants)
        let card = UInt8(random.below(scenario.cards))
        guard let request = RequestID("r\(number)"), let merchantID = MerchantID("M\(merchant)"),
            let masked = MaskedPAN(masked: "411111******1111")
        else { preconditionFailure("the names of the simulation are well formed") }
        return PaymentIntent(
            requestID: request, kind: .authorization,
            amount: Money(minorUnits: Int64(amount), currency: .usDollar), merchant: merchantID, maskedPAN: masked,
            panToken: KeyedDigest(keyID: 7, bytes: [card]),
            requestHash: KeyedDigest(keyID: 7, bytes: Array("\(amount)/\(merchant)/\(card)".utf8)), reference: nil)
    }

    /// Whether everybody has what they wanted, or has given up.
    var isDone: Bool { underWay == 0 && scripts.allSatisfy { $0.nextAt == nil } }

    var payments: Int { scripts.count }

    func begin() {
        for script in scripts {
            guard let at = script.nextAt else { continue }
            world.after(at) { [self] in
                guard script.nextAt == at else { return }
                script.nextAt = nil
                send(script)
                if script.repeatsLeft > 0, random.chance(0.5) { repeatSoon(script) }
            }
        }
    }

    /// Nobody sends anything new any more.
    func stop() {
        for script in scripts { script.nextAt = nil }
    }

    private func later(_ script: Script, _ delay: UInt64) {
        let at = world.now + delay
        script.nextAt = at
        world.after(delay) { [self] in
            guard script.nextAt == at else { return }
            script.nextAt = nil
            send(script)
        }
    }

    /// The same request beside the one that is under way.
    private func repeatSoon(_ script: Script) {
        script.repeatsLeft -= 1
        world.after(.milliseconds(random.between(0, 50.0))) { [self] in
            submit(script.conflicting != nil && random.chance(0.5) ? script.conflicting! : script.intent, script)
        }
    }

    private func send(_ script: Script) {
        guard script.attemptsLeft > 0 else { return }
        script.attemptsLeft -= 1
        submit(script.intent, script)
    }

    private func submit(_ intent: PaymentIntent, _ script: Script) {
        let node = world.nodes[random.below(world.nodes.count)]
        let isOwn = intent.requestHash == script.intent.requestHash
        guard let process = node.process, process.isServing else {
            if isOwn, script.isOpen { later(script, .milliseconds(random.between(10, 3000))) }
            return
        }
        let submission = Submission(
            requestID: intent.requestID, isNamedByClient: script.isNamed, requestHash: intent.requestHash,
            intent: .success(script.isNamed ? intent : renamed(intent)))
        submissions += 1
        underWay += 1
        let known = node.disk.image.requests[submission.requestID]
        let waiter = Waiter(node) { [self] in
            underWay -= 1
            if isOwn, script.isOpen, script.isNamed { later(script, .milliseconds(random.between(1, 2000))) }
        }
        waiters.append(waiter)
        watchWait(waiter, intent.requestID)
        world.note(nil, 400 + script.number, "\(intent.requestID) is sent to server \(node.number + 1)")
        let answer = Passed<Reply> { [self] reply in
            answered(reply, submission, script, waiter, node, known, isOwn: isOwn)
        }
        process.coordinator.submit(submission) { answer.call($0) }
    }

    /// A request without a name of the client's gets one that nobody knows.
    private func renamed(_ intent: PaymentIntent) -> PaymentIntent {
        guard let name = RequestID("u\(submissions)-\(intent.requestID)") else { return intent }
        return PaymentIntent(
            requestID: name, kind: intent.kind, amount: intent.amount, merchant: intent.merchant,
            maskedPAN: intent.maskedPAN, panToken: intent.panToken, requestHash: intent.requestHash, reference: nil)
    }

    private func answered(
        _ reply: Reply, _ submission: Submission, _ script: Script, _ waiter: Waiter, _ node: Node,
        _ known: RequestEntry?, isOwn: Bool
    ) {
        guard !waiter.isOver else { return }
        waiter.isOver = true
        waiters.removeAll { $0 === waiter }
        underWay -= 1
        world.note(
            nil, 500 + script.number,
            "\(submission.requestID) is answered by server \(node.number + 1): \(Checker.name(reply.answer))")
        world.checker.answered(reply, to: submission, by: node, known: known)
        guard isOwn else { return }
        switch reply.answer {
        case .approved, .madeBy, .declined:
            script.isOpen = false
            guard script.repeatsLeft > 0, script.isNamed else { return }
            script.repeatsLeft -= 1
            script.attemptsLeft = max(script.attemptsLeft, 1)
            later(script, .milliseconds(random.pick([1, 50, 1000, 8000, 30_000])))
        case .pending, .refused:
            guard script.isNamed else { return }
            later(script, .milliseconds(random.between(5, 4000)))
        }
    }

    /// Whoever was waiting there hears nothing any more.
    func serverDied(_ node: Node) {
        let lost = waiters.filter { $0.node === node }
        waiters.removeAll { $0.node === node }
        for waiter in lost {
            waiter.isOver = true
            waiter.whenLost()
        }
    }

    /// Nobody waits longer than for a place, from BEGIN to the decision, and from there to the answer.
    private func watchWait(_ waiter: Waiter, _ request: RequestID) {
        let settings = world.scenario.settings
        let limit = UInt64(2 * settings.prepareTimeout.count + settings.commitTimeout.count) * 1_000_000
        world.after(limit + .seconds(1)) { [self] in
            guard !waiter.isOver else { return }
            world.checker.fail(.boundedWait, nil, "\(request) is not answered after \(limit / 1_000_000 + 1000) ms")
        }
    }
}
