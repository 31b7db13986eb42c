import Coordinator
import Foundation
import Testing

@testable import WAL

@Suite("Pages: a bad page is named before LMDB follows it")
struct PageCheckTests {
    private static let pageBytes = 4096

    /// A log with trees of several levels and a value that is longer than a page.
    private static func makeFile() async throws -> (directory: TestDirectory, file: String) {
        let test = try TestLog()
        for first in stride(from: UInt64(1), through: 400, by: 100) {
            let writes = (first..<first + 100).flatMap { number -> [LogWrite] in
                [.begin(Sample.begin(number)), .commit(Sample.commit(number))]
            }
            #expect(await test.takeTogether(writes).allSatisfy { $0.isTaken })
        }
        for number in 0..<200 as Range<UInt64> {
            let pair = FencePair(epoch: Epoch(rawValue: number), incarnation: Incarnation(rawValue: number))
            try await test.takeAll(.fenceAttempted(DatabaseIndex(rawValue: 1), pair))
        }
        for _ in 0..<4 {
            let long = String(repeating: "x", count: LogLimits.evidenceBytesMax)
            try await test.takeAll(.park(Sample.park(1, evidence: long)))
        }
        test.log.close()
        let directory = test.directory
        return (directory, directory.path + "/data.mdb")
    }

    private static func check(_ file: String) throws -> PageCheck {
        let descriptor = open(file, O_RDONLY)
        defer { close(descriptor) }
        return try #require(
            PageCheck.run(descriptor: descriptor, pageBytes: pageBytes, transaction: nil), "no meta page")
    }

    @Test("Goal: a sound file is sound, and every page in it counts once")
    func sound() async throws {
        let (directory, file) = try await Self.makeFile()
        let check = try Self.check(file)
        #expect(check.faults.isEmpty, "\(check.faults)")
        let reader = try LogReader(path: directory.path)
        let used = try reader.summary().usedBytes
        #expect(check.pages * Self.pageBytes == used)
        #expect(try reader.verify().isSound)
        #expect(try reader.verify().pages == check.pages)
    }

    @Test("Goal: a wrong header of any page that is in use is told with the page's number, and nothing else is")
    func headers() async throws {
        let (directory, file) = try await Self.makeFile()
        let good = try Data(contentsOf: URL(fileURLWithPath: file))
        let sound = try Self.check(file)
        // Number, flags, and the ends of the free space; of the pages behind the first of a long value none has a
        // header.
        var named = Set<UInt64>()
        for page in 2..<(good.count / Self.pageBytes) {
            for offset in [0, 10, 13] {
                var bad = good
                bad[page * Self.pageBytes + offset] ^= 0x80
                try bad.write(to: URL(fileURLWithPath: file))
                for fault in try Self.check(file).faults {
                    #expect(fault.page == UInt64(page), "\(fault)")
                    named.insert(fault.page)
                }
            }
        }
        try good.write(to: URL(fileURLWithPath: file))
        #expect(named.count > 20 && named.count <= sound.pages)
        _ = directory
    }

    @Test("Goal: whatever bytes are in the pages, the check ends, and verification of a bad page names it")
    func anyBytes() async throws {
        let (directory, file) = try await Self.makeFile()
        let good = try Data(contentsOf: URL(fileURLWithPath: file))
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<300 {
            var bad = good
            let page = Int.random(in: 2..<(good.count / Self.pageBytes), using: &generator)
            for _ in 0..<8 {
                let offset = Int.random(in: 0..<64, using: &generator)
                bad[page * Self.pageBytes + offset] = UInt8.random(in: .min ... .max, using: &generator)
            }
            try bad.write(to: URL(fileURLWithPath: file))
            _ = try Self.check(file)
        }
        // The first leaf of the history: that of the first BEGIN.
        var bad = good
        let begin = RecordCodec.encode(.begin(Sample.begin(1)), lsn: LSN(rawValue: 2), writtenAt: Sample.startedAt)
        var start = bad.startIndex
        var pages = Set<Int>()
        while let found = bad.range(of: Data(begin), in: start..<bad.endIndex) {
            pages.insert(found.lowerBound / Self.pageBytes)
            start = found.upperBound
        }
        for page in pages { bad[page * Self.pageBytes + 10] ^= 0x40 }
        try bad.write(to: URL(fileURLWithPath: file))
        let found = try LogReader(path: directory.path).verify()
        #expect(found.findingCount == 1)
        #expect(found.findings.first.map { finding in pages.contains { "page \($0)" == finding.database } } == true)
    }
}
