import ClearingParticipant
import Coordinator
import Glibc
import NIOCore
import NIOPosix
import PostgresParticipant
import Runtime
import WAL

/// A preflight: finds what will hurt before it does. Beside a running server or without one it looks at the state directory, the
/// databases and the network, and changes nothing; in each database it prepares a transaction of its own and rolls it back.
public enum Doctor {
    /// Looks at everything that the configuration names, and judges it.
    public static func examine(_ settings: NodeSettings) async throws -> DoctorReport {
        DoctorReport(findings: Diagnosis(facts: try await gather(settings)).findings)
    }

    static func gather(_ settings: NodeSettings) async throws -> DoctorFacts {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let reader = openLog(settings.stateDirectory)
        var log = content(reader)
        async let clearing = askNetwork(settings, loop)
        let databases = try await diagnose(settings, log, loop)
        if case .seen(let before) = log, case .seen(var after) = content(reader) {
            // A server that starts meanwhile writes its pair into the log before it does into a database.
            after.owners += before.owners + before.fences.flatMap { [$0.confirmed].compactMap { $0 } + $0.attempted }
            log = .seen(after)
        }
        return DoctorFacts(
            configuration: configuration(settings), state: state(settings.stateDirectory), log: log,
            tokenKey: DoctorFacts.TokenKey(path: settings.tokenKeyFile, file: tokenKey(settings.tokenKeyFile)),
            databases: databases, clearing: await clearing)
    }

    private static func configuration(_ settings: NodeSettings) -> DoctorFacts.Configuration {
        // Every database has the same limits.
        let first = settings.databases.first
        return DoctorFacts.Configuration(
            stateDirectory: settings.stateDirectory, allowsUnsafeFileSystem: settings.allowsUnsafeFileSystem,
            logMapBytes: settings.logMapMegabytes << 20, reserveBytes: settings.diskReserveMegabytes << 20,
            freeBytesMin: settings.diskFreeMinMegabytes << 20,
            databases: settings.databases.map(\.description), poolSize: first?.poolSize ?? 0,
            lockTimeout: first?.lockTimeout ?? .zero, statementTimeout: first?.statementTimeout ?? .zero,
            clientCheckInterval: first?.clientCheckInterval ?? .zero, inFlightMax: settings.coordinator.inFlightMax,
            prepareTimeout: settings.coordinator.prepareTimeout)
    }

    // MARK: The state directory and the log

    private static func state(_ path: String) -> DoctorFacts.State {
        do throws(LogError) {
            return .seen(try StateDirectory.facts(path: path))
        } catch {
            return error.code == .missing ? .missing : .failed(error.message)
        }
    }

    private static func openLog(_ path: String) -> Result<LogReader, LogError> {
        do throws(LogError) {
            return .success(try LogReader(path: path))
        } catch {
            return .failure(error)
        }
    }

    private static func content(_ reader: Result<LogReader, LogError>) -> DoctorFacts.Log {
        do throws(LogError) {
            let reader = try reader.get()
            let snapshot = try reader.snapshot()
            let usage: Result<LogUsage, LogError>
            do throws(LogError) {
                usage = .success(try reader.usage())
            } catch {
                usage = .failure(error)
            }
            return .seen(
                DoctorFacts.Log.Content(
                    log: snapshot.log, fences: snapshot.fences, owners: [snapshot.owner],
                    unfinished: snapshot.active.count, reversals: snapshot.reversals.count,
                    quarantined: snapshot.quarantined, nextLSN: snapshot.nextLSN,
                    clockBehind: clockBehind(try reader.newestTime()), usage: usage))
        } catch {
            return error.code == .missing ? .absent : .unreadable(error.message)
        }
    }

    private static func clockBehind(_ newest: WallTime?) -> Milliseconds {
        let now = SystemClock.wall()
        return Milliseconds(max(0, ((newest ?? now).microseconds - now.microseconds) / 1000))
    }

    // MARK: The key

    /// Never its content.
    private static func tokenKey(_ path: String) -> DoctorFacts.TokenKey.File {
        var status = stat()
        guard stat(path, &status) == 0 else {
            return errno == ENOENT ? .missing : .failed(String(cString: strerror(errno)))
        }
        return .there(
            mode: status.st_mode & 0o7777, bytes: Int(status.st_size), isRegular: status.st_mode & S_IFMT == S_IFREG,
            isReadable: access(path, R_OK) == 0)
    }

    // MARK: The participants

    private static func diagnose(
        _ settings: NodeSettings, _ log: DoctorFacts.Log, _ loop: any EventLoop
    ) async throws -> [Result<PostgresDiagnosis, PostgresDiagnosisError>] {
        var logID = IdentifierSource.logID()
        var epoch = Epoch(rawValue: 0)
        if case .seen(let content) = log {
            logID = content.log
            epoch = content.owners.map(\.epoch).max() ?? epoch
        }
        // The identity is compared by the judgement: another database than before is to be examined too.
        let databases = try settings.databases.enumerated().map { offset, configuration in
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            return try PostgresDatabase(
                index: index, configuration: configuration, log: logID,
                // Whoever holds the fence: this one only looks and tells.
                role: .observer(current: epoch, fence: DatabaseFence(database: index, takesOver: true)),
                events: PostgresEvents())
        }
        for database in databases { try database.start() }
        return await withTaskGroup(of: (Int, Result<PostgresDiagnosis, PostgresDiagnosisError>).self) { group in
            for (place, database) in databases.enumerated() {
                group.addTask { (place, await diagnose(database, loop)) }
            }
            var results = [Result<PostgresDiagnosis, PostgresDiagnosisError>](
                repeating: .failure(PostgresDiagnosisError(.unreachable, "not asked")), count: databases.count)
            for await (place, result) in group { results[place] = result }
            return results
        }
    }

    private static func diagnose(
        _ database: PostgresDatabase, _ loop: any EventLoop
    ) async -> Result<PostgresDiagnosis, PostgresDiagnosisError> {
        await withTimeout(DoctorLimits.connectWait, on: loop, otherwise: ()) { done in
            database.firstAttempt { _ in done(()) }
        }
        let silent = PostgresDiagnosisError(.unreachable, "no answer within \(DoctorLimits.databaseWait)")
        let result = await withTimeout(DoctorLimits.databaseWait, on: loop, otherwise: .failure(silent)) { done in
            database.diagnose { done($0) }
        }
        await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in database.close { done(()) } }
        return result
    }

    private static func askNetwork(_ settings: NodeSettings, _ loop: any EventLoop) async -> DoctorFacts.Clearing {
        let clearing: HTTPClearing
        do {
            clearing = try HTTPClearing(
                configuration: settings.clearing, loop: loop, now: { SystemClock.monotonic() })
        } catch {
            return DoctorFacts.Clearing(probe: .unreachable("\(error)"), microseconds: 0)
        }
        let transaction = IdentifierSource.transaction(at: SystemClock.wall())
        let start = SystemClock.monotonic()
        let silent = ClearingProbe.unreachable("no answer within \(DoctorLimits.clearingWait)")
        let probe = await withTimeout(DoctorLimits.clearingWait, on: loop, otherwise: silent) { done in
            clearing.probe(transaction) { done($0) }
        }
        let end = SystemClock.monotonic()
        await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in
            clearing.shutdown { _ in done(()) }
        }
        return DoctorFacts.Clearing(
            probe: probe, microseconds: Int64(end.nanoseconds - start.nanoseconds) / 1000)
    }
}
