import Coordinator
import Foundation
import Payments
import Testing

@testable import WAL

@Suite("Opening: identity, epochs, locks, and files that are not ours")
struct OpeningTests {
    /// Goal: reopening gives the same picture, and everything in it is durable already.
    @Test func reopeningGivesTheSamePicture() async throws {
        let directory = try TestDirectory()
        let test = try TestLog(in: directory)
        try await test.takeAll(
            .begin(Sample.begin(1)), .begin(Sample.begin(2)), .begin(Sample.begin(3)), .begin(Sample.begin(4)),
            .commit(Sample.commit(2)), .acknowledged(Sample.acknowledged(2)), .abort(Sample.abort(3)),
            .park(Sample.park(3)), .commit(Sample.commit(4)), .end(Sample.end(4, .committed)),
            .fenceAttempted(
                DatabaseIndex(rawValue: 1), FencePair(epoch: Epoch(rawValue: 1), incarnation: Incarnation(rawValue: 5)))
        )
        let before = try test.log.snapshot()
        test.log.close()

        let again = try TestLog(in: directory)
        let after = try again.log.snapshot()
        #expect(after.active == before.active)
        #expect(after.active.count == 3)
        #expect(after.reversals == before.reversals)
        #expect(after.fences == before.fences)
        #expect(after.log == before.log)
        #expect(try again.log.lookUp(Sample.intent(4).requestID)?.status == .approved)
        // One record more: the start.
        #expect(after.nextLSN.rawValue == before.nextLSN.rawValue + 1)
        again.log.close()
    }

    /// Goal: a log gets its name when it is whole; what a start left behind that was stopped while it made one is in nobody's way.
    @Test func makingThatWasStopped() async throws {
        let directory = try TestDirectory()
        let staging = directory.path + "/creating"
        try FileManager.default.createDirectory(atPath: staging, withIntermediateDirectories: false)
        for name in ["data.mdb", "lock.mdb"] {
            #expect(FileManager.default.createFile(atPath: staging + "/" + name, contents: Data(count: 5000)))
        }
        let test = try TestLog(in: directory)
        #expect(test.log.isNew)
        #expect(test.log.owner.epoch == Epoch(rawValue: 1))
        test.log.close()
        #expect(!FileManager.default.fileExists(atPath: staging))
        #expect(try LogReader(path: directory.path).verify().isSound)

        // Stopped after the log was in its place.
        try FileManager.default.createDirectory(atPath: staging, withIntermediateDirectories: false)
        #expect(FileManager.default.createFile(atPath: staging + "/lock.mdb", contents: Data(count: 10)))
        let again = try TestLog(in: directory)
        #expect(!again.log.isNew)
        again.log.close()
        #expect(!FileManager.default.fileExists(atPath: staging))
    }

    /// Goal: a log that was made and that no server has owned yet can be read and is sound.
    @Test func madeAndNotOwned() throws {
        let directory = try TestDirectory()
        #expect(try LogStore.makeIfMissing(in: directory.path, Sample.log, mapBytes: 1 << 20))
        #expect(try !LogStore.makeIfMissing(in: directory.path, Sample.log, mapBytes: 1 << 20))
        let reader = try LogReader(path: directory.path)
        #expect(try reader.verify().findings == [])
        #expect(try reader.snapshot().owner.epoch == Epoch(rawValue: 0))
        #expect(try reader.snapshot().nextLSN == LSN(rawValue: 1))
    }

    /// Goal: an empty file is called what it is.
    @Test func emptyFile() throws {
        let directory = try TestDirectory()
        #expect(FileManager.default.createFile(atPath: directory.path + "/data.mdb", contents: nil))
        do {
            _ = try LogReader(path: directory.path)
            Issue.record("an empty file was read as a log")
        } catch {
            #expect(error.code == .notALog)
        }
    }

    /// Goal: each start writes the next epoch with its own incarnation, and says so in the history; the log's name
    /// stays.
    @Test func eachStartRaisesTheEpoch() throws {
        let directory = try TestDirectory()
        for start in 1...4 as ClosedRange<UInt64> {
            let test = try TestLog(in: directory, incarnation: start * 1000)
            let pair = FencePair(epoch: Epoch(rawValue: start), incarnation: Incarnation(rawValue: start * 1000))
            #expect(test.log.owner == pair)
            #expect(test.log.log == Sample.log)
            #expect(test.log.isNew == (start == 1))
            #expect(try test.log.snapshot().owner == pair)
            test.log.close()
        }
        var starts: [LogRecord] = []
        try LogReader(path: directory.path).forEachRecord { record in
            starts.append(record.record)
            return true
        }
        #expect(starts.count == 4)
        #expect(
            starts.last
                == .serverStarted(FencePair(epoch: Epoch(rawValue: 4), incarnation: Incarnation(rawValue: 4000))))
    }

    /// Goal: one server a state directory; the second one is told who has it, and gets it once it is free.
    @Test func lockIsExclusiveAndNamesItsHolder() throws {
        let directory = try TestDirectory()
        let path = directory.path + "/state"
        let held = try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true)
        do {
            _ = try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true)
            Issue.record("a second server got the directory")
        } catch {
            #expect(error.code == .inUse(pid: getpid()))
            #expect(error.message.contains("process \(getpid())"))
        }
        held.release()
        held.release()
        let next = try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true)
        #expect(throws: LogError.self) { try TestLog.open(held) }
        next.release()
    }

    /// Goal: the directory and the files in it are the owner's alone.
    @Test func filesArePrivate() throws {
        let directory = try TestDirectory()
        let path = directory.path + "/state"
        let log = try TestLog.open(try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true))
        log.close()
        for (name, mode) in [("", 0o700), ("/data.mdb", 0o600), ("/" + StateDirectory.lockFileName, 0o600)] {
            let attributes = try FileManager.default.attributesOfItem(atPath: path + name)
            #expect(attributes[.posixPermissions] as? Int == mode, "\(name)")
        }
    }

    /// Goal: a directory whose parent is missing, and one on a memory file system, are refused with what to do.
    @Test func unusableDirectoriesAreRefused() throws {
        #expect(throws: LogError.self) { try StateDirectory.acquire(path: "/nonexistent/parent/state") }
        #expect(try FileSystem.kind(below: "/proc") == "proc")
        // /dev/shm is where Linux has its memory file system; a container may be without it.
        guard FileSystem.exists("/dev/shm"), try FileSystem.kind(below: "/dev/shm") == "tmpfs" else { return }
        let path = "/dev/shm/holdfast-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        do {
            _ = try StateDirectory.acquire(path: path)
            Issue.record("a memory file system was taken for a disk")
        } catch {
            #expect(error.code == .unsafeFileSystem)
            #expect(error.message.contains("tmpfs"))
        }
        try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true).release()
    }

    /// Goal: LMDB's rule of one environment a process and directory is kept by us, not by luck.
    @Test func secondOpenInOneProcessIsRefused() throws {
        let test = try TestLog()
        do {
            _ = try LogReader(path: test.directory.path)
            Issue.record("the log was opened twice in one process")
        } catch {
            #expect(error.code == .alreadyOpen)
        }
        test.log.close()
        #expect(try LogReader(path: test.directory.path).snapshot().active.isEmpty)
    }

    /// Goal: a log of a later version is refused by the server and by tools, with the versions in the message, and is
    /// left as it is.
    @Test func newerFormatIsRefused() throws {
        for isMarker in [true, false] {
            let test = try TestLog()
            try test.rewrite(\.meta, Keys.format) { _ in
                if isMarker { return MetaCodec.encodeFormat(LogFormat.current + 1) }
                var bytes = MetaCodec.encodeFormat(LogFormat.current + 1)
                bytes[0] = LogFormat.current + 1
                return bytes
            }
            test.log.close()
            let before = try Data(contentsOf: URL(fileURLWithPath: test.directory.path + "/data.mdb"))
            for attempt in [{ _ = try LogReader(path: test.directory.path) }, { _ = try TestLog(in: test.directory) }] {
                do {
                    try attempt()
                    Issue.record("a newer log was opened")
                } catch let error as LogError {
                    #expect(error.code == .newerFormat(found: LogFormat.current + 1))
                    #expect(error.message.contains("\(LogFormat.current + 1)"))
                }
            }
            #expect(try Data(contentsOf: URL(fileURLWithPath: test.directory.path + "/data.mdb")) == before)
        }
    }

    /// Goal: what is not a log is refused without a trap: nothing there, another file, a file cut short.
    @Test func otherFilesAreRefused() async throws {
        let directory = try TestDirectory()
        #expect(throws: LogError.self) { try LogReader(path: directory.path) }
        // Looking makes nothing.
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)

        let data = URL(fileURLWithPath: directory.path + "/data.mdb")
        try Data(repeating: 0x41, count: 16_384).write(to: data)
        #expect(throws: LogError.self) { try LogReader(path: directory.path) }
        #expect(throws: LogError.self) { try TestLog(in: directory) }

        let good = try TestLog()
        for number in 1...100 as ClosedRange<UInt64> { try await good.takeAll(.begin(Sample.begin(number))) }
        good.log.close()
        let whole = try Data(contentsOf: URL(fileURLWithPath: good.directory.path + "/data.mdb"))
        try whole.prefix(whole.count / 2).write(to: data)
        do {
            _ = try LogReader(path: directory.path)
            Issue.record("a log that was cut short was opened")
        } catch {
            #expect(error.code == .damaged)
        }
    }

    /// Goal: a failed start leaves the directory free: what was claimed is given back.
    @Test func failedStartGivesBack() throws {
        let directory = try TestDirectory()
        let data = directory.path + "/data.mdb"
        try Data(repeating: 0x41, count: 16_384).write(to: URL(fileURLWithPath: data))
        #expect(throws: LogError.self) { try TestLog(in: directory) }
        try FileManager.default.removeItem(atPath: data)
        let test = try TestLog(in: directory)
        #expect(test.log.owner.epoch == Epoch(rawValue: 1))
        test.log.close()
    }

    /// Goal: a map that was raised at a later start is taken; one that is too small for what is there does not lose
    /// anything.
    @Test func mapMayChange() async throws {
        let directory = try TestDirectory()
        for (start, megabytes) in [(1, 1), (2, 8), (3, 1)] as [(UInt64, Int)] {
            var configuration = TestLog.small
            configuration.mapBytes = megabytes << 20
            let test = try TestLog(in: directory, configuration: configuration)
            try await test.takeAll(.begin(Sample.begin(start)))
            #expect(try test.log.snapshot().active.count == Int(start))
            test.log.close()
        }
    }
}

extension TestLog {
    /// Opens a log with nothing to control.
    static func open(_ directory: StateDirectory) throws -> LMDBLog {
        try LMDBLog.open(
            in: directory, configuration: small, incarnation: Incarnation(rawValue: 1), newLogID: Sample.log,
            clock: { Sample.startedAt }, deliver: { $0() }, failure: { message in fatalError(message) })
    }
}
