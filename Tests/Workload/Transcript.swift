package import Coordinator

/// The events of a workload so far, in one or several runs: what was asked of the log, and what is known of it.
package struct Transcript: Sendable {
    package enum Standing: Sendable, Hashable {
        /// Nobody knows whether it was taken.
        case open
        case answered(Ledger.Answer, WallTime)
        /// It had no answer when its run ended, and was found in the log afterwards.
        case found(WallTime)
        /// Likewise, and was not found.
        case void
    }

    package struct Asked: Sendable {
        package let sequence: Int
        package let payment: UInt64
        package let step: Step
        package var standing = Standing.open
    }

    package private(set) var content: Content?
    /// Whether the log may get full, so that steps without an answer may have been refused between others that were taken.
    package private(set) var mayFill = false
    /// What the log held after the steps that are known to the end, all of them before those that are ``asked``.
    package private(set) var base: Ledger?
    /// Answers that the log's rules do not give.
    package private(set) var faults: [String] = []
    /// From the first step on of which nobody knows what became of it, in the order of the calls.
    package private(set) var asked: [Asked] = []
    /// The sequence number of the last step that was answered.
    package private(set) var lastAnswered = 0
    package private(set) var lastSequence = 0
    package private(set) var lastPayment: UInt64 = 0
    /// Steps in all, those that were answered, and of these those that were taken.
    package private(set) var counts = (asked: 0, answered: 0, taken: 0)
    /// Where a step is in ``asked``, counted from the first of all.
    private var places: [Int: Int] = [:]
    private var passed = 0

    package init() {}

    package init(_ events: some Sequence<Event>) {
        for event in events { take(event) }
    }

    package init(text: String) { self.init(Event.events(in: text)) }

    package mutating func take(_ event: Event) {
        switch event {
        case .workload(let content, let mayFill):
            self.content = content
            self.mayFill = self.mayFill || mayFill
            base = base ?? Ledger(content)
        case .intent(let sequence, let payment, let step):
            places[sequence] = passed + asked.count
            asked.append(Asked(sequence: sequence, payment: payment, step: step))
            lastSequence = sequence
            lastPayment = max(lastPayment, payment)
            counts.asked += 1
        case .acknowledged(let sequence, let answer, let clock):
            stand(sequence, .answered(answer, clock))
            lastAnswered = max(lastAnswered, sequence)
            counts.answered += 1
            if answer == .taken { counts.taken += 1 }
            pass()
        case .settled(let found):
            let times = Dictionary(uniqueKeysWithValues: found.map { ($0.sequence, $0.clock) })
            for place in asked.indices where asked[place].standing == .open {
                asked[place].standing = times[asked[place].sequence].map { .found($0) } ?? .void
            }
            pass()
        case .note: break
        }
    }

    /// Of the steps without an answer, only these may be in the log.
    package mutating func rule(outAllBut found: [Event.Settled]) {
        let found = Set(found.map(\.sequence))
        for place in asked.indices where asked[place].standing == .open && !found.contains(asked[place].sequence) {
            asked[place].standing = .void
        }
        pass()
    }

    private mutating func stand(_ sequence: Int, _ standing: Standing) {
        guard let place = places.removeValue(forKey: sequence), place >= passed else { return }
        asked[place - passed].standing = standing
    }

    /// Takes the steps into the ledger that are known by now.
    private mutating func pass() {
        let known = asked.prefix { $0.standing != .open }
        for step in known {
            switch step.standing {
            case .open, .void: break
            case .found(let clock): base?.take(step.step, of: step.payment, writtenAt: clock)
            case .answered(let answer, let clock):
                if let fault = base?.fault(of: answer, to: step) { faults.append(fault) }
                if answer == .taken { base?.take(step.step, of: step.payment, writtenAt: clock) }
            }
        }
        let count = known.count
        asked.removeFirst(count)
        passed += count
        base?.fold()
    }
}
