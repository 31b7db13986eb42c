import Coordinator
import Payments

@testable import Assembly
@testable import PostgresParticipant
@testable import Server
@testable import WAL

/// Rows as a database gives them, each value a text or NULL: somebody may have changed a table, or made one.
///
/// The first byte of an input chooses the kind of row; values are separated by line feeds, and a zero byte alone is NULL.
enum RowFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        var choices = Choices(input.prefix(1))
        let kind = choices.below(7)
        let row = input.dropFirst().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
            value in
            // As `String(cString:)` reads a value of libpq's.
            value.elementsEqual([0]) ? nil : Texts.text(value.prefix { $0 != 0 })
        }
        switch kind {
        case 0: try witness(row)
        case 1: try payment(row)
        case 2: try prepared(row)
        case 3: try session(row)
        case 4: try fence(row)
        case 5: locks(row)
        default: diagnosis(row)
        }
    }

    /// A payment's row that counts as evidence: recovery writes it into the log, and tells the network of it.
    private static func witness(_ row: [String?]) throws {
        guard let read = RowStatements.read(row) else { return }
        let intent = read.row.intent
        let begin = BeginRecord(
            transaction: read.row.transaction, epoch: read.row.epoch, intent: intent,
            branches: [Branch(participant: .clearing)], deadline: WallTime(microseconds: 1))
        let adoption = AdoptionRecord(
            begin: begin, outcome: .committed, warrant: Warrant(.evidence, actor: "recovery", reason: "a row"))
        let lsn = LSN(rawValue: 1)
        let value = RecordCodec.encode(.adopted(adoption), lsn: lsn, writtenAt: WallTime(microseconds: 1))
        let decoded = try value.withUnsafeBytes { try RecordCodec.decode($0, at: lsn) }
        try hold(decoded.record == .adopted(adoption), "a row that was taken in is another one in the log")
        // The row is what the server wrote: it is read as its texts say.
        try hold(row[3] == intent.requestID.text, "another request_id")
        try hold(row[5] == intent.amount.decimalText && row[6] == intent.amount.currency.code, "another amount")
        try hold(row[8] == intent.maskedPAN.text, "another card")
        try hold(row[9] == intent.reference?.text, "another reference")
        try hold(row[10] == hexadecimal(intent.panToken.bytes), "another token")
        try hold(row[12] == hexadecimal(intent.requestHash.bytes), "another hash")
    }

    /// A payment's row that a client's question is answered from.
    private static func payment(_ row: [String?]) throws {
        guard let read = PaymentRow(row) else { return }
        try Texts.jsonLine(Answers.payment(PaymentView(read)), "an answer from a row")
    }

    private static func prepared(_ row: [String?]) throws {
        _ = PreparedTransaction.isElsewhere(row)
        guard let read = PreparedTransaction(row) else { return }
        try hold(read.gid == row[0], "another gid")
        try hold(GlobalBranchID(read.gid).map { $0.description == read.gid } ?? true, "a gid printed otherwise")
        try RecordWordsCheck.prepared(read)
    }

    private static func session(_ row: [String?]) throws {
        let log = LogID(high: 1, low: 2)
        _ = SessionStatements.olderBackends([row, row], log: log, than: Epoch(rawValue: 5))
        _ = Schema.judge(row)
        guard let facts = ServerFacts(row) else { return }
        try hold(row[0].flatMap { Int32($0) } == facts.backend.pid, "another backend")
    }

    private static func fence(_ row: [String?]) throws {
        _ = SessionStatements.readPosition(row[...])
        let found = SessionStatements.readFence(row)
        let own = FencePair(epoch: Epoch(rawValue: 7), incarnation: Incarnation(rawValue: 7))
        let former = FencePair(epoch: Epoch(rawValue: 3), incarnation: Incarnation(rawValue: 3))
        var fence = DatabaseFence(
            database: DatabaseIndex(rawValue: 1), identity: nil,
            confirmed: FencePair(epoch: Epoch(rawValue: 6), incarnation: Incarnation(rawValue: 6)), attempted: [])
        fence.former = [former]
        let judgement = FenceJudgement.of(found, fence: fence, owner: own, log: LogID(high: 1, low: 2))
        guard let found else {
            if case .refused = judgement { return }
            throw Finding(description: "a database without a fence was taken over")
        }
        // Only what the log knows is taken over.
        switch judgement {
        case .ours: try hold(found.pair == own, "somebody else's fence is ours")
        case .replace(let pair): try hold(pair == fence.confirmed, "an unknown fence is replaced")
        case .wentBack(let pair): try hold(pair == former, "an unknown fence is from the past")
        case .refused(let why): try hold(found.pair != own || found.database != fence.database, why)
        }
    }

    private static func locks(_ row: [String?]) {
        let rows = stride(from: 0, to: row.count, by: 7).map { Array(row[$0..<min($0 + 7, row.count)]) }
        let pairs = stride(from: 0, to: row.count, by: 2).map { Array(row[$0..<min($0 + 2, row.count)]) }
        for waiting in [[], pairs] {
            guard let judgement = LockJudgement(locks: rows.filter { $0.count == 7 }, waiting: waiting) else {
                continue
            }
            _ = judgement.locks(ofPrepared: Array(row.prefix(4)))
        }
    }

    private static func diagnosis(_ row: [String?]) {
        _ = PostgresDiagnosis.Role(row)
        _ = PostgresDiagnosis.Prepared(row)
    }
}
