public import Coordinator

extension LMDBLog {
    /// An ended transaction as it stood at its end; `nil` if the history has no END of it, or no more.
    public func ended(_ transaction: TransactionID) throws -> ActiveTransaction? {
        ActiveTransaction(endedIn: try history(of: transaction))
    }
}

extension LogReader {
    /// An ended transaction as it stood at its end; `nil` if the history has no END of it, or no more.
    public func ended(_ transaction: TransactionID) throws -> ActiveTransaction? {
        ActiveTransaction(endedIn: try history(of: transaction))
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
