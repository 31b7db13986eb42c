public import Coordinator
public import Payments
import Synchronization

/// A PostgreSQL database as a participant of two-phase commit.
///
/// One thread of its own drives all connections; completions and events are called on it and have to be short. Deadlines of
/// orders are readings of CLOCK_MONOTONIC, as ``now()`` gives them.
public final class PostgresDatabase: DatabaseParticipant {
    public let index: DatabaseIndex
    private let loop: EventLoop
    private let core: DatabaseCore
    private let hasStarted = Atomic(false)

    /// - Parameters:
    ///   - index: the database's number in the configuration.
    ///   - log: names the log whose branches these are.
    ///   - deliver: called with the votes, resolutions and look-ups of a round of the database's thread, on that thread; it must pass the
    ///     closure on quickly or run it, in the order of the calls.
    /// - Throws: ``PostgresConfigurationError`` if the process has no descriptors left for the database's thread.
    public init(
        index: DatabaseIndex, configuration: PostgresConfiguration, log: LogID, role: PostgresRole,
        events: PostgresEvents,
        deliver: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void = { batch in batch() }
    ) throws(PostgresConfigurationError) {
        self.index = index
        do {
            loop = try EventLoop()
        } catch {
            throw PostgresConfigurationError("cannot be used: \(error); raise the limit of open files")
        }
        core = DatabaseCore(
            index: index, configuration: configuration, log: log, role: role, events: events, loop: loop,
            outbox: Outbox(deliver))
    }

    deinit {
        // A database that is dropped unclosed still ends its thread.
        if hasStarted.load(ordering: .acquiring) { loop.submit { [core] in core.close {} } }
    }

    /// The clock that deadlines of orders are read from.
    public static func now() -> MonotonicTime { EventLoop.now() }

    /// Begins to connect; call once. What comes of it is told by the events and ``firstAttempt(completion:)``.
    ///
    /// - Throws: ``PostgresConfigurationError`` if no thread can be had.
    public func start() throws(PostgresConfigurationError) {
        precondition(!hasStarted.exchange(true, ordering: .acquiringAndReleasing), "a database is started once")
        do {
            try core.startWorkers()
            try loop.start(name: "holdfast-\(index)")
        } catch {
            throw PostgresConfigurationError("cannot be used: \(error); raise the limit of threads")
        }
        loop.submit { [core] in core.begin() }
    }

    /// How the first attempt to reach and fence the database ended.
    public enum FirstAttempt: Sendable, Hashable {
        case available
        /// It goes on by itself in the background. The text says what is wrong.
        case failed(String)
    }

    /// `completion` is called when the database is available or the first attempt has failed; at once if that was before.
    public func firstAttempt(completion: @escaping @Sendable (FirstAttempt) -> Void) {
        guard loop.submit({ [core] in core.awaitFirstAttempt(completion) }) else {
            return completion(.failed("closed"))
        }
    }

    /// Refuses what waits, lets what runs end within ``PostgresLimits/closeWait``, closes the connections and ends the thread.
    public func close(completion: @escaping @Sendable () -> Void) {
        guard hasStarted.load(ordering: .acquiring), loop.submit({ [core] in core.close(completion) }) else {
            return completion()
        }
    }

    public var state: DatabaseState { core.published.state.withLock { $0 } }

    public var isAvailable: Bool { core.published.isAvailable.load(ordering: .relaxed) }

    /// The regression whose commits are not verified yet; `nil` if nothing may have been lost.
    public var regression: DatabaseRegression? { core.published.regression.withLock { $0 } }

    /// How often the database came into use: at the start and after each loss of the connection that watches it. Whenever it did, its latest
    /// commits should be looked for.
    public var returns: Int { core.published.returns.load(ordering: .relaxed) }

    /// Says that a commit which the database had acknowledged is not there, so that it must have gone back in time.
    ///
    /// - Parameter completion: called within a bounded time; ``regression`` tells then, unless the connection was lost meanwhile.
    public func suspect(missing transaction: TransactionID, completion: @escaping @Sendable () -> Void) {
        guard loop.submit({ [core] in core.suspect(transaction, completion) }) else { return completion() }
    }

    /// Says that the commits have been verified since this regression was found, and that what was lost is in the log.
    ///
    /// - Parameter completion: called once, with whether the log took note of it; not if the database went back again meanwhile.
    public func finishRegression(_ regression: DatabaseRegression, completion: @escaping @Sendable (Bool) -> Void) {
        guard loop.submit({ [core] in core.finishRegression(regression.number, completion) }) else {
            return completion(false)
        }
    }

    /// Asks the database how far its write-ahead log is and tells the log, so that a database that goes back in time is noticed. For a
    /// timer, and before a clean end. `completion` is called once, within a bounded time.
    public func recordPosition(completion: @escaping @Sendable () -> Void) {
        guard loop.submit({ [core] in core.recordPosition(completion) }) else { return completion() }
    }

    public func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        guard loop.submit({ [core] in core.prepare(order) { core.tell($0, completion) } }) else {
            return completion(.no(.unavailable("the database is closed")))
        }
    }

    public func lookUp(_ order: LookUpOrder, completion: @escaping @Sendable (PriorPayment) -> Void) {
        guard loop.submit({ [core] in core.lookUp(order) { core.tell($0, completion) } }) else {
            return completion(.unknown("the database is closed"))
        }
    }

    public func resolve(_ order: ResolveOrder, completion: @escaping @Sendable (Resolution) -> Void) {
        guard loop.submit({ [core] in core.resolve(order) { core.tell($0, completion) } }) else {
            return completion(.open("the database is closed"))
        }
    }

    /// Looks at the older backends, then the prepared transactions, then the rows of `transactions`, each in a later statement
    /// than the one before. `completion` is called exactly once, within a bounded time.
    public func observe(
        witnessesOf transactions: [TransactionID], completion: @escaping @Sendable (DatabaseObservation) -> Void
    ) {
        guard loop.submit({ [core] in core.observe(transactions, completion) }) else {
            return completion(DatabaseObservation(database: index, state: .unreachable("closed")))
        }
    }

    /// The prepared transactions of this log and this database's number, of every epoch.
    public func listOwnPrepared(
        completion: @escaping @Sendable (Result<[PreparedTransaction], PostgresReadError>) -> Void
    ) {
        guard loop.submit({ [core] in core.listOwnPrepared(completion) }) else {
            return completion(.failure(PostgresReadError("the database is closed")))
        }
    }

    /// The row that has a request_id; `nil` if there is none.
    public func payment(
        _ request: RequestID, completion: @escaping @Sendable (Result<PaymentRow?, PostgresReadError>) -> Void
    ) {
        guard loop.submit({ [core] in core.payment(request, completion) }) else {
            return completion(.failure(PostgresReadError("the database is closed")))
        }
    }

    /// Runs `body` on the database's thread, or `ifClosed` at once.
    func submit(
        _ body: @escaping @Sendable (DatabaseCore) -> Void, ifClosed: (PostgresReadError) -> Void
    ) {
        guard loop.submit({ [core] in body(core) }) else {
            return ifClosed(PostgresReadError("the database is closed"))
        }
    }

    /// A reading of the counters; `nil` after the close.
    public func statistics(completion: @escaping @Sendable (PostgresStatistics?) -> Void) {
        guard loop.submit({ [core] in completion(core.statistics) }) else { return completion(nil) }
    }
}

/// A read that could not be made. Nothing may be concluded from it.
public struct PostgresReadError: Error, Sendable, Hashable, CustomStringConvertible {
    public let reason: String
    public init(_ reason: String) { self.reason = reason }
    public var description: String { reason }
}

/// What other threads read of a database, without asking its thread.
final class PublishedState: Sendable {
    let state = Mutex(DatabaseState.idle)
    let isAvailable = Atomic(false)
    let regression = Mutex<DatabaseRegression?>(nil)
    let returns = Atomic(0)
}
