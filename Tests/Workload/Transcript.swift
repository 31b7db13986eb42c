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
    /// In the order of the calls.
    package private(set) var asked: [Asked] = []
    /// The sequence number of the last step that was answered.
    package private(set) var lastAnswered = 0
    private var places: [Int: Int] = [:]

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
        case .intent(let sequence, let payment, let step):
            places[sequence] = asked.count
            asked.append(Asked(sequence: sequence, payment: payment, step: step))
        case .acknowledged(let sequence, let answer, let clock):
            guard let place = places[sequence] else { return }
            asked[place].standing = .answered(answer, clock)
            lastAnswered = max(lastAnswered, sequence)
        case .settled(let found):
            for place in asked.indices where asked[place].standing == .open { asked[place].standing = .void }
            for step in found {
                guard let place = places[step.sequence] else { continue }
                asked[place].standing = .found(step.clock)
            }
        case .note: break
        }
    }

    package var lastSequence: Int { asked.last?.sequence ?? 0 }
    package var lastPayment: UInt64 { asked.map(\.payment).max() ?? 0 }
    /// Steps that were answered, and of these those that were taken.
    package var counts: (asked: Int, answered: Int, taken: Int) {
        var counts = (asked: asked.count, answered: 0, taken: 0)
        for step in asked {
            guard case .answered(let answer, _) = step.standing else { continue }
            counts.answered += 1
            if answer == .taken { counts.taken += 1 }
        }
        return counts
    }
}
