import Coordinator

/// The limits of the log, gathered. What an operator may set is in ``LogConfiguration``.
public enum LogLimits {
    /// Steps that may wait for the writer before a new BEGIN is refused.
    public static let queuedBeginsMax = 16_384
    /// Steps that may wait for the writer before any step is refused. Decisions, ends and reversals belong to
    /// transactions that were let in, so they get room of their own.
    public static let queuedStepsMax = 4 * queuedBeginsMax
    /// Steps in one commit.
    public static let batchStepsMax = 4096
    /// States of unfinished transactions that the writer keeps decoded from batch to batch; then it begins anew.
    static let decodedStatesMax = 8192
    /// Records that one slice of a trim looks at; slices go between batches so that no decision waits behind a long
    /// one.
    public static let trimSliceRecordsMax = 512
    /// Records decoded within one read transaction of a scan; then it is renewed, so that no page is pinned for long.
    public static let scanBatchRecords = 1024
    /// Transactions that are remembered as being nowhere in the history; then they are looked for again.
    static let absenteesMax = 10_000
    /// How far before the time in a transaction's id the search for its records begins, for clocks that are nudged, milliseconds.
    static let searchMarginMilliseconds: Int64 = 1000
    /// How much of the log's age a crash may lose: it is written with the batches, and no more often than this.
    static let ageNoteInterval = Milliseconds.seconds(10)
    /// How often the writer looks at the disk and the map while it is idle, milliseconds.
    public static let pressureIntervalMilliseconds = 1000
    /// Commits that a reader may be behind before its pages are counted as used.
    public static let readerLagCommitsMax = 10_000
    /// Space beyond the reserve that is allocated with it, so that not every batch has to ask the file system, bytes.
    public static let reserveSlackBytes = 16 * 1024 * 1024
    /// Pages behind the end of what LMDB uses, made before it needs them: when they become fewer than the one, they are made as many as
    /// the other, bytes.
    static let pagesAheadBytesMin = 1024 * 1024
    static let pagesAheadBytesMax = 2 * pagesAheadBytesMin
    /// What the kernel is asked to read ahead at once, bytes: no more than any disk takes (`read_ahead_kb`, 128 by default).
    static let readAheadBytes = 64 * 1024
    /// Syncs that a look at the state directory times, and what each writes, bytes: a page.
    static let syncProbes = 5
    static let syncProbeBytes = 4096
    /// Named databases in the environment.
    static let databasesMax: UInt32 = 8
    /// Slots for readers, all processes together.
    static let readersMax: UInt32 = 126
    /// What LMDB's lock file needs for them, bytes: two cache lines of its own, one for each reader.
    static let lockFileBytes = (2 + Int(readersMax)) * 64
    /// Directories that a backup makes for its copy before it gives up, if others take them away.
    static let workshopAttempts = 3
    /// Permissions of every file, and with the search bit of the directory: the owner's alone.
    static let fileMode: UInt32 = 0o600
    static let directoryMode: UInt32 = 0o700

    // Sizes of what is written. A longer text is cut before it is written, never within a character's bytes.

    /// Evidence of a parked transaction, bytes of UTF-8.
    public static let evidenceBytesMax = 2048
    /// Who ordered something, bytes of UTF-8.
    public static let actorBytesMax = 128
    /// Any other reason, bytes of UTF-8.
    public static let reasonBytesMax = 1024
    /// The network's authorization code, bytes of UTF-8. ISO 8583 gives it six characters.
    public static let authorizationCodeBytesMax = 64
    /// Participants of one transaction.
    public static let branchesMax = 255
    /// Bytes of a keyed digest.
    public static let digestBytesMax = 64
    /// Pairs whose outcome at one database is unknown; the oldest goes first.
    public static let fenceAttemptsMax = 1024
    /// Former pairs that are remembered of a database, so that one that went back in time is told from somebody else's.
    public static let fencesFormerMax = 256
    /// Damaged values that one look-through reports one by one; all are counted.
    public static let damagedListedMax = 1000
    /// How often a picture is taken anew whose meta page the writer has written over before it was read.
    static let pageCheckAttempts = 100
    /// How often the state directory's lock is tried before it counts as held by another server.
    static let lockAttempts = 5
    /// The pause between two tries, microseconds.
    static let lockPauseMicroseconds: UInt32 = 20_000
}
