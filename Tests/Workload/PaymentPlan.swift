package import Coordinator

/// The way of one payment through the log.
package enum PaymentPlan {
    /// What becomes of it.
    package enum Kind: Sendable, Hashable, CaseIterable {
        case approved
        /// With a reversal that the network acknowledges, after refusing it a few times.
        case reversed
        /// With a reversal that waits for an operator before.
        case reversalParked
        case declined
        /// Gives its request_id up; the next payment takes it.
        case released
        /// The next payment comes under its request_id and is refused, or answered.
        case repeated
        case madeElsewhere
        /// The network did otherwise; an operator has it asked again.
        case parked
        /// A second decision is tried, and refused.
        case decidedTwice
        /// Stays decided and unfinished.
        case stuck
        /// Stays without a decision.
        case undecided

        var sharesRequest: Bool { self == .released || self == .repeated }
    }

    /// A step and whether the payment waits for it.
    package struct Planned: Sendable, Hashable {
        package let step: Step
        package let urgency: LogUrgency
    }

    /// What the seed makes of the payment of that number.
    package static func kind(_ number: UInt64, seed: UInt64) -> Kind {
        var numbers = SeededNumbers(seed, number, 0)
        switch numbers.below(100) {
        case ..<50: return .approved
        case ..<60: return .reversed
        case ..<66: return .reversalParked
        case ..<72: return .declined
        case ..<76: return .released
        case ..<80: return .repeated
        case ..<84: return .madeElsewhere
        case ..<92: return .parked
        case ..<97: return .decidedTwice
        case ..<99: return .stuck
        default: return .undecided
        }
    }

    /// From BEGIN on.
    package static func steps(_ number: UInt64, seed: UInt64) -> [Planned] {
        let databases: [Step] = [
            .acknowledged(.database(Content.first)), .acknowledged(.database(Content.second)),
        ]
        switch kind(number, seed: seed) {
        case .approved, .repeated:
            return forced(.begin, .commit) + lazy(databases + [.acknowledged(.clearing), .end(.committed)])
        case .decidedTwice:
            return forced(.begin, .commit, .abort(.reversed))
                + lazy(databases + [.acknowledged(.clearing), .end(.committed)])
        case .reversed:
            return forced(.begin, .abort(.reversed)) + lazy(databases + [.end(.aborted)])
                + lazy((0..<Int(number % 3)).map { .refuseReversal($0 + 1) }) + forced(.closeReversal)
        case .reversalParked:
            return forced(.begin, .abort(.reversed)) + lazy([.refuseReversal(1)])
                + forced(.parkReversal) + lazy(databases + [.end(.aborted)])
                + forced(.releaseReversal) + lazy([.refuseReversal(1)]) + forced(.closeReversal)
        case .declined: return forced(.begin, .abort(.clean)) + lazy(databases + [.end(.aborted)])
        case .released:
            return forced(.begin, .abort(.released)) + lazy(databases + [.end(.aborted)]) + forced(.closeReversal)
        case .madeElsewhere:
            return forced(.begin, .abort(.made)) + lazy(databases + [.end(.aborted)]) + forced(.closeReversal)
        case .parked:
            return forced(.begin, .commit) + lazy(databases) + forced(.park(.clearing), .resolve)
                + lazy([.acknowledged(.clearing), .end(.committed)])
        case .stuck: return forced(.begin, .commit) + lazy([databases[0]])
        case .undecided: return forced(.begin)
        }
    }

    static func forced(_ steps: Step...) -> [Planned] { steps.map { Planned(step: $0, urgency: .forced) } }
    static func lazy(_ steps: [Step]) -> [Planned] { steps.map { Planned(step: $0, urgency: .lazy) } }
}
