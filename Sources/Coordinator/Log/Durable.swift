/// A record that is in the log and fsynced.
///
/// This is the protocol's rule 0 as a type: whatever may be asked of a participant is made from a `Durable` record, and
/// only a log can make one. A test checks that no other target calls its initializer.
public struct Durable<Record: Sendable & Hashable>: Sendable, Hashable {
    public let record: Record
    public let lsn: LSN
    /// When the record was written.
    public let writtenAt: WallTime

    /// For implementations of ``TransactionLog`` alone, after the sync that covers the record has returned, or when the
    /// record was read back from a log that is opened.
    package init(attestedByLog record: Record, lsn: LSN, writtenAt: WallTime) {
        self.record = record
        self.lsn = lsn
        self.writtenAt = writtenAt
    }
}
