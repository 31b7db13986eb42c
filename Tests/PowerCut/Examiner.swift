import Coordinator
import DiskModel
import Glibc
import WAL
import Workload

/// Looks at what a cut left, and goes on with it.
struct Examiner {
    /// Where images are laid out.
    let root: String
    let scenario: Scenario
    /// One in so many images is cut again, while its log is opened and gone on with; 0 for none.
    let cutsAgainEvery: UInt64
    /// How often such a one is.
    private static let cutsAgain = 6
    /// Images of the second kind that were examined, and of processes that were killed before.
    private(set) var secondCuts = 0

    init(root: String, scenario: Scenario, cutsAgainEvery: UInt64) {
        self.root = root
        self.scenario = scenario
        self.cutsAgainEvery = cutsAgainEvery
    }

    /// - Returns: what is wrong; nothing if the promises are kept.
    mutating func findings(
        in image: [(path: String, bytes: [UInt8]?)], after events: Transcript, isDone: Bool, notes: Set<String>,
        seed: UInt64
    ) throws(Failure) -> [String] {
        try Files.lay(image, in: root)
        let state = root + "/" + Scenario.stateDirectory
        var numbers = SeededNumbers(seed, 0xE)
        try disturbLock(in: state, &numbers)
        guard events.content != nil else { return [] }
        let check = LogCheck(of: state, against: events)
        if !check.findings.isEmpty { return check.findings }
        switch scenario {
        case .backup, .restoration:
            let found = try findingsOfCopies(check, isDone: isDone, notes)
            if !found.isEmpty { return found }
        case .creation, .single, .steady, .batches, .large, .full, .restarts: break
        }
        if cutsAgainEvery > 0, numbers.next() % cutsAgainEvery == 0 {
            return try findingsOfCutAgain(state, after: events, check, &numbers)
        }
        return GoingOn.findings(in: state, after: events, check)
    }

    /// LMDB's lock file is a shared memory that is written back at any time, so anything may be in it.
    private func disturbLock(in state: String, _ numbers: inout SeededNumbers) throws(Failure) {
        let path = state + "/lock.mdb"
        guard Files.exists(state) else { return }
        let manner = numbers.below(4)
        guard manner > 0 else { return }
        if Files.exists(path), unlink(path) != 0 { throw Failure("cannot remove \(path)") }
        if manner == 1 { return }
        let count = numbers.below(3) == 0 ? numbers.below(8192) : 8192
        try Files.write((0..<count).map { _ in manner == 2 ? 0 : UInt8(truncatingIfNeeded: numbers.next()) }, to: path)
    }

    /// Cuts the power again while the log is opened and gone on with.
    private mutating func findingsOfCutAgain(
        _ state: String, after events: Transcript, _ check: LogCheck, _ numbers: inout SeededNumbers
    ) throws(Failure) -> [String] {
        var transcript = events
        transcript.take(.settled(check.settled))
        let before = try Files.disk(below: root)
        let (recording, fault) = try recordGoingOn(state, after: transcript, check)
        if let fault { return [fault] }
        var cuts = Cuts(recording, disk: before, transcript: transcript)
        for place in cuts.places(count: Self.cutsAgain, seed: numbers.next()) {
            cuts.advance(to: place)
            let cut = cuts.cut(seed: numbers.next())
            let found = try findings(of: cut, on: cuts.disk, after: cuts.transcript, &numbers)
            if !found.isEmpty {
                return found.map { "after a second cut, at operation \(place) of the next start (\(cut)): \($0)" }
            }
        }
        return []
    }

    /// Kills the process instead, so that everything is there that it wrote, durable or not; starts the next one on it, and cuts the
    /// power in that.
    mutating func findingsOfKill(
        _ disk: Disk, behind last: UInt64, after events: Transcript, seed: UInt64
    ) throws(Failure) -> [String] {
        guard events.content != nil else { return [] }
        var numbers = SeededNumbers(seed, 0xF)
        try Files.lay(disk.seen, in: root)
        let state = root + "/" + Scenario.stateDirectory
        let check = LogCheck(of: state, against: events)
        if !check.findings.isEmpty { return check.findings.map { "after a kill: \($0)" } }
        // Until the next start has returned nobody has relied on what it found.
        var (relied, unrelied) = (events, events)
        relied.take(.settled(check.settled))
        unrelied.rule(outAllBut: check.settled)
        var before = disk
        let root = root
        before.goOn(rootInode: Files.inode(root)) { Files.inode(root + "/" + $0) }
        let (recording, fault) = try recordGoingOn(state, after: relied, check)
        if let fault { return ["after a kill: \(fault)"] }
        let answered = relied.lastAnswered
        var cuts = Cuts(recording.following(last), disk: before, transcript: relied)
        var doubts = Cuts(recording.following(last), disk: before, transcript: unrelied)
        for place in cuts.places(count: Self.cutsAgain, seed: numbers.next()) {
            cuts.advance(to: place)
            doubts.advance(to: place)
            let cut = cuts.cut(seed: numbers.next())
            let transcript = cuts.transcript.lastAnswered > answered ? cuts.transcript : doubts.transcript
            let found = try findings(of: cut, on: cuts.disk, after: transcript, &numbers)
            if !found.isEmpty {
                return found.map { "after a kill and a cut, at operation \(place) of the next start (\(cut)): \($0)" }
            }
        }
        return []
    }

    private func recordGoingOn(
        _ state: String, after transcript: Transcript, _ check: LogCheck
    ) throws(Failure) -> (Recording, String?) {
        var fault: String?
        let tape = Recorder.record(below: root) {
            fault = GoingOn.play(in: state, after: transcript, check, to: RecordingSink())
        }
        do throws(Recording.Unreadable) {
            return (try Recording(tape.bytes), fault)
        } catch {
            throw Failure("a recording cannot be read from byte \(error.offset) on")
        }
    }

    /// Of a later cut, without another one in it.
    private mutating func findings(
        of cut: Cut, on disk: Disk, after transcript: Transcript, _ numbers: inout SeededNumbers
    ) throws(Failure) -> [String] {
        try Files.lay(disk.image(cut), in: root)
        let state = root + "/" + Scenario.stateDirectory
        try disturbLock(in: state, &numbers)
        secondCuts += 1
        let check = LogCheck(of: state, against: transcript)
        return check.findings.isEmpty ? GoingOn.findings(in: state, after: transcript, check) : check.findings
    }

    // MARK: copies

    private func findingsOfCopies(_ check: LogCheck, isDone: Bool, _ notes: Set<String>) throws(Failure) -> [String] {
        let backup = root + "/" + Scenario.backupDirectory
        let isBackedUp = isDone || notes.contains("backed up")
        var found = findings(ofCopyIn: backup, of: check, isNeeded: isBackedUp)
        if scenario == .restoration, found.isEmpty {
            found = findings(ofCopyIn: root + "/restored", of: check, isNeeded: isDone)
        }
        return found
    }

    /// A copy is there whole, or not at all; then it can be made again.
    private func findings(ofCopyIn path: String, of check: LogCheck, isNeeded: Bool) -> [String] {
        let isRestoration = path.hasSuffix("/restored")
        guard LogReader.isThere(in: path) else {
            if isNeeded { return ["\(path) is gone, and its making had returned"] }
            return isRestoration ? findingsOfRestoring(into: path) : findingsOfBackingUp(to: path)
        }
        do throws(LogError) {
            let reader = try LogReader(path: path)
            let verification = try reader.verify()
            let snapshot = try reader.snapshot()
            var found = verification.findings.map { "\(path): \($0.database) \($0.key): \($0.reason)" }
            let records = check.recordsThere + (isRestoration ? 1 : 0)
            if verification.records != records {
                found.append("\(path) has \(verification.records) records, expected \(records)")
            }
            if !snapshot.continuity.isBroken { found.append("\(path) does not say that it is a copy") }
            return found
        } catch {
            return ["\(path) cannot be read: \(error)"]
        }
    }

    private func findingsOfBackingUp(to path: String) -> [String] {
        do throws(LogError) {
            let state = root + "/" + Scenario.stateDirectory
            guard LogReader.isThere(in: state) else { return [] }
            let reader = try LogReader(path: state)
            // A log that was just begun is no log to back up.
            guard try reader.verify().records > 0 else { return [] }
            try reader.backUp(to: path, now: WallTime(microseconds: 1_800_000_000_000_000))
            return []
        } catch {
            return error.code == .notALog ? [] : ["cannot be backed up after the cut: \(error)"]
        }
    }

    private func findingsOfRestoring(into path: String) -> [String] {
        let backup = root + "/" + Scenario.backupDirectory
        guard LogReader.isThere(in: backup) else { return [] }
        do throws(LogError) {
            let directory = try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true)
            defer { directory.release() }
            _ = try LogRestoration.restore(
                from: backup, into: directory, incarnation: Incarnation(rawValue: 1),
                now: WallTime(microseconds: 1_800_000_000_000_000))
            return []
        } catch {
            return ["cannot be restored after the cut: \(error)"]
        }
    }
}
