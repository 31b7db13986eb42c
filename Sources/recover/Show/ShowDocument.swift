import Assembly
import Coordinator
import Payments
import Telemetry

/// What `show --json` prints: docs/reference/list-and-show.md. Keys are added in later versions of the program; none is renamed or given
/// another meaning without a new ``version``.
struct ShowDocument: Encodable {
    let kind = "holdfast-transaction"
    let version = 1
    let txnId: String
    /// What BEGIN says; `nil` if it is not there.
    let begin: Begin?
    /// `nil` if the log has no record.
    let state: String?
    let laterRecords: Int
    let records: [Record]
    let participants: [Part]
    let parked: [ListDocument.Parking]
    let proposal: ListDocument.Proposal?
    /// `nil` if nobody was asked.
    let verdict: Verdict?

    struct Begin: Encodable {
        let requestId, type, amount, currency, card, merchant, begunAt: String
        let epoch: UInt64
    }

    struct Record: Encodable {
        let lsn: UInt64
        let at: String
        /// Since the first record.
        let afterUs: Int64
        let kind, text: String
        let fault: String?
    }

    struct Part: Encodable {
        let participant, part, inTheLog: String
        let now: String?
    }

    struct Verdict: Encodable {
        let code, evidence, action: String
    }

    init(_ report: ShowReport) {
        let trace = report.replay?.trace
        txnId = report.transaction.description
        begin = trace?.begin.map(Begin.init)
        state = trace?.stage.rawValue
        laterRecords = report.replay?.laterCount ?? 0
        records =
            report.replay.map { replay in
                let first = replay.records[0].writtenAt
                return replay.records.map { place in
                    Record(
                        lsn: place.lsn.rawValue, at: Timestamp.text(microseconds: place.writtenAt.microseconds),
                        afterUs: place.writtenAt.microseconds(since: first), kind: place.record.kind.rawValue,
                        text: place.record.words, fault: replay.faults[place.lsn])
                }
            } ?? []
        participants = report.participants.map {
            Part(participant: $0.participant.description, part: $0.part, inTheLog: $0.logged, now: $0.now)
        }
        parked = (trace?.parkings ?? []).map {
            .init(
                participant: $0.record.participant.description, evidence: $0.record.evidence, lsn: $0.lsn.rawValue)
        }
        proposal = trace?.proposal.map { .init($0.record, lsn: $0.lsn, writtenAt: $0.writtenAt) }
        verdict = report.judgement.map { Verdict(code: $0.code, evidence: $0.evidence, action: $0.action) }
    }
}

extension ShowDocument.Begin {
    init(_ place: Placed<BeginRecord>) {
        let intent = place.record.intent
        requestId = intent.requestID.text
        type = intent.kind.wireName
        amount = intent.amount.decimalText
        currency = intent.amount.currency.code
        card = intent.maskedPAN.text
        merchant = intent.merchant.text
        begunAt = Timestamp.text(microseconds: place.writtenAt.microseconds)
        epoch = place.record.epoch.rawValue
    }
}
