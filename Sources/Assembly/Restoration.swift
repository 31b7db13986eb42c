public import Coordinator
import NIOPosix
import PostgresParticipant
import Runtime
public import WAL

/// Making a state directory after a loss.
public enum Restoration {
    /// From a backup.
    public static func restore(
        from backup: String, stateDirectory: String, allowsUnsafeFileSystem: Bool, beyond epoch: Epoch? = nil
    ) throws -> LogRestoration.Made {
        try making(in: stateDirectory, allowsUnsafeFileSystem) { directory throws(LogError) in
            try LogRestoration.restore(
                from: backup, into: directory, incarnation: IdentifierSource.incarnation(), beyond: epoch,
                now: SystemClock.wall())
        }
    }

    /// From nothing but the databases.
    ///
    /// - Parameter log: which log it was; `nil` if the databases know of one only.
    public static func remake(
        _ settings: NodeSettings, log: LogID?, beyond epoch: Epoch? = nil
    ) async throws -> LogRestoration.Made {
        let known = try await knownLogs(settings)
        guard let lost = log ?? (known.count == 1 ? known.first : nil) else {
            throw StartRefusal(
                known.isEmpty
                    ? "no database knows of a log; there is nothing to be made anew: start the server on a new STATE_DIR"
                    : "the databases know of \(known.count) logs; say with --log-id which one is lost: "
                        + known.map(\.description).sorted().joined(separator: ", "),
                exitCode: ProgramExit.usage)
        }
        guard known.contains(lost) else {
            throw StartRefusal(
                "no database knows of the log \(lost); they know of "
                    + (known.isEmpty ? "none" : known.map(\.description).sorted().joined(separator: ", ")),
                exitCode: ProgramExit.usage)
        }
        return try making(in: settings.stateDirectory, settings.allowsUnsafeFileSystem) { directory throws(LogError) in
            try LogRestoration.remake(
                lost, databases: settings.databases.count, into: directory,
                incarnation: IdentifierSource.incarnation(), beyond: epoch, now: SystemClock.wall())
        }
    }

    private static func making(
        in path: String, _ allowsUnsafeFileSystem: Bool,
        _ body: (StateDirectory) throws(LogError) -> LogRestoration.Made
    ) throws -> LogRestoration.Made {
        do throws(LogError) {
            let directory = try StateDirectory.acquire(path: path, allowUnsafeFileSystem: allowsUnsafeFileSystem)
            defer { directory.release() }
            return try body(directory)
        } catch {
            throw StartRefusal(error)
        }
    }

    /// The logs that have fenced the databases. Every database must be reached: the one that is away may know another.
    private static func knownLogs(_ settings: NodeSettings) async throws -> Set<LogID> {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        var known: Set<LogID> = []
        for (offset, configuration) in settings.databases.enumerated() {
            let index = DatabaseIndex(rawValue: UInt8(offset + 1))
            let database = try PostgresDatabase(
                index: index, configuration: configuration, log: LogID(high: 0, low: 0),
                role: .observer(current: Epoch(rawValue: 0), fence: DatabaseFence(database: index, takesOver: true)),
                events: PostgresEvents())
            try database.start()
            await Observation.awaitFirstAttempts([database], atMost: Observation.timeMax, loop: loop)
            let found: Result<[LogID], PostgresReadError> = await withTimeout(
                Observation.timeMax, on: loop, otherwise: .failure(PostgresReadError("no answer in time"))
            ) { done in database.fencingLogs { done($0) } }
            await withTimeout(Observation.timeMax, on: loop, otherwise: ()) { done in database.close { done(()) } }
            switch found {
            case .success(let logs): known.formUnion(logs)
            case .failure(let error):
                throw StartRefusal(
                    "\(index) could not be asked which log it knows (\(error)); all databases are needed, try again when it "
                        + "is there", exitCode: ProgramExit.unreachable)
            }
        }
        return known
    }
}

extension LogRestoration.Made {
    /// What was made, in words.
    public var words: String {
        switch loss.cause {
        case .restored:
            "restored with \(active) unfinished transactions and \(reversals) open reversals; what began in epoch "
                + "\(loss.firstLostEpoch) or later may be missing"
        case .lost: "made anew, empty"
        case .copied: "copied"
        }
    }
}
