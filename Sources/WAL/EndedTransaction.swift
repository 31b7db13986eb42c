public import Coordinator

extension LMDBLog {
    /// Ended transactions as they stood at their end; those that the history has no END of, or no more, are not among them.
    public func ended(_ transactions: Set<TransactionID>) throws -> [TransactionID: ActiveTransaction] {
        try absentees.find(transactions) { wanted throws(LogError) in try HistorySearch(for: wanted, in: self) }
            .compactMapValues(ActiveTransaction.init(endedIn:))
    }
}

extension LogReader {
    /// Ended transactions as they stood at their end; those that the history has no END of, or no more, are not among them.
    public func ended(_ transactions: Set<TransactionID>) throws -> [TransactionID: ActiveTransaction] {
        try HistorySearch(for: transactions, in: self).found.compactMapValues(ActiveTransaction.init(endedIn:))
    }
}

extension ActiveTransaction {
    /// Puts a transaction together again from its records; every participant counts as proven, as END says.
    init?(endedIn history: [LoggedRecord]) {
        var begin: Durable<BeginRecord>?
        var decision = Decision.undecided
        var hasEnded = false
        for (lsn, writtenAt, record) in history {
            switch record {
            case .begin(let record): begin = Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt)
            case .commit(let record):
                decision = .commit(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt))
            case .abort(let record):
                decision = .abort(Durable(attestedByLog: record, lsn: lsn, writtenAt: writtenAt))
            case .adopted(let record):
                begin = Durable(attestedByLog: record.begin, lsn: lsn, writtenAt: writtenAt)
            case .end: hasEnded = true
            case .reopened: hasEnded = false
            case .serverStarted, .acknowledged, .parked, .reversalRefused, .reversalClosed, .reversalParked,
                .resolutionProposed, .resolved, .reversalReleased, .quarantineReleased, .broken, .reconciled:
                break
            }
        }
        guard hasEnded, let begin, decision != .undecided else { return nil }
        let proofs = begin.record.branches.map { ($0.participant, Proof.acknowledgement) }
        self.init(begin: begin, decision: decision, acknowledged: Dictionary(uniqueKeysWithValues: proofs))
    }
}
