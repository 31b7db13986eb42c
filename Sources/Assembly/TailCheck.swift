import Coordinator
import PostgresParticipant
import Runtime
import Synchronization
import WAL

/// Whether the databases hold payments of this log that the log does not know.
///
/// Fences tell copies from each other that were started; a copy that was taken while a server ran, and put in the place of the
/// original before any other start, carries the same pair. What was committed after it was taken gives it away.
extension Node {
    /// How far back the newest payments are looked at; less where the log forgets sooner.
    private static let windowMax = Milliseconds.seconds(3600)

    /// Looks at every database once, when it is there for the first time.
    ///
    /// - Throws: ``StartRefusal`` that says what to do.
    func refuseOlderCopy() async throws {
        guard !isReconciling else { return }
        let window = Milliseconds(min(Self.windowMax.count, settings.coordinator.retention.count / 2))
        for database in databases where database.isAvailable && !tails.hasChecked(database.index) {
            let rows: Result<[WitnessRow], PostgresReadError> = await withTimeout(
                Observation.timeMax, on: anyLoop, otherwise: .failure(PostgresReadError("no answer in time"))
            ) { done in database.newestPaymentRows(within: window) { done($0) } }
            guard case .success(let rows) = rows else { continue }
            let snapshot = try log.snapshot()
            let active = Set(snapshot.active.map(\.transaction))
            for row in rows
            where row.epoch < pair.epoch && row.epoch >= snapshot.wholeSince ?? row.epoch
                && !active.contains(row.transaction)
                && !Self.mayHaveBeenTrimmed(row.transaction, until: snapshot.trimmedUntil)
            {
                guard try isKnown(row) else { throw refusal(database.index, row.transaction) }
            }
            tails.noteChecked(database.index)
        }
    }

    /// Whether the log may have forgotten the transaction, so that its row says nothing. Both times are of this log's own clock, so a
    /// clock that was wrong for a while was so for both.
    static func mayHaveBeenTrimmed(_ transaction: TransactionID, until trimmed: WallTime?) -> Bool {
        guard let trimmed else { return false }
        return Int64(transaction.high >> 16) * 1000 <= trimmed.microseconds
    }

    private func isKnown(_ row: WitnessRow) throws -> Bool {
        do {
            if try log.lookUp(row.intent.requestID)?.transaction == row.transaction { return true }
        } catch {
            // An entry that cannot be read is an entry.
            return true
        }
        // One that was adopted by its number alone answers for no request_id.
        return try log.ended([row.transaction])[row.transaction] != nil
    }

    private func refusal(_ database: DatabaseIndex, _ transaction: TransactionID) -> StartRefusal {
        StartRefusal(
            "\(database) has committed \(transaction), which this log does not know: the state directory is an older copy of "
                + "itself, and what it lacks may have been decided. Use the newest one; if it is lost, make a directory of this "
                + "one with recover restore, which decides by evidence",
            exitCode: ProgramExit.configuration)
    }
}

/// Which databases were looked at for payments that the log does not know.
final class TailsChecked: Sendable {
    private let checked = Mutex<Set<DatabaseIndex>>([])
    func hasChecked(_ database: DatabaseIndex) -> Bool { checked.withLock { $0.contains(database) } }
    func noteChecked(_ database: DatabaseIndex) { checked.withLock { _ = $0.insert(database) } }
}
