internal import Coordinator

/// What became of one attempt to place a hold.
enum HoldOutcome: Sendable, Equatable {
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
struct HoldAttempts: Sendable {
    enum Step: Sendable, Equatable {
        case attempt(timeout: Milliseconds, isRepeat: Bool)
        case pause(Milliseconds)
        case vote(Vote)
    }

    private let configuration: ClearingConfiguration
    /// When the network's part of the time is over; what follows is the database's.
    private let end: MonotonicTime
    private var attempts = 0
    /// Whether the network may have heard of an attempt whose outcome is not known.
    private var mayHaveHappened = false

    /// - Parameter deadline: of the whole prepare phase.
    init(configuration: ClearingConfiguration, now: MonotonicTime, deadline: MonotonicTime) {
        self.configuration = configuration
        let whole = deadline.since(now)
        end = now + Milliseconds(whole.count - whole.count / ClearingLimits.databaseShareDivisor)
    }

    /// The first attempt, or the vote if there is no time for one.
    func begin(at now: MonotonicTime) -> Step { nextAttempt(at: now, reason: "no time was left to ask the network") }

    /// Repeats what failed while there are attempts and time.
    mutating func attemptEnded(_ outcome: HoldOutcome, at now: MonotonicTime) -> Step {
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

    func pauseEnded(at now: MonotonicTime) -> Step { nextAttempt(at: now, reason: "no time was left to ask again") }

    private func afterFailure(_ reason: String, at now: MonotonicTime) -> Step {
        guard attempts <= configuration.retryMax else { return .vote(failure(reason)) }
        let doublings = min(attempts - 1, 16)
        let pause = min(Milliseconds(configuration.backoffBase.count << doublings), ClearingLimits.backoffMax)
        guard end.since(now) >= Milliseconds(pause.count + ClearingLimits.attemptTimeoutMin.count) else {
            return .vote(failure(reason))
        }
        return .pause(pause)
    }

    private func nextAttempt(at now: MonotonicTime, reason: String) -> Step {
        let attemptsLeft = Int64(max(1, configuration.retryMax + 1 - attempts))
        let share = Milliseconds(end.since(now).count / attemptsLeft)
        guard end.since(now) >= ClearingLimits.attemptTimeoutMin else { return .vote(failure(reason)) }
        let timeout = min(max(share, ClearingLimits.attemptTimeoutMin), configuration.attemptTimeout)
        return .attempt(timeout: timeout, isRepeat: mayHaveHappened)
    }

    private func failure(_ reason: String) -> Vote {
        mayHaveHappened ? .unknown(reason) : .no(.unavailable(reason))
    }
}
