import NIOCore
import NIOPosix
import Synchronization

/// One event loop's share of the load. Everything but what is said otherwise belongs to the loop.
final class LoadLoop: LoadLineOwner, @unchecked Sendable {
    // @unchecked: every stored `var` is touched on `loop` only.

    /// What all loops share: when the load begins and which number comes next.
    final class Shared: Sendable {
        let plan: LoadPlan
        private let startTime = Atomic<UInt64>(0)
        private let next = Atomic<Int>(0)

        init(_ plan: LoadPlan) { self.plan = plan }

        /// On the loops' clock, nanoseconds. Set before the first loop begins.
        var start: UInt64 {
            get { startTime.load(ordering: .relaxed) }
            set { startTime.store(newValue, ordering: .relaxed) }
        }

        /// The number of the next request; `nil` when the load is over.
        func takeNumber(now: UInt64) -> Int? {
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
    private var lines: [LoadLine] = []
    private var nextLine = 0
    private var linesToFlush: [LoadLine] = []
    /// In an open loop the connections without an open request, the one that was used last at the end; some may be gone by the time of
    /// their turn.
    private var idle: [LoadLine] = []
    private var tally = Tally()
    /// What became of each request_id, by its first request's number.
    private var fates: [Int: Fate] = [:]
    /// Of operations on an earlier payment: that payment's number and the kind, packed.
    private var kinds: [Int: Int] = [:]
    /// Answered first requests, for replays, and approved payments, for operations on them.
    private var recent = CircularBuffer<Int>()
    private var approved = CircularBuffer<Int>()
    /// Connections that were not asked for yet, and those that are being made, of the first ones.
    private var unasked: Int
    private var beingMade = 0
    private var hasBegun = false
    private var hasEnded = false
    private var isFinished = false
    private var openRequests = 0
    private var nextDue = 0.0
    private let index: Int
    /// Between two arrivals of all loops together, in an open loop, nanoseconds.
    private let interval: Double?
    private let opened: EventLoopPromise<Void>
    private let drained: EventLoopPromise<Void>

    /// - Parameters:
    ///   - index: which of the loops this is, from 0.
    init(_ index: Int, loop: any EventLoop, shared: Shared) {
        self.index = index
        self.loop = loop
        self.shared = shared
        plan = shared.plan
        let (quotient, remainder) = shared.plan.connections.quotientAndRemainder(dividingBy: shared.plan.threads)
        connections = quotient + (index < remainder ? 1 : 0)
        unasked = connections
        opened = loop.makePromise()
        drained = loop.makePromise()
        switch shared.plan.arrival {
        case .closed: interval = nil
        case .open(let perSecond): interval = 1e9 / perSecond
        }
    }

    /// Makes the connections, and sends nothing yet: how long that takes is no latency of a request's. The future is there when each
    /// has been made or has failed once.
    func open() -> EventLoopFuture<Void> {
        loop.execute { [self] in makeFirstConnections() }
        return opened.futureResult
    }

    /// Sends the load; the future is there when everything is answered, lost or given up. After ``open()``, once.
    func run() -> EventLoopFuture<Void> {
        loop.execute { [self] in
            hasBegun = true
            if case .time(let nanoseconds) = plan.extent {
                let deadline = NIODeadline.uptimeNanoseconds(shared.start + UInt64(nanoseconds))
                loop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in end() }
            }
            if let interval {
                nextDue = Double(shared.start) + interval * Double(index)
                tick()
            } else {
                for line in lines { fill(line) }
                flush()
            }
        }
        return drained.futureResult
    }

    /// Nothing further is sent. What is open is waited for; if this is said again, it is not.
    func stop() {
        loop.execute { [self] in
            if hasEnded { giveUp() } else { end() }
        }
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

    /// So many at a time that they find room in the server's backlog.
    private func makeFirstConnections() {
        while unasked > 0, beingMade < LoadLimits.connectsAtOnce {
            unasked -= 1
            beingMade += 1
            connect().assumeIsolated().whenComplete { [self] _ in
                beingMade -= 1
                makeFirstConnections()
            }
        }
        if unasked == 0, beingMade == 0 { opened.succeed() }
    }

    @discardableResult
    private func connect() -> EventLoopFuture<any Channel> {
        let connected = ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.nanoseconds(LoadLimits.connectMax))
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(LoadLine(owner: self))
                }
            }
            .connect(host: plan.host, port: plan.port)
        connected.assumeIsolated().whenFailure { [self] _ in
            tally.connectionFailures += 1
            reconnectLater()
        }
        return connected
    }

    private func reconnectLater() {
        guard !hasEnded else { return settle() }
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(LoadLimits.reconnectPause)) { [self] in
            if !hasEnded { connect() }
        }
    }

    func lineOpened(_ line: LoadLine) {
        lines.append(line)
        if interval != nil { idle.append(line) } else if hasBegun { fill(line) }
        flush()
    }

    func lineWaitsForFlush(_ line: LoadLine) { linesToFlush.append(line) }

    private func flush() {
        for line in linesToFlush { line.flush() }
        linesToFlush.removeAll(keepingCapacity: true)
    }

    /// Sends as many requests as a connection of a closed loop keeps open.
    private func fill(_ line: LoadLine) {
        for _ in 0..<plan.depth { sendNext(on: line, due: now) }
    }

    func lineClosed(_ line: LoadLine, lost: [LoadLine.Open]) {
        lines.removeAll { $0 === line }
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
        while nextDue <= now, !lines.isEmpty, !hasEnded {
            sendNext(on: lineForArrival(), due: UInt64(nextDue))
            // Each loop takes every so many-th arrival.
            nextDue += interval * Double(plan.threads)
        }
        flush()
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(LoadLimits.tick)) { [self] in tick() }
    }

    /// A connection that waits for nothing, so that no answer waits behind another's: the one that was used last, as pools of clients
    /// give. Without one the next in turn. There must be a connection.
    private func lineForArrival() -> LoadLine {
        while let line = idle.popLast() {
            if line.context != nil, line.openCount == 0 { return line }
        }
        nextLine = (nextLine + 1) % lines.count
        return lines[nextLine]
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
        guard interval == nil else {
            if line.openCount == 0 { idle.append(line) }
            return settle()
        }
        if !hasEnded { sendNext(on: line, due: now) } else { settle() }
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
        for line in lines { line.context?.close(promise: nil) }
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
