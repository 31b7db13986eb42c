import Coordinator
import Payments
import WAL

/// Compares a log with the events of the workload that wrote it.
package struct LogCheck: Sendable {
    /// What is wrong, in words; empty if the log keeps its promises.
    package private(set) var findings: [String] = []
    /// Steps without an answer that are in the log.
    package private(set) var settled: [Event.Settled] = []
    /// The state that the log holds.
    package private(set) var ledger: Ledger
    package private(set) var recordsThere = 0

    /// Findings that are listed one by one.
    private static let findingsMax = 20

    private let transcript: Transcript
    private var there: [LSN: LoggedRecord] = [:]
    /// Their places, after the others are told apart.
    private var present: Set<LSN> = []
    /// What the fences may be: a step of theirs leaves no record, so at the end of the log nobody can tell by records.
    private var fenceChoices: [(fences: [DatabaseIndex: DatabaseFence], step: Event.Settled?)] = []

    /// Reads the log in a directory that nobody writes to.
    ///
    /// - Parameter transcript: begins with the making of the log.
    package init(of path: String, against transcript: Transcript) {
        guard let base = transcript.base else {
            preconditionFailure("the events do not begin with the line of a workload")
        }
        self.transcript = transcript
        ledger = base
        findings = transcript.faults
        do throws(LogError) {
            let reader = try LogReader(path: path)
            let verification = try reader.verify()
            for finding in verification.findings {
                note("\(finding.database) \(finding.key): \(finding.reason)")
            }
            guard verification.isSound else { return }
            try readRecords(reader)
            reckon()
            compareRecords()
            try compareState(try reader.snapshot())
            try compareRequests(reader, count: verification.requests)
        } catch {
            // Before the first answer nothing was promised, not even a log; a start makes one.
            if error.code == .missing || error.code == .notALog, transcript.lastAnswered == 0 { return }
            note("cannot be read: \(error)")
        }
    }

    private mutating func note(_ finding: String) {
        guard findings.count < Self.findingsMax else { return }
        findings.append(finding)
    }

    private mutating func readRecords(_ reader: LogReader) throws(LogError) {
        var found: [LSN: LoggedRecord] = [:]
        do {
            try reader.forEachRecord { record in
                found[record.lsn] = record
                return true
            }
        } catch let error as LogError {
            throw error
        } catch {
            note("the history cannot be read: \(error)")
        }
        there = found
        present = Set(found.keys)
        recordsThere = found.count
    }

    // MARK: what must be there

    /// Goes through the steps in their order and finds out, of those without an answer, which are in the log.
    private mutating func reckon() {
        fenceChoices = [(ledger.fences, nil)]
        // A batch is one commit and batches come one after the other, so what is in the log is a beginning of the steps.
        var firstAbsent: Int?
        for asked in transcript.asked {
            switch asked.standing {
            case .void: continue
            case .answered(let answer, let clock):
                if let fault = ledger.fault(of: answer, to: asked) { note(fault) }
                if answer == .taken { take(asked, clock) }
            case .found(let clock): take(asked, clock)
            case .open:
                guard mayBeTaken(asked) else { continue }
                guard let expected = ledger.record(of: asked.step, of: asked.payment) else {
                    takeWithoutRecord(asked)
                    continue
                }
                if let record = there[nextLSN], record.record == expected {
                    if let firstAbsent, !transcript.mayFill {
                        note("step \(asked.sequence) is there, and step \(firstAbsent) before it is not")
                    }
                    settle()
                    settled.append(Event.Settled(sequence: asked.sequence, clock: record.writtenAt))
                    take(asked, record.writtenAt)
                } else {
                    firstAbsent = firstAbsent ?? asked.sequence
                    if asked.sequence < transcript.lastAnswered, !transcript.mayFill {
                        note("step \(asked.sequence) is not there, and a later one was answered")
                    }
                }
            }
        }
    }

    private var nextLSN: LSN { LSN(rawValue: UInt64(ledger.recordCount) + 1) }

    private mutating func take(_ asked: Transcript.Asked, _ clock: WallTime) {
        ledger.take(asked.step, of: asked.payment, writtenAt: clock)
        fenceChoices = [(ledger.fences, nil)]
    }

    /// What comes before a step that is there is there as well.
    private mutating func settle() {
        settled += fenceChoices.compactMap(\.step)
        fenceChoices = []
    }

    private mutating func takeWithoutRecord(_ asked: Transcript.Asked) {
        ledger.take(asked.step, of: asked.payment, writtenAt: nil)
        let step = Event.Settled(sequence: asked.sequence, clock: WallTime(microseconds: 0))
        if case .trim = asked.step {
            // Some of it may have been done, or all.
            settled.append(step)
        } else {
            fenceChoices.append((ledger.fences, step))
        }
    }

    private func mayBeTaken(_ asked: Transcript.Asked) -> Bool {
        ledger.answer(to: asked.step, of: asked.payment) == .taken || ledger.isClaimTrimmed(asked)
    }

    // MARK: what is there

    private mutating func compareRecords() {
        for index in 0..<ledger.recordCount {
            let entry = ledger.entry(index)
            let lsn = LSN(rawValue: UInt64(index) + 1)
            guard let found = there.removeValue(forKey: lsn) else {
                if !isDroppable(entry, isLast: index == ledger.recordCount - 1) {
                    note("LSN \(lsn) is missing: \(describe(entry.record))")
                }
                continue
            }
            if found.record != entry.record {
                note("LSN \(lsn) is \(describe(found.record)), expected \(describe(entry.record))")
            } else if let writtenAt = entry.writtenAt, writtenAt != found.writtenAt {
                note("LSN \(lsn) was written at \(found.writtenAt.microseconds), answered at \(writtenAt.microseconds)")
            }
        }
        for (lsn, record) in there.sorted(by: { $0.key < $1.key }) {
            note("LSN \(lsn) is there and nobody asked for it: \(describe(record.record))")
        }
    }

    /// Whether a trim that was asked for may have dropped it.
    private func isDroppable(_ entry: Ledger.Entry, isLast: Bool) -> Bool {
        guard !isLast, let writtenAt = entry.writtenAt, writtenAt < ledger.trimmedBefore else { return false }
        guard let transaction = entry.record.transaction else { return true }
        return ledger.open[transaction] == nil && ledger.reversals[transaction] == nil
    }

    private func describe(_ record: LogRecord) -> String {
        "\(record.kind.rawValue)\(record.transaction.map { " of \($0)" } ?? "")"
    }

    private mutating func compareState(_ snapshot: LogSnapshot) throws(LogError) {
        if snapshot.nextLSN != nextLSN { note("the next LSN is \(snapshot.nextLSN), expected \(nextLSN)") }
        if snapshot.log != ledger.content.log { note("the log is \(snapshot.log), expected \(ledger.content.log)") }
        // A log that was made is owned by nobody before its first start.
        let nobody = FencePair(epoch: Epoch(rawValue: 0), incarnation: Incarnation(rawValue: 0))
        if snapshot.owner != ledger.owner ?? nobody {
            note("the owner is \(snapshot.owner), expected \(ledger.owner ?? nobody)")
        }
        if snapshot.quarantined != 0 { note("\(snapshot.quarantined) values are in the quarantine") }
        if snapshot.continuity.isBroken { note("the log says that it is broken") }
        let active = Dictionary(uniqueKeysWithValues: snapshot.active.map { ($0.transaction, $0) })
        for transaction in Set(active.keys).union(ledger.open.keys).sorted() {
            if let fault = Self.difference(active[transaction], ledger.open[transaction]) {
                note("\(transaction): \(fault)")
            }
        }
        let tasks = Dictionary(uniqueKeysWithValues: snapshot.reversals.map { ($0.transaction, $0) })
        for transaction in Set(tasks.keys).union(ledger.reversals.keys).sorted()
        where tasks[transaction] != ledger.reversals[transaction] {
            note(
                "\(transaction): its reversal is \(tasks[transaction] == nil ? "missing" : "there"), "
                    + "expected \(ledger.reversals[transaction] == nil ? "none" : "another")")
        }
        compareFences(snapshot)
    }

    private mutating func compareFences(_ snapshot: LogSnapshot) {
        let fences = Dictionary(uniqueKeysWithValues: snapshot.fences.map { ($0.database, $0) })
        if let choice = fenceChoices.firstIndex(where: { $0.fences == fences }) {
            settled += fenceChoices[...choice].compactMap(\.step)
        } else if !(transcript.mayFill && fenceChoices.count > 1) {
            note("the fences are others than expected: \(fences.keys.sorted())")
        }
    }

    private static func difference(_ found: ActiveTransaction?, _ expected: Ledger.Open?) -> String? {
        guard let expected else { return "is unfinished in the log, expected finished or absent" }
        guard let found else { return "is expected to be unfinished and is not" }
        if found.begin.record != expected.begin { return "has another BEGIN than expected" }
        let decision: Ledger.Open.Decision =
            switch found.decision {
            case .undecided: .undecided
            case .commit(let commit): .commit(commit.record)
            case .abort(let abort): .abort(abort.record)
            }
        if decision != expected.decision { return "has another decision than expected" }
        if found.acknowledged != expected.acknowledged { return "has other acknowledgements than expected" }
        return found.parkings.map(\.record) == expected.parkings ? nil : "has other parkings than expected"
    }

    private mutating func compareRequests(_ reader: LogReader, count: Int) throws(LogError) {
        var expectedCount = 0
        for (request, entry) in ledger.requests {
            // With an END goes the claim of its transaction.
            let isDropped = ledger.ends[request].map { !present.contains(LSN(rawValue: UInt64($0) + 1)) } ?? false
            let found = try reader.lookUp(request)
            if isDropped {
                if found != nil { note("\(request) is claimed, and its END is trimmed") }
                continue
            }
            expectedCount += 1
            if found != entry {
                note(
                    "\(request) is answered \(found.map { "\($0.status)" } ?? "nothing"), expected \(entry.status)")
            }
        }
        if count != expectedCount { note("\(count) request_ids are claimed, expected \(expectedCount)") }
    }
}
