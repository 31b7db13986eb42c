import NIOCore

/// The simulator's bounds, in one place.
enum SimulatorLimits {
    /// Length of a transaction_id, characters (visible ASCII).
    static let transactionIDCharacters = 1...128
    /// Length of a merchant_id, characters (printable ASCII).
    static let merchantCharacters = 1...64
    /// Digits of an amount, before and after the point together.
    static let amountDigitsMax = 15
    /// Decimals of an amount.
    static let amountDecimalsMax = 4
    /// Size of a request's body, bytes.
    static let bodyBytesMax = 16 * 1024
    /// Transactions in the books; a prepare beyond is answered with an error. About 300 bytes of memory each.
    static let transactionsMax = 4_000_000
    /// Connections at a time; one more is closed at once.
    static let connectionsMax = 4096
    /// Threads that print the books, so that requests need not wait for it.
    static let threads = 2
    /// Descriptors for everything that is no connection: fewer connections are taken where the system allows fewer open files.
    static let otherFiles = 64
    /// How long no connection is accepted after the system had no descriptor for one.
    static let acceptPause = TimeAmount.milliseconds(100)
    /// Connections that the system may hold before they are accepted.
    static let listenBacklog: Int32 = 1024
    /// How long a connection may be idle. Longer than clients keep theirs, so that it is the client who closes: a request
    /// sent into a closing connection would be one more lost reply.
    static let idleTimeMax = TimeAmount.seconds(180)
    /// Latency that can be asked for, milliseconds; a drawn one is cut off there too.
    static let latencyMillisecondsMax = 600_000.0
    /// Size of a line of the books file, bytes.
    static let journalLineBytesMax = 1024
    /// How much of the books file is read, or written by the compaction, at a time, bytes.
    static let journalBlockBytes = 1024 * 1024
    /// Times at which something is due are rounded up to a multiple of this, nanoseconds.
    static let timerStepNanoseconds: UInt64 = 1_000_000
}
