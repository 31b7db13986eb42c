import Coordinator
import Foundation
import Payments
import Testing

@testable import WAL

@Suite("Processes: what is told durable outlives a kill, and tools read beside a server", .serialized)
struct ProcessTests {
    /// Goal: everything that a receipt was given for is there after SIGKILL at any moment, and the log is sound.
    @Test(arguments: [50, 400, 1500])
    func receiptsOutliveAKill(steps: Int) async throws {
        let child = try ChildWriter()
        defer { child.kill() }
        try await child.waitUntilNoted(steps)
        child.kill()
        let noted = child.noted
        let test = try TestLog(in: child.directory)
        #expect(test.log.owner.epoch == Epoch(rawValue: 2))
        let active = Dictionary(
            uniqueKeysWithValues: try test.log.snapshot().active.map { ($0.transaction, $0.decision) })
        var times: [UInt64: Int] = [:]
        for number in noted { times[number, default: 0] += 1 }
        for (number, count) in times {
            let decision = active[Sample.transaction(number)]
            #expect(decision != nil, "payment \(number) has a receipt and is gone")
            if count == 2, case .commit(let commit) = decision {
                #expect(commit.record == Sample.commit(number))
            } else if count == 2 {
                Issue.record(
                    "payment \(number) has a receipt for its COMMIT, the log says \(String(describing: decision))")
            }
            #expect(try test.log.lookUp(Sample.intent(number).requestID) != nil)
        }
        test.log.close()
        #expect(try LogReader(path: child.directory.path).verify().isSound)
    }

    /// Goal: a write that fails ends the process at once, is never tried again, and leaves a log that opens with
    /// everything that a receipt was given for. The signal that a limit on files sends is ignored, or the child would
    /// have died of it.
    @Test func failedWriteEndsTheProcess() async throws {
        let child = try ChildWriter(lateFileLimitBytes: 400 << 10)
        defer { child.kill() }
        for _ in 0..<3000 where child.process.isRunning { try await Task.sleep(for: .milliseconds(10)) }
        #expect(!child.process.isRunning)
        #expect(child.process.terminationReason == .exit)
        #expect(child.process.terminationStatus == ChildWriter.exitAfterFailure)
        let noted = Set(child.noted)
        #expect(noted.count > 50)
        let test = try TestLog(in: child.directory)
        let active = Set(try test.log.snapshot().active.map(\.transaction))
        for number in noted { #expect(active.contains(Sample.transaction(number))) }
        test.log.close()
        #expect(try LogReader(path: child.directory.path).verify().isSound)
    }

    /// Goal: a log that is opened under a limit on the size of files is full there, and refuses; no write fails.
    @Test func fileLimitFillsTheLog() async throws {
        let child = try ChildWriter(fileLimitBytes: 400 << 10)
        defer { child.kill() }
        try await child.waitUntilNoted(50)
        var last = 0
        // Until nothing is taken any more.
        while child.process.isRunning, child.noted.count > last {
            last = child.noted.count
            try await Task.sleep(for: .milliseconds(500))
        }
        #expect(child.process.isRunning)
        child.kill()
        let noted = Set(child.noted)
        let test = try TestLog(in: child.directory)
        let active = Set(try test.log.snapshot().active.map(\.transaction))
        for number in noted { #expect(active.contains(Sample.transaction(number))) }
        test.log.close()
    }

    /// Goal: a limit on the size of files is an error of the opening, not a signal that ends the process without a
    /// word. At this limit there is room for LMDB's two meta pages and for nothing else.
    @Test func fileLimitAtTheOpeningIsAnError() async throws {
        let child = try ChildWriter(fileLimitBytes: 8192)
        defer { child.kill() }
        for _ in 0..<3000 where child.process.isRunning { try await Task.sleep(for: .milliseconds(10)) }
        #expect(!child.process.isRunning)
        #expect(child.process.terminationReason == .exit)
        #expect(child.process.terminationStatus == ChildWriter.exitAfterRefusedOpening)
        // Nothing is left behind that a start without the limit would stumble over.
        let test = try TestLog(in: child.directory)
        #expect(test.log.owner.epoch == Epoch(rawValue: 1))
        test.log.close()
    }

    /// Goal: a tool sees a consistent picture of a running server's log, goes on seeing it grow, and takes nothing from
    /// it; and the directory's lock names the server.
    @Test func toolsReadBesideAServer() async throws {
        let child = try ChildWriter()
        defer { child.kill() }
        try await child.waitUntilNoted(100)
        do {
            _ = try StateDirectory.acquire(path: child.directory.path, allowUnsafeFileSystem: true)
            Issue.record("the directory of a running server was taken")
        } catch {
            #expect(error.code == .inUse(pid: child.process.processIdentifier))
        }
        let reader = try LogReader(path: child.directory.path)
        let first = try reader.snapshot()
        #expect(first.active.count >= 16)
        #expect(first.owner.epoch == Epoch(rawValue: 1))
        #expect(try reader.history(of: Sample.transaction(1)).first?.record == .begin(Sample.begin(1)))
        #expect(try reader.lookUp(Sample.intent(1).requestID)?.transaction == Sample.transaction(1))
        try await child.waitUntilNoted(child.noted.count + 100)
        #expect(try reader.snapshot().nextLSN > first.nextLSN)
        // In the order of their positions, without gaps, while more are being written.
        var expected: UInt64 = 1
        try reader.forEachRecord { record in
            #expect(record.lsn.rawValue == expected)
            expected += 1
            return expected <= 500
        }
        #expect(try reader.verify().isSound)
        #expect(child.process.isRunning)
    }

    /// Goal: a backup taken beside a running server is a log that opens and is sound; it never overwrites one.
    @Test func backUpBesideAServer() async throws {
        let child = try ChildWriter()
        defer { child.kill() }
        try await child.waitUntilNoted(200)
        let target = child.directory.path + "/backup"
        let next: LSN
        do {
            let reader = try LogReader(path: child.directory.path)
            next = try reader.snapshot().nextLSN
            try reader.backUp(to: target, now: Sample.startedAt)
            do {
                try reader.backUp(to: target, now: Sample.startedAt)
                Issue.record("a backup was written over")
            } catch {
                #expect(error.code == .exists)
            }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: target) == ["data.mdb"])
        let copy = try LogReader(path: target)
        #expect(try copy.snapshot().nextLSN >= next)
        #expect(try copy.verify().isSound)
    }
}
