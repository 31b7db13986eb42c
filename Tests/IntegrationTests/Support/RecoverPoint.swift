import Testing

@testable import Harness

/// A named step of recovery at which `HOLDFAST_FAULT` strikes.
enum RecoverPoint: String, Sendable, CaseIterable {
    case logTakenOver = "log-taken-over"
    case databaseFenced = "database-fenced"
    case planMade = "plan-made"
    case decisionRecovered = "decision-recovered"
    case branchResolved = "branch-resolved"
    case confirmed = "confirmed"
    case reversalSent = "reversal-sent"
    case reversalAcknowledged = "reversal-acknowledged"
    case endDurable = "end-durable"
    /// Of a log that had lost its tail.
    case reconciled = "reconciled"
    case logClosed = "log-closed"

    /// Whether one run that finds much to do, in two databases, comes there more than once.
    var isRepeated: Bool {
        switch self {
        case .logTakenOver, .planMade, .reconciled, .logClosed: false
        case .databaseFenced, .decisionRecovered, .branchResolved, .confirmed, .reversalSent, .reversalAcknowledged,
            .endDurable:
            true
        }
    }
}

/// The first or a later time that recovery comes to a point.
struct RecoverHit: Sendable, CustomTestStringConvertible {
    let point: RecoverPoint
    let number: Int

    var testDescription: String { "\(point.rawValue):\(number)" }

    /// As `HOLDFAST_FAULT` takes it.
    var fault: String { "\(point.rawValue):\(number):kill" }

    /// The first of each point, and the second where there is one; but of a log that lost its tail.
    static let all = RecoverPoint.allCases.filter { $0 != .reconciled }.flatMap { point in
        (1...(point.isRepeated ? 2 : 1)).map { RecoverHit(point: point, number: $0) }
    }
}
