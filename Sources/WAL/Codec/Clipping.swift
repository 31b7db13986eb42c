import Coordinator

/// Texts that others wrote are cut to their limits before a step is taken, so that what its receipt says is what is on
/// disk.
extension LogWrite {
    var clipped: LogWrite {
        switch self {
        case .begin, .acknowledged, .end, .closeReversal, .fenceAttempted, .fenceConfirmed, .databaseSeen: return self
        case .commit(let record):
            let code = clip(record.authorizationCode, LogLimits.authorizationCodeBytesMax)
            return .commit(CommitRecord(transaction: record.transaction, authorizationCode: code))
        case .abort(let record):
            guard var task = record.reversal else { return self }
            task.parkedReason = task.parkedReason.map { clip($0, LogLimits.reasonBytesMax) }
            task.refusals = Int(UInt32(clamping: task.refusals))
            return .abort(
                AbortRecord(
                    transaction: record.transaction, reason: record.reason, claim: record.claim, reversal: task))
        case .park(let record):
            return .park(
                ParkedRecord(
                    transaction: record.transaction, participant: record.participant,
                    evidence: clip(record.evidence, LogLimits.evidenceBytesMax)))
        case .reversalRefused(let record):
            return .reversalRefused(
                ReversalRefusedRecord(
                    transaction: record.transaction, refusals: Int(UInt32(clamping: record.refusals)),
                    reason: clip(record.reason, LogLimits.reasonBytesMax)))
        case .parkReversal(let record):
            return .parkReversal(
                ReversalParkedRecord(
                    transaction: record.transaction, reason: clip(record.reason, LogLimits.reasonBytesMax)))
        case .resolve(let record, let needsTwoPersons):
            return .resolve(
                ResolutionRecord(
                    transaction: record.transaction, outcome: record.outcome, isForced: record.isForced,
                    warrant: record.warrant.clipped), needsTwoPersons: needsTwoPersons)
        case .adopt(let record):
            return .adopt(
                AdoptionRecord(begin: record.begin, outcome: record.outcome, warrant: record.warrant.clipped))
        case .reopen(let state, let record):
            return .reopen(
                state,
                ReopenedRecord(
                    transaction: record.transaction, database: record.database, isParked: record.isParked,
                    evidence: clip(record.evidence, LogLimits.evidenceBytesMax)))
        case .releaseReversal(let record):
            return .releaseReversal(
                ReversalReleasedRecord(transaction: record.transaction, warrant: record.warrant.clipped))
        case .releaseQuarantined(let record):
            return .releaseQuarantined(
                QuarantineReleasedRecord(
                    number: record.number, wasRestored: record.wasRestored, warrant: record.warrant.clipped))
        case .reconcile(let warrant): return .reconcile(warrant.clipped)
        }
    }
}

extension Warrant {
    var clipped: Warrant {
        Warrant(
            authority, actor: clip(actor, LogLimits.actorBytesMax), reason: clip(reason, LogLimits.evidenceBytesMax))
    }
}

/// The longest beginning of `text` that has at most `bytesMax` bytes of UTF-8 and cuts no Unicode scalar in two.
func clip(_ text: String, _ bytesMax: Int) -> String {
    guard text.utf8.count > bytesMax else { return text }
    var kept = ""
    var bytes = 0
    for scalar in text.unicodeScalars {
        bytes += UTF8.width(scalar)
        guard bytes <= bytesMax else { break }
        kept.unicodeScalars.append(scalar)
    }
    return kept
}
