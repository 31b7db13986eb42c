import Coordinator
import Foundation
import Testing

@testable import WAL

@Suite struct BackupTests {
    private func makeDirectory(_ path: String, holding names: [String]) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for name in names { try Data("x".utf8).write(to: URL(fileURLWithPath: path + "/" + name)) }
    }

    private func names(in path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    }

    /// Goal: what a killed backup has left goes with the next one into the same place, whether that is made or refused; the work of
    /// another stays, and so does a directory that is only called like one.
    @Test func leftoversAreRemoved() async throws {
        let test = try TestLog()
        try await test.takeAll(.begin(Sample.begin(1)))
        test.log.close()
        let reader = try LogReader(path: test.directory.path)
        let target = try TestDirectory()
        let other = try BackupWorkshop(in: target.path)
        let others = String(other.path.dropFirst(target.path.count + 1))
        func leave() throws {
            try makeDirectory(target.path + "/partial-aB3xYz", holding: ["data.mdb", "lock.mdb", "unfinished"])
            try makeDirectory(target.path + "/partial-aB3xY0", holding: ["unfinished"])
            try makeDirectory(target.path + "/partial-aB3xY1", holding: [])
        }
        // Other people's backups.
        try makeDirectory(target.path + "/partial-monday", holding: ["data.mdb"])
        try makeDirectory(target.path + "/partially", holding: ["data.mdb", "unfinished"])

        try leave()
        try reader.backUp(to: target.path, now: Sample.startedAt)
        let expected = ["data.mdb", "partial-monday", "partially", others].sorted()
        #expect(try names(in: target.path) == expected)
        try leave()
        #expect(throws: LogError.self) { try reader.backUp(to: target.path, now: Sample.startedAt) }
        #expect(try names(in: target.path) == expected)
        #expect(try names(in: target.path + "/partial-monday") == ["data.mdb"])
        other.remove()
        #expect(try !names(in: target.path).contains(others))
    }
}
