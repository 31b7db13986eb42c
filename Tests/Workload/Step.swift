package import Coordinator

/// One step that a workload asks of the log, as its events name it. What it writes follows from the step, the payment's number and
/// the workload's seed.
package enum Step: Sendable, Hashable {
    /// The log is opened: the record of a start.
    case start(Incarnation)
    case begin
    case commit
    case abort(AbortShape)
    case acknowledged(Participant)
    case end(Outcome)
    case park(Participant)
    /// The decision stands, and the participant that did otherwise is asked again.
    case resolve
    case refuseReversal(Int)
    case closeReversal
    case parkReversal
    case releaseReversal
    case fenceAttempted(DatabaseIndex)
    case fenceConfirmed(DatabaseIndex)
    case databaseSeen(DatabaseIndex)
    /// Drops what ended before the time.
    case trim(WallTime)

    package enum AbortShape: String, Sendable, Hashable, CaseIterable {
        /// The network may hold something: with a reversal task.
        case reversed
        /// The network has refused: without one.
        case clean
        /// The request_id is free again.
        case released
        /// Another transaction made the payment.
        case made
    }
}

extension Step {
    /// One word without blanks.
    package var token: String {
        switch self {
        case .start(let incarnation): "start.\(incarnation)"
        case .begin: "begin"
        case .commit: "commit"
        case .abort(let shape): "abort.\(shape.rawValue)"
        case .acknowledged(let participant): "ack.\(Self.name(participant))"
        case .end(let outcome): outcome == .committed ? "end.committed" : "end.aborted"
        case .park(let participant): "park.\(Self.name(participant))"
        case .resolve: "resolve"
        case .refuseReversal(let count): "refuse.\(count)"
        case .closeReversal: "close"
        case .parkReversal: "parkreversal"
        case .releaseReversal: "release"
        case .fenceAttempted(let database): "fence.\(database.rawValue)"
        case .fenceConfirmed(let database): "fenced.\(database.rawValue)"
        case .databaseSeen(let database): "seen.\(database.rawValue)"
        case .trim(let cutoff): "trim.\(cutoff.microseconds)"
        }
    }

    package init?(token: some StringProtocol) {
        let parts = token.split(separator: ".", maxSplits: 1)
        guard let name = parts.first else { return nil }
        let rest = parts.count > 1 ? String(parts[1]) : ""
        switch name {
        case "start":
            guard let incarnation = Incarnation(rest) else { return nil }
            self = .start(incarnation)
        case "begin": self = .begin
        case "commit": self = .commit
        case "abort":
            guard let shape = AbortShape(rawValue: rest) else { return nil }
            self = .abort(shape)
        case "ack", "park":
            guard let participant = Self.participant(rest) else { return nil }
            self = name == "ack" ? .acknowledged(participant) : .park(participant)
        case "end": self = .end(rest == "committed" ? .committed : .aborted)
        case "resolve": self = .resolve
        case "refuse":
            guard let count = Int(rest) else { return nil }
            self = .refuseReversal(count)
        case "close": self = .closeReversal
        case "parkreversal": self = .parkReversal
        case "release": self = .releaseReversal
        case "fence", "fenced", "seen":
            guard let number = UInt8(rest) else { return nil }
            let database = DatabaseIndex(rawValue: number)
            self =
                name == "seen"
                ? .databaseSeen(database) : name == "fence" ? .fenceAttempted(database) : .fenceConfirmed(database)
        case "trim":
            guard let cutoff = Int64(rest) else { return nil }
            self = .trim(WallTime(microseconds: cutoff))
        default: return nil
        }
    }

    private static func name(_ participant: Participant) -> String {
        switch participant {
        case .clearing: "network"
        case .database(let database): "\(database.rawValue)"
        }
    }

    private static func participant(_ name: String) -> Participant? {
        if name == "network" { return .clearing }
        return UInt8(name).map { .database(DatabaseIndex(rawValue: $0)) }
    }
}
