import Coordinator
import Foundation
import Synchronization
import Testing

@testable import WAL

@Suite("Room: what is allocated before it is needed, and what is read where nothing can be written")
struct RoomTests {
    /// Goal: the reserve is not had beyond the limit on the size of files, where nothing could be written to it, and it
    /// is had when the limit is raised.
    @Test func reserveEndsAtTheLimitOnFiles() throws {
        let file = try SparseFile(bytes: 512 << 10)
        let limit = Mutex(1 << 20)
        var reserve = DiskReserve(
            descriptor: file.descriptor, reserveBytes: 1 << 20, mapBytes: 64 << 20, freeBytes: { _ in 1 << 40 },
            fileBytesMax: { limit.withLock { $0 } })
        let isWhole1 = reserve.cover(usedBytes: 512 << 10)
        #expect(!isWhole1)
        #expect(file.allocatedBytes == 0)
        limit.withLock { $0 = 2 << 20 }
        let isWhole2 = reserve.cover(usedBytes: 512 << 10)
        #expect(isWhole2)
        // Lowered again: what is there is no reserve any more.
        limit.withLock { $0 = 1 << 20 }
        let isWhole3 = reserve.cover(usedBytes: 512 << 10)
        #expect(!isWhole3)
    }

    /// Goal: holes that a copy has left before the end are filled with the reserve: pages are written there again.
    @Test func reserveFillsHoles() throws {
        let file = try SparseFile(bytes: 1 << 20)
        #expect(file.allocatedBytes == 0)
        var reserve = DiskReserve(
            descriptor: file.descriptor, reserveBytes: 1 << 20, mapBytes: 64 << 20, freeBytes: { _ in 1 << 40 },
            fileBytesMax: { Int.max })
        let isWhole4 = reserve.cover(usedBytes: 1 << 20)
        #expect(isWhole4)
        #expect(file.allocatedBytes >= 2 << 20)
        #expect(FileSystem.size(of: file.descriptor) == 1 << 20)
    }

    /// Goal: pages are made ahead behind the end of the file, up to the limits, and nothing that is there is written over.
    @Test func pagesAreMadeAhead() throws {
        let page = 4096
        // It ends in the middle of a page, and LMDB uses less of it than there is.
        let file = try SparseFile(bytes: 40 * page + 100)
        var mark: UInt8 = 7
        for offset in [10 * page, 40 * page + 50] { #expect(pwrite(file.descriptor, &mark, 1, off_t(offset)) == 1) }
        let limit = Mutex(Int.max)
        var pages = PagesAhead(descriptor: file.descriptor, fileBytesMax: { limit.withLock { $0 } })
        var size: Int { FileSystem.size(of: file.descriptor) ?? 0 }
        let (min, max, allocated) = (LogLimits.pagesAheadBytesMin, LogLimits.pagesAheadBytesMax, 64 << 20)

        pages.prepare(usedBytes: 5 * page, within: allocated)
        #expect(size == max + 5 * page)
        for offset in [10 * page, 40 * page + 50] {
            var found: UInt8 = 0
            #expect(pread(file.descriptor, &found, 1, off_t(offset)) == 1 && found == 7, "at \(offset)")
        }
        // As long as there are enough of them nothing happens.
        pages.prepare(usedBytes: min + 5 * page, within: allocated)
        #expect(size == max + 5 * page)
        pages.prepare(usedBytes: min + 6 * page, within: allocated)
        #expect(size == min + max + 6 * page)
        // Neither beyond the limit on files, nor beyond the blocks that there are, nor without any.
        limit.withLock { $0 = 4 << 20 }
        pages.prepare(usedBytes: (4 << 20) - page, within: allocated)
        #expect(size == 4 << 20)
        limit.withLock { $0 = Int.max }
        for end in [allocated, 0] {
            pages.prepare(usedBytes: allocated - page, within: end)
            #expect(size == allocated)
        }
    }

    /// Goal: the log itself makes them, and what is written into them afterwards is read again by the next start.
    @Test func logGrowsIntoPagesMadeAhead() async throws {
        let configuration = LogConfiguration(mapBytes: 64 << 20, reserveBytes: 8 << 20, freeBytesMin: 0)
        let directory = try TestDirectory()
        for start: UInt64 in [0, 1] {
            let test = try TestLog(in: directory, configuration: configuration)
            let used = try #require(test.log.access.withLock { $0?.store.environment.fileBytesUsed })
            let size = try #require(FileSystem.size(of: directory.path + "/data.mdb"))
            #expect(size >= used + LogLimits.pagesAheadBytesMin && size <= used + LogLimits.pagesAheadBytesMax)
            for number in (start * 200 + 1)...(start * 200 + 200) {
                try await test.takeAll(.begin(Sample.begin(number)), .commit(Sample.commit(number)))
            }
            test.log.close()
        }
        let reader = try LogReader(path: directory.path)
        let verification = try reader.verify()
        #expect(verification.isSound && verification.records == 802)
        // What is told of the file is what is used.
        #expect(try reader.summary().fileBytes < LogLimits.pagesAheadBytesMin)
    }

    /// Goal: every page of LMDB's lock file has its block from the opening on, whoever opens, so that no write through its map can
    /// meet a full disk.
    @Test(arguments: [true, false])
    func lockFileIsAllocated(isOwner: Bool) async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        if !isOwner {
            test.log.close()
            try FileManager.default.removeItem(atPath: test.directory.path + "/lock.mdb")
            _ = try LogReader(path: test.directory.path).snapshot()
        }
        var status = stat()
        #expect(stat(test.directory.path + "/lock.mdb", &status) == 0)
        #expect(Int(status.st_size) >= LogLimits.lockFileBytes)
        #expect(Int(status.st_blocks) * 512 >= Int(status.st_size))
        test.log.close()
    }

    /// Goal: the holder of the directory reads the log without writing anything; without the lock it is refused.
    @Test func holderReadsWithoutWriting() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)), .commit(Sample.commit(1)))
        test.log.close()
        let path = test.directory.path
        try FileManager.default.removeItem(atPath: path + "/lock.mdb")
        let before = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
        let held = try StateDirectory.acquire(path: path, allowUnsafeFileSystem: true)
        #expect(try LogReader(holding: held).lookUp(Sample.intent(1).requestID)?.status == .committing)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).sorted() == before)
        held.release()
        #expect(throws: LogError.self) { try LogReader(holding: held) }
    }

    /// Goal: why nothing is admitted is said with what to do, and the disk's mark is the one configured.
    @Test func obstaclesAreNamed() throws {
        var configuration = TestLog.small
        configuration.freeBytesMin = 512 << 20
        let test = try TestLog(configuration: configuration, freeBytes: { _ in 100 << 20 })
        #expect(test.log.pressure.obstacle == .freeBytes(100 << 20, min: 512 << 20))
        #expect(
            test.log.pressure.obstacle?.description
                == "100 MiB of the disk is free, the mark is 512 MiB; free disk space")
        test.log.close()
    }

    /// Goal: a read-only file system is called that, and not a matter of whom the program runs as.
    @Test func readOnlyIsSaid() {
        let opened = FileSystem.failure("cannot open x", EROFS)
        #expect(opened.code == .notPermitted && opened.message.contains("read-only"))
        let written = LogError(LMDBFailure(code: EROFS, function: "mdb_txn_commit"), doing: "cannot write")
        #expect(written.code == .notPermitted && written.message.contains("read-only"))
    }
}

/// A file that is all hole.
private final class SparseFile {
    let descriptor: Int32
    private let directory: TestDirectory

    init(bytes: Int) throws {
        directory = try TestDirectory()
        descriptor = open(directory.path + "/file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, off_t(bytes)) == 0 else {
            throw FileSystem.failure("cannot make a file", errno)
        }
    }

    deinit { close(descriptor) }

    var allocatedBytes: Int { FileSystem.allocatedBytes(of: descriptor) ?? -1 }
}
