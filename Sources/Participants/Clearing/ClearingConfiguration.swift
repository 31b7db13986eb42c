public import Coordinator
internal import Foundation

/// How the card network is reached.
public struct ClearingConfiguration: Sendable {
    /// The address that `/clearing/...` is appended to, without a slash at its end.
    let base: String
    /// How long one attempt may take. An attempt of a prepare also gets at most its share of the deadline.
    let attemptTimeout: Milliseconds
    /// How often a prepare is repeated after its first attempt.
    let retryMax: Int
    /// The pause before the first repeat; each later one is twice as long, up to ``ClearingLimits/backoffMax``.
    let backoffBase: Milliseconds

    /// - Parameters:
    ///   - url: `http://` or `https://`, a host, optionally a port and a path; no user, query or fragment.
    ///   - attemptTimeout: 1 ms to ``ClearingLimits/attemptTimeoutMax``.
    ///   - retryMax: 0 to ``ClearingLimits/retriesMax``.
    ///   - backoffBase: 0 to ``ClearingLimits/backoffMax``.
    /// - Throws: ``ClearingConfigurationError`` for a value out of these.
    public init(
        url: String, attemptTimeout: Milliseconds, retryMax: Int, backoffBase: Milliseconds = Milliseconds(50)
    ) throws(ClearingConfigurationError) {
        base = try Self.checkedBase(url)
        guard attemptTimeout > .zero, attemptTimeout <= ClearingLimits.attemptTimeoutMax else {
            throw .timeout
        }
        guard (0...ClearingLimits.retriesMax).contains(retryMax) else { throw .retries }
        guard backoffBase >= .zero, backoffBase <= ClearingLimits.backoffMax else { throw .backoff }
        self.attemptTimeout = attemptTimeout
        self.retryMax = retryMax
        self.backoffBase = backoffBase
    }

    /// How the attempts of a prepare are made.
    var attempts: HoldAttempts.Settings {
        HoldAttempts.Settings(
            attemptTimeout: attemptTimeout, attemptTimeoutMin: ClearingLimits.attemptTimeoutMin, retryMax: retryMax,
            backoffBase: backoffBase, backoffMax: ClearingLimits.backoffMax,
            databaseShareDivisor: ClearingLimits.databaseShareDivisor)
    }

    private static func checkedBase(_ text: String) throws(ClearingConfigurationError) -> String {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            let host = parts.host, !host.isEmpty, scheme == "http" || scheme == "https"
        else { throw .address }
        // A password in an address ends up in process lists and messages.
        guard parts.user == nil, parts.password == nil else { throw .credentials }
        guard parts.query == nil, parts.fragment == nil else { throw .address }
        var base = text
        while base.hasSuffix("/") { base.removeLast() }
        return base
    }
}

/// What is wrong with a ``ClearingConfiguration``. The description says what to do and never repeats the address.
public enum ClearingConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    case address
    case credentials
    case timeout
    case retries
    case backoff

    public var description: String {
        switch self {
        case .address:
            "the clearing network's address must be http://HOST[:PORT][/PATH] or https://..., without query or fragment"
        case .credentials: "the clearing network's address must not contain a user or a password; remove them"
        case .timeout: "the clearing timeout must be more than 0 and at most \(ClearingLimits.attemptTimeoutMax)"
        case .retries: "the clearing retries must be from 0 to \(ClearingLimits.retriesMax)"
        case .backoff: "the clearing backoff must be from 0 to \(ClearingLimits.backoffMax)"
        }
    }
}

/// The bounds of the conversation with the card network.
public enum ClearingLimits {
    /// The longest that one attempt may be configured to take.
    public static let attemptTimeoutMax = Milliseconds.seconds(600)
    /// The most repeats of a prepare.
    public static let retriesMax = 10
    /// The longest pause between two attempts.
    public static let backoffMax = Milliseconds.seconds(2)
    /// An attempt that would get less is not begun: it would end unknown for want of time.
    static let attemptTimeoutMin = Milliseconds(5)
    /// What is kept of the time to the deadline for the database, which is asked after the network: one part in so many.
    static let databaseShareDivisor: Int64 = 5
    /// The longest wait for a connection to be made, and for one to become free. Shorter than an attempt usually is, so that a
    /// network that cannot be reached is told apart from one that does not answer.
    static let connectTimeMax = Milliseconds.seconds(5)
    /// How long an unused connection is kept. Shorter than servers keep theirs: a request sent into a closing connection
    /// would end unknown.
    static let idleTimeMax = Milliseconds.seconds(15)
    /// Connections to the network; more attempts at a time wait for one.
    public static let connectionsMax = 512
    /// What is kept of an attempt's time for the exchange, when it has to wait for a connection first: one part in so many.
    static let exchangeShareDivisor: Int64 = 2
    /// Between two looks at who has waited too long for one.
    static let turnCheckInterval = Milliseconds(10)
    /// Size of a reply's body, bytes.
    static let replyBytesMax = 16 * 1024
    /// Length of an authorization code, characters (visible ASCII).
    static let authorizationCodeCharacters = 1...32
    /// Length of a reason of the network that is passed on, characters; longer ones are cut.
    static let reasonCharactersMax = 128
}
