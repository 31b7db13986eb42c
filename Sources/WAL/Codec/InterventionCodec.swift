import Coordinator
import Payments

/// The parts of steps that an operator or evidence stands behind.
extension ByteWriter {
    mutating func warrant(_ warrant: Warrant) {
        integer(warrant.authority.rawValue)
        text(warrant.actor, bytesMax: LogLimits.actorBytesMax)
        text(warrant.reason, bytesMax: LogLimits.evidenceBytesMax)
    }

    mutating func resolutionBody(_ record: ResolutionRecord) {
        integer(record.outcome.rawValue)
        flag(record.isForced)
        warrant(record.warrant)
    }

    mutating func adoptionBody(_ record: AdoptionRecord) {
        beginBody(record.begin)
        integer(record.outcome.rawValue)
        warrant(record.warrant)
    }

    mutating func reopenedBody(_ record: ReopenedRecord) {
        integer(record.database.rawValue)
        flag(record.isParked)
        text(record.evidence, bytesMax: LogLimits.evidenceBytesMax)
    }

    mutating func quarantineReleasedBody(_ record: QuarantineReleasedRecord) {
        integer(record.number)
        flag(record.wasRestored)
        warrant(record.warrant)
    }

    mutating func logBreak(_ value: LogBreak) {
        integer(value.cause.rawValue)
        integer(value.firstLostEpoch.rawValue)
        integer(value.at.microseconds)
    }

    mutating func flag(_ value: Bool) { integer(UInt8(value ? 1 : 0)) }
}

extension ByteReader {
    mutating func warrant() throws(ValueFault) -> Warrant {
        Warrant(
            try member(Authority.self, .authority), actor: try text(.actor, bytesMax: LogLimits.actorBytesMax),
            reason: try text(.evidence, bytesMax: LogLimits.evidenceBytesMax))
    }

    mutating func resolutionBody(_ transaction: TransactionID) throws(ValueFault) -> ResolutionRecord {
        ResolutionRecord(
            transaction: transaction, outcome: try member(Outcome.self, .outcome), isForced: try flag(),
            warrant: try warrant())
    }

    mutating func adoptionBody(_ transaction: TransactionID) throws(ValueFault) -> AdoptionRecord {
        AdoptionRecord(
            begin: try beginBody(transaction), outcome: try member(Outcome.self, .outcome), warrant: try warrant())
    }

    mutating func reopenedBody(_ transaction: TransactionID) throws(ValueFault) -> ReopenedRecord {
        ReopenedRecord(
            transaction: transaction, database: DatabaseIndex(rawValue: try integer(UInt8.self)), isParked: try flag(),
            evidence: try text(.evidence, bytesMax: LogLimits.evidenceBytesMax))
    }

    mutating func quarantineReleasedBody() throws(ValueFault) -> QuarantineReleasedRecord {
        QuarantineReleasedRecord(
            number: try integer(UInt64.self), wasRestored: try flag(), warrant: try warrant())
    }

    mutating func logBreak() throws(ValueFault) -> LogBreak {
        LogBreak(
            cause: try member(LogBreak.Cause.self, .cause), firstLostEpoch: Epoch(rawValue: try integer(UInt64.self)),
            at: try time())
    }

    mutating func flag() throws(ValueFault) -> Bool {
        let number = try integer(UInt8.self)
        guard number <= 1 else { throw .unknown(field: .presence, number: UInt64(number)) }
        return number == 1
    }
}
