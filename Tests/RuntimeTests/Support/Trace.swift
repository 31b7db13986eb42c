import Coordinator
import Runtime
import Synchronization

/// What happened, in its order: steps of the log, questions to participants, answers to clients.
final class Trace: Sendable {
    private let lines = Mutex<[String]>([])

    func note(_ line: String) { lines.withLock { $0.append(line) } }

    var all: [String] { lines.withLock { $0 } }

    func count(_ line: String) -> Int { all.count { $0 == line } }

    func contains(_ line: String) -> Bool { all.contains(line) }
}

extension LogWrite {
    /// For traces: the record's name, and whom it is about.
    var name: String {
        switch self {
        case .begin: "BEGIN"
        case .commit: "COMMIT"
        case .abort(let record): record.reversal == nil ? "ABORT" : "ABORT with reversal"
        case .acknowledged(let record): "ACK \(record.participant)"
        case .end(let record): "END \(record.outcome)"
        case .park(let record): "PARK \(record.participant)"
        case .reversalRefused(let record): "REFUSAL \(record.refusals)"
        case .closeReversal: "CLOSE REVERSAL"
        case .parkReversal: "PARK REVERSAL"
        case .fenceAttempted(let database, _): "FENCE ATTEMPT \(database)"
        case .fenceConfirmed(let database, _, _): "FENCE \(database)"
        case .databaseSeen(let database, _): "SEEN \(database)"
        case .resolve(let record, _): "RESOLVE \(record.outcome)"
        case .adopt(let record): "ADOPT \(record.outcome)"
        case .reopen(_, let record): "REOPEN \(record.database)"
        case .releaseReversal: "RELEASE REVERSAL"
        case .releaseQuarantined(let record): "RELEASE QUARANTINED \(record.number)"
        case .reconcile: "RECONCILE"
        }
    }

    var isBegin: Bool { if case .begin = self { true } else { false } }
    var isCommit: Bool { if case .commit = self { true } else { false } }
    var isAbort: Bool { if case .abort = self { true } else { false } }
    var isEnd: Bool { if case .end = self { true } else { false } }
    var isPark: Bool { if case .park = self { true } else { false } }
}

extension Answer {
    /// For traces and comparisons: what a client is told, less the transaction.
    var text: String {
        switch self {
        case .approved: "APPROVED"
        case .declined(let reason, _): "DECLINED \(reason.wireName)"
        case .refused(let reason): "REFUSED \(reason.wireName)"
        case .pending: "PENDING"
        case .madeBy: "MADE BY ANOTHER"
        }
    }

    var transaction: TransactionID? {
        switch self {
        case .approved(let transaction), .declined(_, let transaction), .pending(let transaction),
            .madeBy(let transaction):
            transaction
        case .refused: nil
        }
    }
}
