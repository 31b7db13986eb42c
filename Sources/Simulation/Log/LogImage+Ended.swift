package import Coordinator
import Payments

/// Going through the history for the transactions that have ended in it, with their proofs.
extension LogImage {
    /// Everything that ended, from a place on; what was reopened as its last END left it. What began before the place is not told.
    package func endedSince(_ first: LSN) -> [ActiveTransaction] {
        var unfinished: [TransactionID: ActiveTransaction] = [:]
        var found: [TransactionID: ActiveTransaction] = [:]
        for entry in records where entry.lsn >= first {
            guard let id = entry.record.transaction else { continue }
            switch entry.record {
            case .begin(let begin): unfinished[id] = Self.open(begin, entry)
            case .adopted(let adoption): unfinished[id] = Self.open(adoption.begin, entry)
            case .reopened(let record):
                if let ended = found.removeValue(forKey: id) { unfinished[id] = ended.reopened(record, parking: nil) }
            default: break
            }
            guard var state = unfinished[id] else { continue }
            guard Self.take(entry, &state) else {
                unfinished[id] = state
                continue
            }
            unfinished[id] = nil
            if state.decision != .undecided { found[id] = state }
        }
        return found.values.sorted { $0.transaction < $1.transaction }
    }

    private static func open(_ begin: BeginRecord, _ entry: Entry) -> ActiveTransaction {
        ActiveTransaction(
            begin: Durable(attestedByLog: begin, lsn: entry.lsn, writtenAt: entry.writtenAt), decision: .undecided,
            acknowledged: [:])
    }

    /// - Returns: whether the record ended it; every participant without a proof of its own then counts as proven.
    private static func take(_ entry: Entry, _ state: inout ActiveTransaction) -> Bool {
        let (lsn, at) = (entry.lsn, entry.writtenAt)
        switch entry.record {
        case .commit(let record): state.decision = .commit(Durable(attestedByLog: record, lsn: lsn, writtenAt: at))
        case .abort(let record): state.decision = .abort(Durable(attestedByLog: record, lsn: lsn, writtenAt: at))
        case .acknowledged(let record): state.acknowledged[record.participant] = record.proof
        case .parked(let record): state.park(Durable(attestedByLog: record, lsn: lsn, writtenAt: at))
        case .reopened(let record) where record.isParked:
            let parked = ParkedRecord(
                transaction: record.transaction, participant: .database(record.database), evidence: record.evidence)
            state.park(Durable(attestedByLog: parked, lsn: lsn, writtenAt: at))
        case .resolved(let order): resolve(order, at, &state)
        case .end:
            for branch in state.begin.record.branches where state.acknowledged[branch.participant] == nil {
                state.acknowledged[branch.participant] = .acknowledgement
            }
            state.parkings = []
            return true
        default: break
        }
        return false
    }

    /// The log took this order, so it is allowed whatever the log's continuity is by now.
    private static func resolve(_ order: ResolutionRecord, _ at: WallTime, _ state: inout ActiveTransaction) {
        let isAllowed = LogContinuity.broken(
            LogBreak(cause: .lost, firstLostEpoch: state.begin.record.epoch, at: at))
        guard let resolving = try? state.resolving(order, now: at, continuity: isAllowed) else { return }
        state = state.resolved(resolving, decision: state.decision)
    }
}
