public import Coordinator
import NIOCore
import NIOPosix
import PostgresParticipant
import Runtime
import Synchronization
import Telemetry
import WAL

/// Databases that went back in time: their commits are verified, and what they lost is done again or parked.
extension Node {
    /// Looks for the latest commits in every database that has come into use since the last call, and verifies all commits of those that
    /// are known to have gone back in time.
    ///
    /// - Parameter limit: how long to wait for it. What takes longer goes on in the background, and ``unverifiedDatabases`` says so.
    public func verifyCommits(atMost limit: Milliseconds) async {
        // One that is away is verified when it is back.
        let owed = databases.filter {
            $0.isAvailable && ($0.regression != nil || !verifications.hasLooked(at: $0.index, return: $0.returns))
                && verifications.begin($0.index)
        }
        guard !owed.isEmpty else { return }
        // One after the other: two that lost the same transaction must both find it as the first one has left it.
        let task = Task {
            await verifying.enter()
            defer { verifying.leave() }
            for database in owed {
                defer { verifications.end(database.index) }
                await lookForLatestCommits(in: database)
                await verifyCommits(of: database)
            }
        }
        for database in owed { verifications.keep(task, of: database.index) }
        await withTimeout(limit, on: anyLoop, otherwise: ()) { done in
            Task {
                await task.value
                done(())
            }
        }
    }

    /// What a reader of `/readyz?verbose` is told, a line for each database whose commits are not verified yet.
    public var unverifiedDatabases: [String] {
        databases.compactMap { database in
            database.regression.map {
                "\(database.index): went back in time (\($0)); its commits are being verified"
            }
        }
    }

    /// Tells the log how far each database is, so that one which goes back in time is noticed.
    func recordPositions() async {
        await withTaskGroup(of: Void.self) { group in
            for database in databases {
                group.addTask { [self] in
                    await withTimeout(Observation.timeMax, on: anyLoop, otherwise: ()) { done in
                        database.recordPosition { done(()) }
                    }
                }
            }
        }
    }

    /// How often unfinished transactions are looked at again after their database was told once more, and the pause between.
    private static let settlingLooksMax = 50
    private static let settlingPause = Duration.milliseconds(100)

    /// Positions do not tell a database that has written as much since its restoration as it has lost.
    private func lookForLatestCommits(in database: PostgresDatabase) async {
        let number = database.returns
        guard database.regression == nil else { return verifications.noteLook(at: database.index, return: number) }
        do {
            await flushLog()
            let search = CommitVerification(history: log, database: database, loop: anyLoop)
            if let lost = try await search.latestLost() {
                await withTimeout(Observation.timeMax, on: anyLoop, otherwise: ()) { done in
                    database.suspect(missing: lost.transaction.transaction) { done(()) }
                }
            }
            verifications.noteLook(at: database.index, return: number)
        } catch {
            events.emit(
                .warning, .backInTime,
                .message("the latest commits of \(database.index) could not be looked for; it is tried again: \(error)")
            )
        }
    }

    private func verifyCommits(of database: PostgresDatabase) async {
        guard let regression = database.regression else { return }
        do {
            // Acknowledgements and ends that the machines have given to the log are in it before it is read.
            await flushLog()
            let search = CommitVerification(history: log, database: database, loop: anyLoop)
            // The unfinished first: what ends meanwhile is found among the ended.
            try await settleActive(search)
            var lost = 0
            var isUnfinished = false
            let verified = try await search.searchEnded { losses in
                let reopened = try await reopen(losses)
                lost += reopened
                isUnfinished = isUnfinished || reopened < losses.count
            }
            // Somebody else took it up since the unfinished ones were looked at: they are looked at once more.
            if isUnfinished { throw VerificationBroken(reason: "a transaction was taken up meanwhile") }
            let isNoted = await withCheckedContinuation { continuation in
                database.finishRegression(regression) { continuation.resume(returning: $0) }
            }
            guard isNoted else { throw VerificationBroken(reason: "\(database.index) went back in time once more") }
            events.emit(
                .warning, .backInTime, .count("verified", verified), .count("lost", lost),
                .message("the commits of \(database.index) have been verified against their rows"))
        } catch is CancellationError {
            events.emit(
                .warning, .backInTime,
                .message("the verification of \(database.index) was broken off; the next start begins it anew"))
        } catch {
            events.emit(
                .error, .backInTime,
                .message("the commits of \(database.index) could not all be verified; it is tried again: \(error)"))
        }
    }

    /// Has the database told again what unfinished transactions count on, until it has done it or the transaction waits for an operator.
    private func settleActive(_ search: CommitVerification<LMDBLog>) async throws {
        var looks = 0
        while true {
            let lost = try await search.searchActive()
            guard !lost.isEmpty else { return }
            looks += 1
            guard looks <= Self.settlingLooksMax else {
                throw VerificationBroken(reason: "\(lost.count) unfinished transactions are not committed again yet")
            }
            await withCheckedContinuation { continuation in
                coordinator.tellAgain(lost) { continuation.resume() }
            }
            try await Task.sleep(for: Self.settlingPause)
            await flushLog()
        }
    }

    /// - Returns: how many were reopened; the others are unfinished already.
    private func reopen(_ losses: [LostCommit]) async throws -> Int {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for loss in losses {
                group.addTask { [coordinator] in
                    try await withCheckedThrowingContinuation { continuation in
                        coordinator.reopen(loss.transaction, loss.reopening) { continuation.resume(with: $0) }
                    }
                }
            }
            var count = 0
            for try await isReopened in group where isReopened { count += 1 }
            return count
        }
    }
}

/// Which databases are being verified, so that none is twice at the same time, and which were looked at since they came back.
final class Verifications: Sendable {
    private struct State {
        var running: Set<DatabaseIndex> = []
        var work: [DatabaseIndex: Task<Void, Never>] = [:]
        /// The return after which the latest commits were looked for.
        var looks: [DatabaseIndex: Int] = [:]
    }

    private let state = Mutex(State())

    /// - Returns: whether it was not running already.
    func begin(_ database: DatabaseIndex) -> Bool { state.withLock { $0.running.insert(database).inserted } }

    func end(_ database: DatabaseIndex) { state.withLock { _ = $0.running.remove(database) } }

    func hasLooked(at database: DatabaseIndex, return number: Int) -> Bool {
        state.withLock { $0.looks[database] == number }
    }

    func noteLook(at database: DatabaseIndex, return number: Int) { state.withLock { $0.looks[database] = number } }

    func keep(_ work: Task<Void, Never>, of database: DatabaseIndex) { state.withLock { $0.work[database] = work } }

    /// Breaks off what runs in the background and waits for its end.
    func cancel() async {
        let work = state.withLock { Array($0.work.values) }
        for task in work { task.cancel() }
        for task in work { await task.value }
    }
}

extension Observer {
    /// The commits that databases have lost which went back in time: what recovery would carry out again or park.
    ///
    /// - Returns: `nil` if no database went back in time.
    public static func lostCommits(_ settings: NodeSettings) async throws -> LostCommits? {
        let reader = try open(settings.stateDirectory)
        let snapshot = try reader.snapshot()
        let databases = try settings.databases.enumerated().map { offset, configuration in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            let fence = snapshot.fences.first { $0.database == index } ?? DatabaseFence(database: index)
            return try PostgresDatabase(
                index: index, configuration: configuration, log: snapshot.log,
                role: .observer(current: snapshot.owner.epoch, fence: fence), events: PostgresEvents())
        }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        for database in databases { try database.start() }
        await Observation.awaitFirstAttempts(databases, atMost: Observation.timeMax, loop: loop)
        var found: LostCommits?
        for database in databases where database.state == .available {
            do {
                try await search(reader, database, loop, &found)
            } catch let broken as VerificationBroken {
                found = found ?? LostCommits()
                found?.unverified.append(broken.reason)
            } catch {
                await close(databases, loop)
                throw error
            }
        }
        await close(databases, loop)
        return found
    }

    private static func search(
        _ reader: LogReader, _ database: PostgresDatabase, _ loop: any EventLoop, _ found: inout LostCommits?
    ) async throws {
        let search = CommitVerification(history: reader, database: database, loop: loop)
        var cause = database.regression?.description
        if cause == nil, let latest = try await search.latestLost() {
            cause = "\(latest.transaction.transaction): \(latest.evidence)"
        }
        guard let cause else { return }
        var lost = found ?? LostCommits()
        lost.regressions.append("\(database.index) went back in time: \(cause)")
        lost.add(try await search.searchActive())
        try await search.searchEnded { lost.add($0) }
        found = lost
    }

    private static func close(_ databases: [PostgresDatabase], _ loop: any EventLoop) async {
        for database in databases {
            await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in database.close { done(()) } }
        }
    }
}

/// What databases that went back in time have lost.
public struct LostCommits: Sendable {
    /// Losses that are listed one by one; all are counted.
    public static let listedMax = 10_000

    /// The databases, and what gave them away.
    public internal(set) var regressions: [String] = []
    /// Databases whose commits could not all be verified, and why.
    public internal(set) var unverified: [String] = []
    public private(set) var listed: [LostCommit] = []
    public private(set) var count = 0

    /// Whether every commit that the log knows is still there.
    public var isEmpty: Bool { count == 0 && unverified.isEmpty }

    mutating func add(_ losses: [LostCommit]) {
        count += losses.count
        listed += losses.prefix(max(0, Self.listedMax - listed.count))
    }
}
