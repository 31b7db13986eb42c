import Coordinator

/// What was tried in a run, by group and name.
public final class Coverage {
    public enum Group: String, CaseIterable, Sendable {
        case state
        case transition
        case transactionVerdict = "verdict"
        case strayVerdict = "stray verdict"
        case adoptionVerdict = "adoption verdict"
        case breaker
        case reversal
        case write
        case refusal
        case answer
        case fault
        case outcome
    }

    public private(set) var hits: [Group: [String: Int]] = [:]

    public init() {}

    func hit(_ group: Group, _ name: String) { hits[group, default: [:]][name, default: 0] += 1 }

    /// Adds what another run has tried.
    public func add(_ other: Coverage) {
        for (group, names) in other.hits {
            hits[group, default: [:]].merge(names, uniquingKeysWith: +)
        }
    }

    func note(_ plan: RecoveryPlan) {
        for verdict in plan.transactions { hit(.transactionVerdict, "\(verdict.verdict)") }
        for stray in plan.strays {
            switch stray.verdict {
            case .foreign: hit(.strayVerdict, "foreign")
            case .orphan: hit(.strayVerdict, "orphan")
            case .preparedAgain: hit(.strayVerdict, "preparedAgain")
            }
        }
        for adoption in plan.adoptions {
            switch adoption.verdict {
            case .adopt(let record): hit(.adoptionVerdict, "adopt \(record.outcome)")
            case .awaitEvidence: hit(.adoptionVerdict, "awaitEvidence")
            case .contradiction: hit(.adoptionVerdict, "contradiction")
            }
        }
        if !plan.heldReversals.isEmpty { hit(.reversal, "held") }
    }
}
