import Coordinator
import Foundation
import Payments
import Testing

@testable import WAL

/// Logs that are made of a copy, or of nothing.
@Suite struct RestorationTests {
    private static let incarnation = Incarnation(rawValue: 77)
    private static let now = WallTime(microseconds: 1_900_000_000_000_000)

    private static func copy(of test: TestLog) throws -> TestDirectory {
        let copy = try TestDirectory()
        try FileManager.default.copyItem(
            atPath: test.directory.path + "/data.mdb", toPath: copy.path + "/data.mdb")
        return copy
    }

    @Test("Goal: a restored log has what the copy had, is broken from its last epoch on, and takes the databases over")
    func restores() async throws {
        let test = try TestLog()
        let first = DatabaseIndex(rawValue: 1)
        let identity = DatabaseIdentity(systemIdentifier: 1, databaseOID: 2)
        try await test.takeAll(
            .begin(Sample.begin(1)), .begin(Sample.begin(2)), .abort(Sample.abort(2)),
            .fenceConfirmed(first, identity, test.log.owner))
        let epoch = test.log.owner.epoch
        test.log.close()
        let copy = try Self.copy(of: test)
        let target = try TestDirectory()
        let directory = try StateDirectory.acquire(path: target.path, allowUnsafeFileSystem: true)
        let made = try LogRestoration.restore(
            from: copy.path, into: directory, incarnation: Self.incarnation, now: Self.now)
        #expect(made.log == test.log.log && made.active == 2 && made.reversals == 1)
        #expect(made.loss == LogBreak(cause: .restored, firstLostEpoch: epoch, at: Self.now))
        #expect(throws: LogError.self, "nothing is written over") {
            try LogRestoration.restore(
                from: copy.path, into: directory, incarnation: Self.incarnation, now: Self.now)
        }
        directory.release()
        let reader = try LogReader(path: target.path)
        let snapshot = try reader.snapshot()
        #expect(snapshot.continuity == .broken(made.loss))
        #expect(snapshot.owner.epoch.rawValue == 1_900_000_000, "beyond every epoch of the lost tail")
        #expect(snapshot.fences.allSatisfy(\.takesOver) && snapshot.fences.first?.identity == identity)
        #expect(try reader.verify().isSound)
        #expect(!FileManager.default.fileExists(atPath: target.path + "/restoring"))
    }

    @Test("Goal: the log is whole again only when somebody says so, and then stays so")
    func reconciles() async throws {
        let test = try TestLog()
        test.log.close()
        let copy = try Self.copy(of: test)
        let target = try TestDirectory()
        let directory = try StateDirectory.acquire(path: target.path, allowUnsafeFileSystem: true)
        _ = try LogRestoration.restore(
            from: copy.path, into: directory, incarnation: Self.incarnation, now: Self.now)
        directory.release()
        let again = try TestLog(in: target)
        #expect(try again.log.snapshot().continuity.isBroken)
        try await again.takeAll(.reconcile(Sample.warrant), .reconcile(Sample.warrant))
        #expect(try again.log.snapshot().continuity == .unbroken)
        let lsn = try again.log.snapshot().nextLSN
        again.log.close()
        var records: [LogRecord] = []
        try LogReader(path: target.path).forEachRecord {
            records.append($0.record)
            return true
        }
        #expect(records.count { $0 == .reconciled(Sample.warrant) } == 1)
        #expect(lsn.rawValue == UInt64(records.count + 1))
    }

    @Test("Goal: a log made anew has the lost one's name, its databases, and nothing else")
    func remakes() throws {
        let target = try TestDirectory()
        let directory = try StateDirectory.acquire(path: target.path, allowUnsafeFileSystem: true)
        let made = try LogRestoration.remake(
            Sample.log, databases: 2, into: directory, incarnation: Self.incarnation, now: Self.now)
        directory.release()
        let snapshot = try LogReader(path: target.path).snapshot()
        #expect(snapshot.log == Sample.log && snapshot.active.isEmpty)
        #expect(snapshot.fences.count == 2 && snapshot.fences.allSatisfy(\.takesOver))
        #expect(snapshot.continuity == .broken(made.loss) && made.loss.cause == .lost)
    }

    @Test("Goal: a copy that is marked is one however it got into its place; marking twice changes nothing")
    func marksCopies() async throws {
        let test = try TestLog()
        let epoch = test.log.owner.epoch
        test.log.close()
        let copy = try Self.copy(of: test)
        try LogRestoration.markCopy(in: copy.path, now: Self.now)
        try LogRestoration.markCopy(in: copy.path, now: WallTime(microseconds: 1))
        let loss = LogBreak(cause: .copied, firstLostEpoch: epoch, at: Self.now)
        #expect(try LogReader(path: copy.path).snapshot().continuity == .broken(loss))
    }
}
