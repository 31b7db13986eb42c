public import NIOCore

/// What one connection may ask of the process. Every limit is a bound on memory or on time.
public struct HTTPServiceLimits: Sendable {
    /// Size of a request's body, bytes; more is answered with 413.
    public var bodyBytesMax = 64 * 1024
    /// Size of one header field, and of the request's target, bytes; more is answered with 431.
    public var headerFieldBytesMax = 8 * 1024
    /// Size of all header fields together, bytes; more is answered with 431.
    public var headerListBytesMax = 32 * 1024
    /// Number of header fields; more is answered with 431.
    public var headerFieldsMax = 100
    /// How long a connection may go without completing a request: an idle connection, a sender that is too slow and a
    /// peer that does not take its answer are closed after it. The time that a request takes to be answered does not count.
    public var requestTimeMax = TimeAmount.seconds(60)
    /// How long a connection is kept after the last answer, to take what the peer is still sending: closed at once, the
    /// system would reset it and the peer might lose the answer.
    public var lingerTimeMax = TimeAmount.seconds(2)
    /// How much of it is read and thrown away, bytes.
    public var lingerBytesMax = 1024 * 1024

    /// The defaults, which suit small JSON bodies.
    public init() {}
}
