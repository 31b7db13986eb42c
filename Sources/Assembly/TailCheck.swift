import Coordinator
import PostgresParticipant
import Runtime
import WAL

/// Whether the databases hold payments of this log that the log does not know.
///
/// Fences tell copies from each other that were started; a copy that was taken while a server ran, and put in the place of the
/// original before any other start, carries the same pair. What was committed after it was taken gives it away.
extension Node {
    /// How far back the newest payments are looked at; less where the log forgets sooner.
    private static let windowMax = Milliseconds.seconds(3600)

    /// - Throws: ``StartRefusal`` that says what to do.
    func refuseOlderCopy() async throws {
        guard !isReconciling else { return }
        let window = Milliseconds(min(Self.windowMax.count, settings.coordinator.retention.count / 2))
        let active = Set(try log.snapshot().active.map(\.transaction))
        for database in databases where database.isAvailable {
            let rows: Result<[WitnessRow], PostgresReadError> = await withTimeout(
                Observation.timeMax, on: anyLoop, otherwise: .failure(PostgresReadError("no answer in time"))
            ) { done in database.newestPaymentRows(within: window) { done($0) } }
            guard case .success(let rows) = rows else { continue }
            for row in rows where !active.contains(row.transaction) && !isKnown(row) {
                throw StartRefusal(
                    "\(database.index) has committed \(row.transaction), which this log does not know: the state directory is an "
                        + "older copy of itself, and what it lacks may have been decided. Use the newest one; if it is lost, make "
                        + "a directory of this one with recover restore, which decides by evidence",
                    exitCode: ProgramExit.configuration)
            }
        }
    }

    private func isKnown(_ row: WitnessRow) -> Bool {
        do {
            return try log.lookUp(row.intent.requestID)?.transaction == row.transaction
        } catch {
            // An entry that cannot be read is an entry.
            return true
        }
    }
}
