import Coordinator
import Payments

/// Values of the database `records`: LSN u64, wall time i64, transaction (two u64, zero for records of the log itself),
/// and what the kind adds.
enum RecordCodec {
    static func encode(_ record: LogRecord, lsn: LSN, writtenAt: WallTime) -> [UInt8] {
        var writer = ByteWriter(capacity: 320)
        encode(record, lsn: lsn, writtenAt: writtenAt, into: &writer)
        return Array(writer.written)
    }

    static func encode(_ record: LogRecord, lsn: LSN, writtenAt: WallTime, into writer: inout ByteWriter) {
        Envelope.seal(kind(of: record), into: &writer) { writer in
            writer.integer(lsn.rawValue)
            writer.integer(writtenAt.microseconds)
            writer.transaction(record.transaction ?? TransactionID(high: 0, low: 0))
            writeBody(of: record, to: &writer)
        }
        assert(
            roundTrips(writer.written, record, lsn, writtenAt), "a record reads back otherwise than it was written")
    }

    /// - Parameter lsn: the key that the value was found under.
    static func decode(
        _ value: UnsafeRawBufferPointer, at lsn: LSN
    ) throws(ValueFault) -> (record: LogRecord, writtenAt: WallTime) {
        var (kind, reader) = try Envelope.open(value)
        guard try reader.lsn() == lsn else { throw .misplaced }
        let writtenAt = try reader.time()
        let transaction = try reader.transaction()
        let record = try readBody(of: kind, transaction, from: &reader)
        try reader.finish()
        // A record of the log itself names none: with one in its place it would be found among another's records.
        guard record.transaction ?? TransactionID(high: 0, low: 0) == transaction else { throw .misplaced }
        return (record, writtenAt)
    }

    /// What trimming needs to know of a record: everything before the body.
    static func decodeHead(
        _ value: UnsafeRawBufferPointer, at lsn: LSN
    ) throws(ValueFault) -> (kind: ValueKind, writtenAt: WallTime, transaction: TransactionID) {
        var (kind, reader) = try Envelope.open(value)
        guard try reader.lsn() == lsn else { throw .misplaced }
        return (kind, try reader.time(), try reader.transaction())
    }

    /// The transaction by its place in the bytes, whether the value can be read or not; `nil` if it is too short, and
    /// for records of the log itself.
    static func transaction(in value: UnsafeRawBufferPointer) -> TransactionID? {
        let offset = Envelope.headerBytes + 16
        guard value.count >= offset + 16 else { return nil }
        let id = TransactionID(
            high: UInt64(littleEndian: value.loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
            low: UInt64(littleEndian: value.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)))
        return id == TransactionID(high: 0, low: 0) ? nil : id
    }

    /// Whether the value may be a record of one of `transactions`: looks at its place in the bytes alone, so that a search
    /// through a long history checks and decodes only what it finds.
    static func mayBelong(_ value: UnsafeRawBufferPointer, to transactions: Set<TransactionID>) -> Bool {
        let offset = Envelope.headerBytes + 16
        // A value that is too short is damaged; let the decoder say so.
        guard value.count >= offset + 16 else { return true }
        return transactions.contains(
            TransactionID(
                high: UInt64(littleEndian: value.loadUnaligned(fromByteOffset: offset, as: UInt64.self)),
                low: UInt64(littleEndian: value.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))))
    }

    /// Likewise, whether the value may be a record of one of `kinds`.
    static func mayBe(_ value: UnsafeRawBufferPointer, _ kinds: Set<ValueKind>) -> Bool {
        guard value.count >= Envelope.headerBytes, let kind = ValueKind(rawValue: value[1]) else { return true }
        return kinds.contains(kind)
    }

    static func kind(of record: LogRecord) -> ValueKind {
        switch record {
        case .serverStarted: .serverStarted
        case .begin: .begin
        case .commit: .commit
        case .abort: .abort
        case .acknowledged: .acknowledged
        case .end: .end
        case .parked: .parked
        case .reversalRefused: .reversalRefused
        case .reversalClosed: .reversalClosed
        case .reversalParked: .reversalParked
        case .resolutionProposed: .resolutionProposed
        case .resolved: .resolved
        case .adopted: .adopted
        case .reopened: .reopened
        case .reversalReleased: .reversalReleased
        case .quarantineReleased: .quarantineReleased
        case .broken: .broken
        case .reconciled: .reconciled
        }
    }

    private static func writeBody(of record: LogRecord, to writer: inout ByteWriter) {
        switch record {
        case .serverStarted(let pair): writer.pair(pair)
        case .begin(let record): writer.beginBody(record)
        case .commit(let record): writer.commitBody(record)
        case .abort(let record): writer.abortBody(record)
        case .acknowledged(let record):
            writer.participant(record.participant)
            writer.integer(record.proof.rawValue)
        case .end(let record):
            writer.integer(record.outcome.rawValue)
            writer.text(record.requestID.text, bytesMax: PaymentLimits.requestIDCharacters.upperBound)
        case .parked(let record): writer.parkedBody(record)
        case .reversalRefused(let record):
            writer.integer(UInt32(clamping: record.refusals))
            writer.text(record.reason, bytesMax: LogLimits.reasonBytesMax)
        case .reversalClosed: break
        case .reversalParked(let record): writer.text(record.reason, bytesMax: LogLimits.reasonBytesMax)
        case .resolutionProposed(let record), .resolved(let record): writer.resolutionBody(record)
        case .adopted(let record): writer.adoptionBody(record)
        case .reopened(let record): writer.reopenedBody(record)
        case .reversalReleased(let record): writer.warrant(record.warrant)
        case .quarantineReleased(let record): writer.quarantineReleasedBody(record)
        case .broken(let value): writer.logBreak(value)
        case .reconciled(let warrant): writer.warrant(warrant)
        }
    }

    private static func readBody(
        of kind: ValueKind, _ transaction: TransactionID, from reader: inout ByteReader
    ) throws(ValueFault) -> LogRecord {
        switch kind {
        case .serverStarted: return .serverStarted(try reader.pair())
        case .begin: return .begin(try reader.beginBody(transaction))
        case .commit: return .commit(try reader.commitBody(transaction))
        case .abort: return .abort(try reader.abortBody(transaction))
        case .acknowledged:
            return .acknowledged(
                AcknowledgedRecord(
                    transaction: transaction, participant: try reader.participant(),
                    proof: try reader.member(Proof.self, .proof)))
        case .end:
            let outcome = try reader.member(Outcome.self, .outcome)
            return .end(
                EndRecord(transaction: transaction, requestID: try reader.requestID(.requestID), outcome: outcome))
        case .parked: return .parked(try reader.parkedBody(transaction))
        case .reversalRefused:
            let refusals = Int(try reader.integer(UInt32.self))
            return .reversalRefused(
                ReversalRefusedRecord(
                    transaction: transaction, refusals: refusals,
                    reason: try reader.text(.reason, bytesMax: LogLimits.reasonBytesMax)))
        case .reversalClosed: return .reversalClosed(ReversalClosedRecord(transaction: transaction))
        case .reversalParked:
            return .reversalParked(
                ReversalParkedRecord(
                    transaction: transaction, reason: try reader.text(.reason, bytesMax: LogLimits.reasonBytesMax)))
        case .resolutionProposed: return .resolutionProposed(try reader.resolutionBody(transaction))
        case .resolved: return .resolved(try reader.resolutionBody(transaction))
        case .adopted: return .adopted(try reader.adoptionBody(transaction))
        case .reopened: return .reopened(try reader.reopenedBody(transaction))
        case .reversalReleased:
            return .reversalReleased(
                ReversalReleasedRecord(transaction: transaction, warrant: try reader.warrant()))
        case .quarantineReleased: return .quarantineReleased(try reader.quarantineReleasedBody())
        case .broken: return .broken(try reader.logBreak())
        case .reconciled: return .reconciled(try reader.warrant())
        case .formatMarker, .logIdentity, .owner, .nextLSN, .fence, .continuity, .wholeSince, .age, .activeTransaction,
            .requestEntry, .reversalTask, .quarantined:
            throw .kind(kind.rawValue)
        }
    }

    private static func roundTrips(
        _ bytes: UnsafeRawBufferPointer, _ record: LogRecord, _ lsn: LSN, _ time: WallTime
    ) -> Bool {
        guard let decoded = try? decode(bytes, at: lsn) else { return false }
        return decoded.record == record && decoded.writtenAt == time
    }
}

/// Bodies that are written twice: as a record, and in the state of the transaction that they changed.
extension ByteWriter {
    mutating func beginBody(_ record: BeginRecord) {
        precondition(record.branches.count <= LogLimits.branchesMax, "a transaction has too many participants")
        integer(record.epoch.rawValue)
        integer(record.deadline.microseconds)
        integer(UInt8(record.branches.count))
        for branch in record.branches {
            participant(branch.participant)
            integer(branch.role.rawValue)
        }
        intent(record.intent)
    }

    mutating func commitBody(_ record: CommitRecord) {
        text(record.authorizationCode, bytesMax: LogLimits.authorizationCodeBytesMax)
    }

    mutating func abortBody(_ record: AbortRecord) {
        integer(record.reason.rawValue)
        claim(record.claim)
        optional(record.reversal) { $0.task($1) }
    }

    mutating func parkedBody(_ record: ParkedRecord) {
        participant(record.participant)
        text(record.evidence, bytesMax: LogLimits.evidenceBytesMax)
    }
}

extension ByteReader {
    mutating func beginBody(_ transaction: TransactionID) throws(ValueFault) -> BeginRecord {
        let epoch = Epoch(rawValue: try integer(UInt64.self))
        let deadline = try time()
        let count = Int(try integer(UInt8.self))
        var branches: [Branch] = []
        for _ in 0..<count {
            let participant = try participant()
            branches.append(Branch(participant: participant, role: BranchRole(rawValue: try integer(UInt8.self))))
        }
        return BeginRecord(
            transaction: transaction, epoch: epoch, intent: try intent(), branches: branches, deadline: deadline)
    }

    mutating func commitBody(_ transaction: TransactionID) throws(ValueFault) -> CommitRecord {
        CommitRecord(
            transaction: transaction,
            authorizationCode: try text(.authorizationCode, bytesMax: LogLimits.authorizationCodeBytesMax))
    }

    mutating func abortBody(_ transaction: TransactionID) throws(ValueFault) -> AbortRecord {
        let reason = try member(DeclineReason.self, .reason)
        let claim = try claim()
        let task = try optional { reader throws(ValueFault) in try reader.task() }
        return AbortRecord(transaction: transaction, reason: reason, claim: claim, reversal: task)
    }

    mutating func parkedBody(_ transaction: TransactionID) throws(ValueFault) -> ParkedRecord {
        let participant = try participant()
        return ParkedRecord(
            transaction: transaction, participant: participant,
            evidence: try text(.evidence, bytesMax: LogLimits.evidenceBytesMax))
    }
}
