import NIOCore
import NIOPosix
import Synchronization

/// One event loop's share of the load. Everything but what is said otherwise belongs to the loop.
final class LoadLoop: LoadLineOwner, @unchecked Sendable {
    // @unchecked: every stored `var` is touched on `loop` only.

    /// What all loops share: when the load began and which number comes next.
    final class Shared: Sendable {
        let plan: LoadPlan
        /// On the loops' clock, nanoseconds.
        let start: UInt64
        private let next = Atomic<Int>(0)
        private let stop = Atomic<Bool>(false)

        init(_ plan: LoadPlan, start: UInt64) {
            self.plan = plan
            self.start = start
        }

        /// Nothing further is sent; what is open is still waited for.
        func stopSending() { stop.store(true, ordering: .relaxed) }

        /// The number of the next request; `nil` when the load is over.
        func takeNumber(now: UInt64) -> Int? {
            guard !stop.load(ordering: .relaxed) else { return nil }
            switch plan.extent {
            case .requests(let count):
                let number = next.add(1, ordering: .relaxed).oldValue
                return number < count ? number : nil
            case .time(let nanoseconds):
                guard now < start + UInt64(nanoseconds) else { return nil }
                return next.add(1, ordering: .relaxed).oldValue
            }
        }
    }

    let loop: any EventLoop
    private let shared: Shared
    private let plan: LoadPlan
    private let connections: Int
    private var lines: [ObjectIdentifier: LoadLine] = [:]
    private var order: [LoadLine] = []
    private var nextLine = 0
    private var tally = Tally()
    /// What became of each request_id, by its first request's number.
    private var fates: [Int: Fate] = [:]
    /// Of operations on an earlier payment: that payment's number and the kind, packed.
    private var kinds: [Int: Int] = [:]
    /// Answered first requests, for replays, and approved payments, for operations on them.
    private var recent = CircularBuffer<Int>()
    private var approved = CircularBuffer<Int>()
    private var hasEnded = false
    private var isFinished = false
    private var openRequests = 0
    private var nextDue: Double
    private let interval: Double?
    private var drained: EventLoopPromise<Void>

    /// - Parameters:
    ///   - index: which of the loops this is, from 0.
    init(_ index: Int, loop: any EventLoop, shared: Shared) {
        self.loop = loop
        self.shared = shared
        plan = shared.plan
        let (quotient, remainder) = shared.plan.connections.quotientAndRemainder(dividingBy: shared.plan.threads)
        connections = quotient + (index < remainder ? 1 : 0)
        drained = loop.makePromise()
        switch shared.plan.arrival {
        case .closed:
            interval = nil
            nextDue = 0
        case .open(let perSecond):
            // Each loop takes every so many-th arrival.
            let between = 1e9 / perSecond
            interval = between * Double(shared.plan.threads)
            nextDue = Double(shared.start) + between * Double(index)
        }
    }

    /// Sends the load; the future is there when everything is answered, lost or given up.
    func run() -> EventLoopFuture<Void> {
        loop.execute { [self] in
            if case .time(let nanoseconds) = plan.extent {
                let deadline = NIODeadline.uptimeNanoseconds(shared.start + UInt64(nanoseconds))
                loop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in end() }
            }
            for _ in 0..<connections { connect() }
            if interval != nil { tick() }
        }
        return drained.futureResult
    }

    /// A copy of what has been counted so far, for those on other threads.
    func progress() -> EventLoopFuture<Tally> { loop.submit { self.tally } }

    /// What became of a request, and which one it was.
    struct Outcome: Sendable {
        let number: Int
        let fate: Fate
        let kind: PaymentScript.Kind
        /// The number of the payment that it acted on.
        let reference: Int?
    }

    /// What became of the first request of each request_id, after the end.
    func outcomes() -> EventLoopFuture<[Outcome]> {
        loop.submit { [self] in
            fates.keys.sorted().map { number in
                let (kind, reference) = content(of: number)
                return Outcome(number: number, fate: fates[number] ?? .none, kind: kind, reference: reference)
            }
        }
    }

    // MARK: - Connections

    private func connect() {
        guard !hasEnded else { return }
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.nanoseconds(LoadLimits.connectMax))
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(LoadLine(owner: self))
                }
            }
            .connect(host: plan.host, port: plan.port)
            .assumeIsolated().whenFailure { [self] _ in
                tally.connectionFailures += 1
                reconnectLater()
            }
    }

    private func reconnectLater() {
        guard !hasEnded else { return settle() }
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(LoadLimits.reconnectPause)) { [self] in connect() }
    }

    func lineOpened(_ line: LoadLine) {
        lines[ObjectIdentifier(line)] = line
        order = Array(lines.values)
        guard interval == nil else { return }
        for _ in 0..<plan.depth { sendNext(on: line, due: now) }
    }

    func lineClosed(_ line: LoadLine, lost: [LoadLine.Open]) {
        lines[ObjectIdentifier(line)] = nil
        order = Array(lines.values)
        openRequests -= lost.count
        for request in lost { lose(request) }
        if !hasEnded { tally.connectionFailures += 1 }
        reconnectLater()
    }

    private func lose(_ request: LoadLine.Open) {
        tally.lost += 1
        if request.repeats == nil, plan.remembersFates { fates[request.number] = .lost }
    }

    // MARK: - Sending

    private var now: UInt64 { NIODeadline.now().uptimeNanoseconds }

    private func sendNext(on line: LoadLine, due: UInt64) {
        guard !hasEnded, let number = shared.takeNumber(now: now) else { return end() }
        tally.sent += 1
        openRequests += 1
        if plan.script.draw(number, 1) < plan.script.replays, let first = recent.randomElement(using: &replayChoice) {
            let (kind, reference) = content(of: first)
            return line.send(
                .init(number: number, repeats: first, due: due),
                plan.script.line(first, kind: kind, reference: reference))
        }
        var kind = plan.script.mix.kind(at: plan.script.draw(number, 2))
        var reference: Int?
        if kind != .authorization {
            reference = approved.popFirst()
            if reference == nil { kind = .authorization }
        }
        if let reference { kinds[number] = reference << 2 | Int(kind.rawValue) }
        line.send(
            .init(number: number, repeats: nil, due: due),
            plan.script.line(number, kind: kind, reference: reference))
    }

    private lazy var replayChoice = SplitMix(state: plan.script.seed)

    /// What the request of this number was.
    private func content(of number: Int) -> (PaymentScript.Kind, reference: Int?) {
        guard let packed = kinds[number], let kind = PaymentScript.Kind(rawValue: UInt8(packed & 3)) else {
            return (.authorization, nil)
        }
        return (kind, packed >> 2)
    }

    /// Sends what is due in an open loop. Where no connection is there, it waits, and its latency counts from when it was due.
    private func tick() {
        guard !hasEnded, let interval else { return }
        let now = Double(now)
        while nextDue <= now, !order.isEmpty, !hasEnded {
            nextLine = (nextLine + 1) % order.count
            sendNext(on: order[nextLine], due: UInt64(nextDue))
            nextDue += interval
        }
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(LoadLimits.tick)) { [self] in tick() }
    }

    func line(_ line: LoadLine, answered request: LoadLine.Open, _ answer: ServerAnswer) {
        openRequests -= 1
        let now = now
        tally.add(answer, nanoseconds: now > request.due ? now - request.due : 0)
        let fate = Fate(answer)
        if let first = request.repeats {
            if fates[first].map({ !$0.allowsRepeat(fate) }) == true { tally.changedAnswers += 1 }
        } else {
            if plan.remembersFates { fates[request.number] = fate }
            remember(request.number, fate)
        }
        if interval == nil, !hasEnded { sendNext(on: line, due: now) } else { settle() }
    }

    private func remember(_ number: Int, _ fate: Fate) {
        if recent.count == LoadLimits.recentMax { recent.removeFirst() }
        recent.append(number)
        guard fate == .approved, content(of: number).0 == .authorization else { return }
        if approved.count == LoadLimits.recentMax { approved.removeFirst() }
        approved.append(number)
    }

    // MARK: - The end

    /// No further request; what is open is waited for.
    private func end() {
        guard !hasEnded else { return settle() }
        hasEnded = true
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(plan.drainMax)) { [self] in giveUp() }
        settle()
    }

    private func settle() {
        guard hasEnded, openRequests <= 0 else { return }
        finish()
    }

    private func giveUp() {
        finish()
    }

    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        for line in order { line.context?.close(promise: nil) }
        drained.succeed()
    }
}

extension Fate {
    init(_ answer: ServerAnswer) {
        switch answer.status {
        case .approved: self = .approved
        case .declined: self = answer.hasTransaction ? .declined : .refused
        case .pending: self = .pending
        case .other: self = .other
        }
    }

    /// Whether a repeat may be answered like this after the first request was answered like `self`.
    func allowsRepeat(_ later: Fate) -> Bool {
        switch self {
        case .approved, .declined: later == self
        // What claimed nothing may end in any way the second time; what was open has an outcome now.
        case .none, .refused, .pending, .lost, .other: true
        }
    }
}
