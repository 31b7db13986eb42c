/// What one client connection may occupy.
enum ServerLimits {
    /// Requests of one connection that wait for their answers; beyond it nothing more is read from it.
    static let pipelinedRequestsMax = 256
    /// Bytes of answers that a client does not take before nothing more is read from it.
    static let unsentBytesMax = 64 * 1024
    /// Connections over the limit that are told so at the same time; further ones are closed at once.
    static let turnedAwayMax = 256
    /// Their share of the descriptors that are left for clients, one part in so many, where those are few.
    static let turnedAwayShare = 5
    /// The fewest descriptors for clients that a start is made with.
    static let connectionRoomMin = 16
    /// How long no connection is accepted after the system had no descriptor for one, milliseconds.
    static let acceptPause: Int64 = 100
    /// Between two trims of the log.
    static let tidyInterval = Duration.seconds(30)
    /// How long the start waits for a database before it goes on without it, milliseconds.
    static let databaseStartWaitMax: Int64 = 1500
    /// How long the start waits for the verification of the commits of databases that went back in time, milliseconds; it goes on in
    /// the background.
    static let verificationStartWaitMax: Int64 = 10_000
    /// While there is no room to open the log: how long a look for the order to stop waits, after how many of them the log is
    /// tried again, and how often that it still waits is told.
    static let spaceCheckInterval = Duration.milliseconds(100)
    static let spaceChecksPerAttempt = 10
    static let spaceAlarmInterval = Duration.seconds(60)
    /// How long orders are not taken after the control socket broke.
    static let controlRestartPause = Duration.seconds(1)
}
