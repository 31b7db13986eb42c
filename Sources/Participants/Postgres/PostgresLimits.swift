public import Coordinator

/// Every limit of the PostgreSQL participant that is not a setting.
public enum PostgresLimits {
    /// Oldest server that is taken, as `server_version_num` has it: PostgreSQL 12.
    public static let serverVersionMin = 120_000
    /// Server from which `client_connection_check_interval` exists: PostgreSQL 14.
    public static let serverVersionClientCheck = 140_000

    /// Connections of one database's pool.
    public static let poolConnections = 1...512
    /// Connections of the pool that are made at once at the start, and the pause before each further one: to begin a backend takes
    /// milliseconds of a processor, which what a start has to do needs as well.
    public static let poolConnectionsFirst = 2
    public static let poolGrowthPause = Milliseconds(10)
    /// Any time limit in a configuration, milliseconds.
    public static let settingMilliseconds: ClosedRange<Int64> = 1...3_600_000

    /// Sockets that one wait tells of; those that are ready beyond it come with the next.
    public static let readySocketsPerWait = 128

    /// Between attempts to connect again after a loss.
    public static let reconnectBackoff = Backoff(base: Milliseconds(50), ceiling: Milliseconds(5000))
    /// Between looks at a database that was refused and that only an operator can mend.
    public static let refusedRetry = Milliseconds.seconds(30)

    /// From the request to cancel a statement until its connection is given up.
    public static let cancelGrace = Milliseconds(500)
    /// A vote comes at the order's deadline plus this at the latest.
    public static let voteOverrunMax = Milliseconds(2000)
    /// For a step of fencing, of the schema or of an observation.
    public static let controlTimeout = Milliseconds.seconds(30)
    /// For a migration of the tables, which may have to build indexes over a predecessor's rows.
    public static let migrationTimeout = Milliseconds.seconds(600)
    /// Attempts to replace a fence that somebody else changes at the same moment, before the way starts anew.
    public static let fenceSwapsMax = 5
    /// Between two looks whether the fence is still ours.
    public static let fenceWatchInterval = Milliseconds.seconds(2)
    /// Former pairs that are remembered of a database, as the log keeps them.
    public static let formerFencesMax = 256
    /// Between two tries of a connection while the control connection finds out whether the database went back in time.
    public static let regressionRetry = Milliseconds(50)
    /// For the look at the row that holds a request_id, when the order's deadline is near or past.
    public static let rowLookupTimeout = Milliseconds(500)

    /// Between two looks whether a backend is gone.
    public static let backendPoll = Milliseconds(50)
    /// The first pause of the looks whether older backends are gone; each is twice as long as the one before, up to ``backendPoll``.
    /// Idle ones, whose client was killed, are gone at once.
    public static let olderBackendsFirstPoll = Milliseconds(2)
    /// How long a resolution waits for a backend to be gone before it answers that it is open.
    public static let backendGoneWait = Milliseconds.seconds(2)
    /// How long the return of a database waits for backends of older epochs before it goes on without that proof.
    public static let olderBackendsWait = Milliseconds.seconds(5)
    /// Between two looks at older backends afterwards.
    public static let olderBackendsPoll = Milliseconds.seconds(1)

    /// What a decision and a branch must both have left until their deadlines to be sent one behind the other.
    public static let pairTimeMin = Milliseconds.seconds(2)
    /// Orders that wait for a prepared slot or a connection; more are refused.
    public static let waitingOrdersMax = 16_384
    /// Between attempts to prepare while the cluster has no prepared slot left.
    public static let slotRetryBackoff = Backoff(base: Milliseconds(20), ceiling: Milliseconds(320))

    /// Payments that one statement reads for a log that has lost its tail.
    public static let rowsPerPage = 2000
    /// Payments that a start looks for in its log.
    public static let newestRows = 64
    /// How long an authorization may live at a card network, days: what is older is settled, or beyond help.
    public static let authorizationDaysMax = 30
    /// Transactions that one statement looks for.
    public static let witnessesPerStatement = 1000
    /// Locks that one look at what is blocked reads: those of prepared transactions, and those that sessions wait for.
    public static let lockRowsMax = 100_000
    /// Waiting sessions that are asked whom they wait for in such a look.
    public static let waitingSessionsMax = 1000
    /// For the PREPARE and ROLLBACK PREPARED of a preflight, and for each attempt to remove what it left.
    public static let probeTimeout = Milliseconds.seconds(5)
    /// How long a preflight tries to remove its own probe.
    public static let probeCleanupMax = Milliseconds.seconds(5)
    /// Between two attempts of that.
    public static let probeCleanupPause = Milliseconds(200)
    /// A probe that is older was left behind by a preflight that is gone.
    public static let probeAgeMax = Milliseconds.seconds(60)
    /// Readings of the database's clock; the one with the shortest round trip counts.
    public static let clockSamples = 5
    /// Blocking calls that wait for their thread; more are dropped, and the termination of the backend takes their place.
    public static let blockingCallsMax = 1024
    /// How long ``PostgresDatabase/close(completion:)`` waits for jobs that run.
    public static let closeWait = Milliseconds.seconds(5)
    /// PostgreSQL's limit on the name of a prepared transaction (GIDSIZE less its terminator).
    public static let gidBytesMax = 199
    /// A keyed digest (HMAC-SHA-256), bytes.
    static let digestBytes = 32
}
