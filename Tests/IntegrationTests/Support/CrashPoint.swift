import Testing

@testable import Harness

/// A named point of the server at which `HOLDFAST_FAULT` strikes, and what everybody must hold at that moment.
enum CrashPoint: String, Sendable, CaseIterable, CustomTestStringConvertible {
    /// BEGIN is durable, nobody was asked.
    case beginDurable = "begin-durable"
    /// The network holds the amount, no database was asked.
    case holdPlaced = "hold-placed"
    /// Everybody voted yes, nothing is decided.
    case prepared = "prepared"
    /// COMMIT is durable, nobody was told.
    case decisionDurable = "decision-durable"
    /// The first database has committed, nobody else is known to have been told.
    case firstDatabaseCommitted = "first-database-committed"
    /// ABORT and its reversal are durable, nothing was sent.
    case reversalDurable = "reversal-durable"

    var testDescription: String { rawValue }

    /// What the server can be made to do at a point.
    enum Action: String, Sendable {
        /// SIGKILL.
        case kill
        /// SIGSTOP: it stands still until it gets SIGCONT.
        case stop
        /// It ends at once, with code 70.
        case exit
    }

    /// As `HOLDFAST_FAULT` takes it: at the first payment that gets there.
    func fault(_ action: Action) -> String { "\(rawValue):1:\(action.rawValue)" }

    /// What the network must do wrong for a payment to get there.
    var faults: Faults {
        switch self {
        case .beginDurable, .holdPlaced, .prepared, .decisionDurable, .firstDatabaseCommitted: .none
        // It holds, and its answers are lost: the vote is unknown.
        case .reversalDurable: Faults(lostReplyRate: 1)
        }
    }

    /// Whether the network holds the amount at that moment.
    var isHeld: Bool {
        switch self {
        case .beginDurable: false
        case .holdPlaced, .prepared, .decisionDurable, .firstDatabaseCommitted, .reversalDurable: true
        }
    }

    /// Whether the database branches are prepared or committed at that moment.
    var isPrepared: Bool {
        switch self {
        case .beginDurable, .holdPlaced, .reversalDurable: false
        case .prepared, .decisionDurable, .firstDatabaseCommitted: true
        }
    }

    /// Whether the payment is made in the end.
    var isMade: Bool {
        switch self {
        case .beginDurable, .holdPlaced, .prepared, .reversalDurable: false
        case .decisionDurable, .firstDatabaseCommitted: true
        }
    }

    /// What contradicts the expectation right after the death of the server; empty if nothing does.
    func surprises(in evidence: Evidence, branches: Int) -> [String] {
        var found: [String] = []
        let visible = evidence.rows.count + evidence.entries.count
        let held = evidence.book.count { $0.state == .held }
        if held != (isHeld ? 1 : 0) || evidence.book.count != held {
            found.append("the network: \(evidence.book.map { "\($0.state)" })")
        }
        switch self {
        case .beginDurable, .holdPlaced, .reversalDurable:
            if !evidence.prepared.isEmpty || visible > 0 { found.append("a database was asked") }
        case .prepared, .decisionDurable:
            if evidence.prepared.count != branches {
                found.append("prepared: \(evidence.prepared), expected \(branches)")
            }
            if visible > 0 { found.append("a branch is committed") }
        case .firstDatabaseCommitted:
            // A payment with one branch has both rows in it, one with two has one in each.
            let committed = branches == 1 ? visible / 2 : visible
            if committed < 1 || committed + evidence.prepared.count != branches {
                found.append(
                    "committed: \(visible) rows, prepared: \(evidence.prepared), expected \(branches) branches")
            }
        }
        return found
    }
}
