import ClearingParticipant
import Coordinator
import Testing
import WAL

@testable import Assembly

/// What a preflight says of the state directory, the log, the key, the network and the configuration, by the facts alone.
@Suite struct StateDiagnosisTests {
    @Test("Goal: a directory that others can open, or that we cannot write to, is named")
    func directory() {
        let id = "state.directory"
        #expect(DoctorSamples.findings(state: { $0.mode = 0o750 }).complaints == ["\(id) warning"])
        #expect(DoctorSamples.findings(state: { $0.ownerID = 0 }).complaints == ["\(id) warning"])
        #expect(DoctorSamples.findings(state: { $0.isWritable = false }).complaints == ["\(id) problem"])
        let missing = DoctorSamples.findings(facts: {
            $0.state = .missing; $0.log = .absent
        })
        #expect(missing[id]?.level == .note && missing["log.format"]?.level == .note)
        #expect(DoctorSamples.findings(facts: { $0.state = .failed("no") })[id]?.level == .problem)
    }

    @Test("Goal: a file system that cannot keep a log, or is read-only, is a problem")
    func fileSystem() {
        let id = "state.file_system"
        #expect(DoctorSamples.findings(state: { $0.mountOptions = ["ro"] }).complaints == ["\(id) problem"])
        #expect(
            DoctorSamples.findings(state: { $0.mountOptions = ["rw", "nobarrier"] }).complaints == ["\(id) problem"])
        #expect(DoctorSamples.findings(state: { $0.isUnsafeKind = true }).complaints == ["\(id) problem"])
        let allowed = DoctorSamples.findings(facts: { facts in
            var state = DoctorSamples.state
            state.isUnsafeKind = true
            facts.state = .seen(state)
            facts.configuration.allowsUnsafeFileSystem = true
        })
        #expect(allowed.complaints == ["\(id) warning"])
        #expect(DoctorSamples.findings(state: { $0.fileSystemKind = nil }).complaints == ["\(id) warning"])
    }

    @Test("Goal: free space is measured against the mark and what the reserve still needs")
    func space() {
        let id = "state.free_space"
        func complaints(free: Int, allocated: Int) -> [String] {
            DoctorSamples.findings(state: {
                $0.freeBytes = free; $0.allocatedBytes = allocated
            }).complaints
        }
        // The whole reserve is allocated behind the one mebibyte of content.
        #expect(complaints(free: 512 << 20, allocated: 65 << 20) == [])
        #expect(complaints(free: 511 << 20, allocated: 65 << 20) == ["\(id) warning"])
        #expect(complaints(free: 255 << 20, allocated: 65 << 20) == ["\(id) problem"])
        #expect(complaints(free: 319 << 20, allocated: 1 << 20) == ["\(id) problem"])
        #expect(complaints(free: 320 << 20, allocated: 1 << 20) == ["\(id) warning"])
        #expect(DoctorSamples.findings(state: { $0.freeBytes = nil }).complaints == ["\(id) warning"])
    }

    @Test("Goal: slow syncs are noted by their median, and who holds the lock is told")
    func syncAndLock() {
        #expect(
            DoctorSamples.findings(state: { $0.syncNanoseconds = [1, 2, 900_000_000] }).complaints == [])
        #expect(
            DoctorSamples.findings(state: { $0.syncNanoseconds = [1, 20_000_000, 20_000_001] }).complaints
                == ["state.sync note"])
        #expect(
            DoctorSamples.findings(state: { $0.syncNanoseconds = [100_000_000] }).complaints == ["state.sync warning"])
        #expect(DoctorSamples.findings(state: { $0.syncNanoseconds = [] }).complaints == ["state.sync note"])
        let held = DoctorSamples.findings(state: { _ in })["state.lock"]?.found
        #expect(held?.contains("4711") == true)
        let free = DoctorSamples.findings(state: { $0.isInUse = false })["state.lock"]?.found
        #expect(free?.contains("4711") == false)
    }

    @Test("Goal: the log's room is that of the running server, else what the next start will set")
    func map() {
        func level(_ used: Int, map: Int, isRunning: Bool) -> DoctorFinding.Level? {
            DoctorSamples.findings(facts: { facts in
                var state = DoctorSamples.state
                state.isInUse = isRunning
                facts.state = .seen(state)
                var log = DoctorSamples.content
                log.usage = .success(
                    LogUsage(usedBytes: used, fileBytes: used, mapBytes: map, slowestReader: nil))
                facts.log = .seen(log)
                facts.configuration.logMapBytes = 100 << 20
            })["log.map"]?.level
        }
        #expect(level(49 << 20, map: 100 << 20, isRunning: true) == .ok)
        #expect(level(50 << 20, map: 100 << 20, isRunning: true) == .warning)
        #expect(level(70 << 20, map: 100 << 20, isRunning: true) == .problem)
        #expect(level(70 << 20, map: 1 << 30, isRunning: true) == .ok)
        #expect(level(70 << 20, map: 1 << 30, isRunning: false) == .problem)
    }

    @Test("Goal: damage, and a reader that holds pages back, are named")
    func log() {
        #expect(DoctorSamples.findings(log: { $0.quarantined = 2 }).complaints == ["log.quarantine warning"])
        func lag(_ commits: Int) -> [String] {
            DoctorSamples.findings(log: {
                $0.usage = .success(
                    LogUsage(
                        usedBytes: 1, fileBytes: 1, mapBytes: 1 << 30,
                        slowestReader: ReaderLag(pid: 9, commitsBehind: commits)))
            }).complaints
        }
        #expect(lag(10_000) == [])
        #expect(lag(10_001) == ["log.readers warning"])
        #expect(
            DoctorSamples.findings(facts: { $0.log = .unreadable("newer") }).complaints.first == "log.format problem")
        #expect(
            DoctorSamples.findings(log: { $0.usage = .failure(LogError(.storage, "broken")) }).complaints
                == ["log.map problem"])
    }

    @Test("Goal: the key's file is judged by what it is, and nothing of its content is shown")
    func tokenKey() {
        func complaints(_ file: DoctorFacts.TokenKey.File) -> [String] {
            DoctorSamples.findings(facts: { $0.tokenKey.file = file }).complaints
        }
        let id = "token_key.file"
        #expect(complaints(.missing) == ["\(id) warning"])
        #expect(complaints(.failed("no")) == ["\(id) problem"])
        #expect(complaints(.there(mode: 0o640, bytes: 65, isRegular: true, isReadable: true)) == ["\(id) problem"])
        #expect(complaints(.there(mode: 0o600, bytes: 65, isRegular: true, isReadable: false)) == ["\(id) problem"])
        #expect(complaints(.there(mode: 0o600, bytes: 63, isRegular: true, isReadable: true)) == ["\(id) problem"])
        #expect(complaints(.there(mode: 0o600, bytes: 4096, isRegular: false, isReadable: true)) == ["\(id) problem"])
        #expect(complaints(.there(mode: 0o400, bytes: 64, isRegular: true, isReadable: true)) == [])
    }

    @Test("Goal: a network that is away is exit code 6, one whose answers prove nothing is a problem")
    func clearing() {
        func report(_ probe: ClearingProbe, microseconds: Int64 = 1000) -> DoctorReport {
            DoctorReport(
                findings: DoctorSamples.findings(facts: {
                    $0.clearing = .init(probe: probe, microseconds: microseconds)
                }))
        }
        #expect(report(.unknown).exitCode == 0)
        #expect(report(.unknown, microseconds: 1_000_000).findings.complaints == ["clearing.status note"])
        #expect(report(.claimed("settled")).exitCode == 1)
        #expect(report(.unbelievable("HTTP status 404")).exitCode == 1)
        #expect(report(.failed("outage")).exitCode == 6)
        #expect(report(.unreachable("refused")).exitCode == 6)
    }

    @Test("Goal: another number of databases than the log was made with, and a lock timeout that eats the deadline")
    func configuration() {
        let two = DoctorSamples.findings(log: {
            $0.fences.append(
                DatabaseFence(database: DatabaseIndex(rawValue: 2), identity: nil, confirmed: nil, attempted: []))
        })
        #expect(two.complaints == ["configuration.databases problem"])
        let slow = DoctorSamples.findings(facts: { $0.configuration.prepareTimeout = Milliseconds(2000) })
        #expect(slow.complaints == ["configuration.lock_timeout warning"])
    }

    @Test("Goal: a problem goes before a participant that is away, and notes and warnings end with 0")
    func exitCodes() {
        func finding(_ level: DoctorFinding.Level, isUnreachable: Bool = false) -> DoctorFinding {
            DoctorFinding("s", "s.x", level, "found", advice: "do", isUnreachable: isUnreachable)
        }
        let away = finding(.problem, isUnreachable: true)
        #expect(DoctorReport(findings: [finding(.note), finding(.warning)]).exitCode == 0)
        #expect(DoctorReport(findings: [away, finding(.warning)]).exitCode == 6)
        #expect(DoctorReport(findings: [away, finding(.problem)]).exitCode == 1)
        #expect(finding(.ok).advice == nil)
    }
}
