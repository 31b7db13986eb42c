public import Coordinator

/// What an operator may set about the log.
public struct LogConfiguration: Sendable, Hashable {
    /// The largest size of the data file, bytes.
    ///
    /// LMDB maps the whole file, so this reserves addresses, neither memory nor disk: it can be generous. A payment
    /// takes about 1 KiB for as long as it is retained, so below the mark of 70 % the 64 GiB default holds 24 hours of
    /// about 500 payments a second. May be raised at any start; lowering it below what is in use has no effect.
    public var mapBytes: Int
    /// Disk space that is really allocated beyond what is in use, bytes, so that decisions and reversals can be written
    /// when the disk is full. 0 switches it off.
    public var reserveBytes: Int
    /// Free bytes of the file system below which no new transaction is admitted.
    public var freeBytesMin: Int
    /// Share of the map above which no new transaction should be admitted, 0 to 1.
    public var admissionMapShare: Double
    /// Share of the map above which the log itself refuses every BEGIN, 0 to 1, so that what was admitted can finish.
    public var beginMapShare: Double
    /// How long a lazy step waits for a forced one to share its sync with.
    public var lazyDelayMax: Milliseconds

    public init(
        mapBytes: Int = 64 << 30, reserveBytes: Int = 64 << 20, freeBytesMin: Int = 256 << 20,
        admissionMapShare: Double = 0.70, beginMapShare: Double = 0.85,
        lazyDelayMax: Milliseconds = LogTiming.lazyDelayMax
    ) {
        self.mapBytes = mapBytes
        self.reserveBytes = reserveBytes
        self.freeBytesMin = freeBytesMin
        self.admissionMapShare = admissionMapShare
        self.beginMapShare = beginMapShare
        self.lazyDelayMax = lazyDelayMax
    }
}

/// How near the log is to its limits. Refreshed by the writer after batches and once a second, so it is cheap to read.
public struct LogPressure: Sendable, Hashable {
    /// Bytes of the map in use. Pages that a lagging reader keeps from being used again count as used.
    public var usedBytes: Int
    public var mapBytes: Int
    /// Bytes that the file system has left for us, the reserve not counted; `nil` if it does not say.
    public var freeBytes: Int?
    /// Whether the whole reserve is allocated (or switched off).
    public var reserveIntact: Bool
    /// How many commits the slowest reader is behind, and its process; `nil` if nobody reads.
    public var slowestReader: ReaderLag?
    /// Why no new transaction may begin; `nil` if it may.
    public var obstacle: LogObstacle?

    /// Whether a new transaction may begin.
    public var admitsNewTransactions: Bool { obstacle == nil }

    /// The used share of the map, 0 to 1.
    public var mapShare: Double { Double(usedBytes) / Double(max(1, mapBytes)) }
}

/// What keeps new transactions from beginning, with what to do about it.
public enum LogObstacle: Sendable, Hashable, CustomStringConvertible {
    /// The share of the map that is in use is at its mark.
    case mapShare(usedBytes: Int, mapBytes: Int)
    /// The reserve cannot be allocated.
    case reserve(freeBytes: Int?, reserveBytes: Int)
    /// Free disk space is below its mark.
    case freeBytes(Int, min: Int)

    public var description: String {
        switch self {
        case .mapShare(let used, let map):
            "\(mebibytes(used)) of the log's map of \(mebibytes(map)) are in use; raise LOG_MAP_MB or the limit on the "
                + "size of files, or look for a reader that holds pages back"
        case .reserve(let free, let reserve):
            "the reserve of \(mebibytes(reserve)) cannot be allocated, "
                + "\(free.map(mebibytes) ?? "an unknown amount") of the disk is free; free disk space, or raise the limit "
                + "on the size of files"
        case .freeBytes(let free, let min):
            "\(mebibytes(free)) of the disk is free, the mark is \(mebibytes(min)); free disk space"
        }
    }

    private func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }
}

/// A reader of the log, in this process or another.
public struct ReaderLag: Sendable, Hashable {
    public let pid: Int32
    /// Commits since the picture that it reads.
    public let commitsBehind: Int

    package init(pid: Int32, commitsBehind: Int) {
        self.pid = pid
        self.commitsBehind = commitsBehind
    }
}

/// What the writer has done since the log was opened.
public struct LogStatistics: Sendable, Hashable {
    /// Commits, each with its syncs.
    public internal(set) var commits = 0
    /// Steps taken.
    public internal(set) var steps = 0
    /// Steps refused, for whatever reason.
    public internal(set) var refusals = 0
    /// Of these, refused for lack of space or because too many waited.
    public internal(set) var refusalsForSpace = 0
    /// Batches that were aborted cleanly because the map was full, and tried again in another form.
    public internal(set) var fullBatches = 0
    /// Steps in the last batch, refused ones included.
    public internal(set) var lastBatchSteps = 0
    /// The most steps that one batch had.
    public internal(set) var largestBatchSteps = 0
    /// Time spent in commits, nanoseconds: all together, and the longest.
    public internal(set) var commitNanosecondsTotal: UInt64 = 0
    public internal(set) var commitNanosecondsMax: UInt64 = 0
    /// Records dropped by trimming.
    public internal(set) var trimmedRecords = 0
    /// Damaged values set aside since the log was opened.
    public internal(set) var quarantined = 0
}
