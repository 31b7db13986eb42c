/// What a transaction was at a point of its history: its records up to there, taken in one after the other.
///
/// A record that may not stand where it does changes nothing; it is named in ``faults``.
public struct HistoryReplay: Sendable {
    /// What the records say.
    public let trace: TransactionTrace
    /// Those that were taken in, oldest first; never empty.
    public let records: [Placed<LogRecord>]
    /// How many come after the point.
    public let laterCount: Int
    /// Records that may not stand where they do, with the reason.
    public let faults: [LSN: String]

    /// - Parameters:
    ///   - history: every record of the transaction that is there, oldest first.
    ///   - isTaken: whether a record is not behind the point; asked in order, until it says no.
    /// - Returns: `nil` if nothing of the transaction was in the log at that point.
    public init?(
        of transaction: TransactionID, _ history: [Placed<LogRecord>],
        upTo isTaken: (Placed<LogRecord>) -> Bool = { _ in true }
    ) {
        records = Array(history.prefix(while: isTaken))
        guard let first = records.first else { return nil }
        laterCount = history.count - records.count
        // Trimming drops a history from its head.
        var trace = TransactionTrace(transaction, isPartial: !first.record.opensHistory)
        var faults: [LSN: String] = [:]
        for place in records {
            faults[place.lsn] = trace.take(place.record, at: place.lsn, place.writtenAt)
        }
        self.trace = trace
        self.faults = faults
    }
}

extension TransactionTrace {
    /// The states that people know.
    public enum Stage: String, Sendable, Hashable, CaseIterable {
        /// BEGIN is there, no decision.
        case preparing = "PREPARING"
        case committing = "COMMITTING"
        case aborting = "ABORTING"
        /// Waits for an operator.
        case parked = "PARKED"
        /// END is there.
        case committed = "COMMITTED"
        /// END is there; its reversal may still be open.
        case aborted = "ABORTED"
    }

    /// The state after the last record that was taken in.
    public var stage: Stage {
        switch outcome {
        case .committed: return .committed
        case .aborted: return .aborted
        case nil: break
        }
        if !parkings.isEmpty { return .parked }
        switch decision {
        case .undecided: return .preparing
        case .commit: return .committing
        case .abort: return .aborting
        }
    }

    /// Participants that are not proven to have carried out a decision; END says that all have.
    public var open: [Participant] {
        guard outcome == nil, let begin else { return [] }
        return begin.record.branches.map(\.participant).filter { acknowledged[$0] == nil || acknowledged[$0] == .lost }
    }
}

extension LogRecord {
    /// Whether a transaction's history begins with it.
    fileprivate var opensHistory: Bool {
        switch self {
        case .begin, .adopted: true
        case .serverStarted, .commit, .abort, .acknowledged, .end, .parked, .reversalRefused, .reversalClosed,
            .reversalParked, .resolutionProposed, .resolved, .reopened, .reversalReleased, .quarantineReleased,
            .broken, .reconciled:
            false
        }
    }
}
