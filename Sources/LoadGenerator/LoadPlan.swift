/// What is sent, how fast and for how long.
struct LoadPlan: Sendable, Equatable {
    /// How the load arrives.
    enum Arrival: Sendable, Equatable {
        /// Each connection keeps as many requests open as its depth: the next one is sent when one is answered.
        case closed
        /// So many requests a second in all, whatever the answers do; a latency counts from the moment when the request was due.
        case open(perSecond: Double)
    }

    /// When no further request is sent.
    enum Extent: Sendable, Equatable {
        /// So many requests in all.
        case requests(Int)
        /// So long, nanoseconds.
        case time(Int64)
    }

    var host = "127.0.0.1"
    var port = 9090
    var connections = 32
    /// Requests that one connection keeps open at once, in a closed loop.
    var depth = 1
    var arrival = Arrival.closed
    var extent = Extent.time(10_000_000_000)
    var script = PaymentScript()
    /// Event loops, each a thread with its share of the connections.
    var threads = 1
    /// Whether each request's fate is kept, for a check or to judge replays: some bytes a request.
    var remembersFates = false
    /// How long open requests are waited for at the end, nanoseconds.
    var drainMax: Int64 = 65_000_000_000
}

enum LoadLimits {
    static let connections = 1...20_000
    static let depth = 1...256
    static let threads = 1...64
    /// Requests a second in an open loop.
    static let rate = 0.1...1_000_000.0
    static let requests = 1...1_000_000_000
    /// Seconds.
    static let duration = 0.1...86_400.0
    /// Bytes of one answer's line.
    static let answerBytesMax = 64 * 1024
    /// Between two looks at what is due in an open loop, nanoseconds.
    static let tick: Int64 = 1_000_000
    /// Before a connection that broke is made again, nanoseconds.
    static let reconnectPause: Int64 = 20_000_000
    /// First connections that one loop makes at the same time: fewer than wait in a server's backlog.
    static let connectsAtOnce = 64
    /// How long a connection may take to be made, nanoseconds.
    static let connectMax: Int64 = 5_000_000_000
    /// Latencies above are counted as this, microseconds: an hour.
    static let latencyMicrosecondsMax: UInt64 = 3_600_000_000
    /// Answers whose look-up failed that are shown.
    static let complaintsShownMax = 10
    /// Questions that one connection of the check keeps open.
    static let checkDepth = 64
    /// Earlier payments that replays and later operations are drawn from.
    static let recentMax = 1024
}
