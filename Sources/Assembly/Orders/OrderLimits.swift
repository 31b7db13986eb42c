public import Coordinator
import WAL

/// What one order may occupy.
public enum OrderLimits {
    /// Length of who orders something, bytes of UTF-8: as much as the log keeps.
    public static let actorBytesMax = LogLimits.actorBytesMax
    /// Length of a reason, bytes of UTF-8: as much as the log keeps.
    public static let reasonBytesMax = LogLimits.reasonBytesMax
    /// Transactions that one recovery pass may be narrowed to.
    public static let transactionsMax = 1000
    /// Length of one line of the control socket without its end, bytes: an order that names ``transactionsMax`` transactions.
    public static let lineBytesMax = 64 * 1024
    /// Connections to the control socket at the same time; further ones are closed at once.
    public static let connectionsMax = 16
    /// How long a connection to the control socket may last.
    public static let connectionTimeMax = Milliseconds.seconds(600)
    /// How long an order waits for a transaction or a reversal that is just being worked on.
    static let busyWaitMax = Milliseconds.seconds(5)
    /// Between two tries of such an order.
    static let busyPause = Milliseconds(50)
    /// Between two looks at what came of an order: this at first, then longer and longer.
    static let followPauseMin = Milliseconds(20)
    static let followPauseMax = Milliseconds(500)
    /// How long the sender of an order waits for the server's reply.
    static let replyTimeMax = Milliseconds.seconds(60)
    /// Permissions of the control socket: its owner's alone.
    static let socketMode: UInt32 = 0o600
    /// The longest path of a Unix domain socket, bytes: `sun_path` of unix(7) less its final zero.
    static let socketPathBytesMax = 107
}
