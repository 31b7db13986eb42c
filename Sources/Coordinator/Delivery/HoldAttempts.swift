/// What became of one attempt to place a hold.
public enum HoldOutcome: Sendable, Hashable {
    case placed(authorizationCode: String)
    case declined(String)
    /// The network said that it failed. It may be told again; whether it did something is not proven.
    case failed(String)
    /// No answer that can be believed: anything may be.
    case lost(String)
    /// No connection was made: the network has not heard of this attempt.
    case notReached(String)
}

/// The attempts of one prepare at the card network: when the next one is made, how long it may take, and what the vote is in
/// the end. Pure; times come with the events.
public struct HoldAttempts: Sendable {
    public struct Settings: Sendable, Hashable {
        /// How long one attempt may take.
        public let attemptTimeout: Milliseconds
        /// An attempt that would get less is not begun.
        public let attemptTimeoutMin: Milliseconds
        /// How often it is repeated after the first attempt.
        public let retryMax: Int
        /// The pause before the first repeat; each later one is twice as long, up to ``backoffMax``.
        public let backoffBase: Milliseconds
        public let backoffMax: Milliseconds
        /// What is kept of the time to the deadline for the database, which is asked after the network: one part in so many.
        public let databaseShareDivisor: Int64

        public init(
            attemptTimeout: Milliseconds, attemptTimeoutMin: Milliseconds, retryMax: Int, backoffBase: Milliseconds,
            backoffMax: Milliseconds, databaseShareDivisor: Int64
        ) {
            precondition(databaseShareDivisor >= 1 && retryMax >= 0, "a share of the time and a number of repeats")
            self.attemptTimeout = attemptTimeout
            self.attemptTimeoutMin = attemptTimeoutMin
            self.retryMax = retryMax
            self.backoffBase = backoffBase
            self.backoffMax = backoffMax
            self.databaseShareDivisor = databaseShareDivisor
        }
    }

    public enum Step: Sendable, Hashable {
        case attempt(timeout: Milliseconds, isRepeat: Bool)
        case pause(Milliseconds)
        case vote(Vote)
    }

    private let settings: Settings
    /// When the network's part of the time is over; what follows is the database's.
    private let end: MonotonicTime
    private var attempts = 0
    /// Whether the network may have heard of an attempt whose outcome is not known.
    private var mayHaveHappened = false

    /// - Parameter deadline: of the whole prepare phase.
    public init(settings: Settings, now: MonotonicTime, deadline: MonotonicTime) {
        self.settings = settings
        let whole = deadline.since(now)
        end = now + Milliseconds(whole.count - whole.count / settings.databaseShareDivisor)
    }

    /// The first attempt, or the vote if there is no time for one.
    public func begin(at now: MonotonicTime) -> Step {
        nextAttempt(at: now, reason: "no time was left to ask the network")
    }

    /// Repeats what failed while there are attempts and time.
    public mutating func attemptEnded(_ outcome: HoldOutcome, at now: MonotonicTime) -> Step {
        attempts += 1
        switch outcome {
        case .placed(let code): return .vote(.yes(authorizationCode: code))
        case .declined(let reason):
            // The refusal may be of this attempt alone, while an earlier one placed a hold that is still on its way.
            guard !mayHaveHappened else {
                return .vote(.unknown("declined (\(reason)) after an attempt whose outcome is not known"))
            }
            return .vote(.no(.declined(reason)))
        case .failed(let reason):
            mayHaveHappened = true
            return afterFailure("the network failed: \(reason)", at: now)
        case .lost(let reason):
            mayHaveHappened = true
            return afterFailure(reason, at: now)
        case .notReached(let reason): return afterFailure(reason, at: now)
        }
    }

    public func pauseEnded(at now: MonotonicTime) -> Step {
        nextAttempt(at: now, reason: "no time was left to ask again")
    }

    private func afterFailure(_ reason: String, at now: MonotonicTime) -> Step {
        guard attempts <= settings.retryMax else { return .vote(failure(reason)) }
        let doublings = min(attempts - 1, 16)
        let pause = min(Milliseconds(settings.backoffBase.count << doublings), settings.backoffMax)
        guard end.since(now) >= Milliseconds(pause.count + settings.attemptTimeoutMin.count) else {
            return .vote(failure(reason))
        }
        return .pause(pause)
    }

    private func nextAttempt(at now: MonotonicTime, reason: String) -> Step {
        let attemptsLeft = Int64(max(1, settings.retryMax + 1 - attempts))
        let share = Milliseconds(end.since(now).count / attemptsLeft)
        guard end.since(now) >= settings.attemptTimeoutMin else { return .vote(failure(reason)) }
        let timeout = min(max(share, settings.attemptTimeoutMin), settings.attemptTimeout)
        return .attempt(timeout: timeout, isRepeat: mayHaveHappened)
    }

    private func failure(_ reason: String) -> Vote {
        mayHaveHappened ? .unknown(reason) : .no(.unavailable(reason))
    }
}
