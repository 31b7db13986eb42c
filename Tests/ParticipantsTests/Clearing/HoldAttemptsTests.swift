import Coordinator
import Testing

@testable import ClearingParticipant

/// Goal: attempts fit in the network's share of the deadline, and no vote says no while a hold may exist.
@Suite struct HoldAttemptsTests {
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000)

    private static func attempts(
        deadline: Int64, timeout: Int64 = 30_000, retryMax: Int = 2, backoff: Int64 = 50
    ) throws -> HoldAttempts {
        let configuration = try ClearingConfiguration(
            url: "http://localhost", attemptTimeout: Milliseconds(timeout), retryMax: retryMax,
            backoffBase: Milliseconds(backoff))
        return HoldAttempts(settings: configuration.attempts, now: start, deadline: start + Milliseconds(deadline))
    }

    /// A fifth of the time is the database's; the rest is divided by the attempts that are left.
    @Test func shares() throws {
        var attempts = try Self.attempts(deadline: 30_000)
        #expect(attempts.begin(at: Self.start) == .attempt(timeout: Milliseconds(8000), isRepeat: false))
        var now = Self.start + Milliseconds(8000)
        #expect(attempts.attemptEnded(.lost("x"), at: now) == .pause(Milliseconds(50)))
        now = now + Milliseconds(50)
        #expect(attempts.pauseEnded(at: now) == .attempt(timeout: Milliseconds(7975), isRepeat: true))
        now = now + Milliseconds(1000)
        #expect(attempts.attemptEnded(.failed("x"), at: now) == .pause(Milliseconds(100)))
        now = now + Milliseconds(100)
        #expect(attempts.pauseEnded(at: now) == .attempt(timeout: Milliseconds(14_850), isRepeat: true))
        #expect(attempts.attemptEnded(.lost("last"), at: now) == .vote(.unknown("last")))
    }

    @Test func configuredTimeoutIsTheMost() throws {
        let attempts = try Self.attempts(deadline: 30_000, timeout: 100)
        #expect(attempts.begin(at: Self.start) == .attempt(timeout: Milliseconds(100), isRepeat: false))
    }

    /// Nothing was sent, so nothing is held.
    @Test(arguments: [Int64(0), 1, 5]) func noTimeAtAll(deadline: Int64) throws {
        let step = try Self.attempts(deadline: deadline).begin(at: Self.start)
        guard case .vote(.no(.unavailable)) = step else {
            unexpected(step)
            return
        }
    }

    /// A pause that would end after the network's share is not begun.
    @Test func noTimeForARepeat() throws {
        var attempts = try Self.attempts(deadline: 100, backoff: 50)
        #expect(attempts.attemptEnded(.lost("x"), at: Self.start + Milliseconds(40)) == .vote(.unknown("x")))
    }

    /// Every sequence of three outcomes, against the rule in its own words.
    @Test func everySequenceOfOutcomes() throws {
        let outcomes: [HoldOutcome] = [
            .placed(authorizationCode: "A"), .declined("d"), .failed("f"), .lost("l"), .notReached("n"),
        ]
        var checked = 0
        for first in outcomes {
            for second in outcomes {
                for third in outcomes {
                    try check([first, second, third])
                    checked += 1
                }
            }
        }
        #expect(checked == 125)
    }

    private func check(_ sequence: [HoldOutcome]) throws {
        var attempts = try Self.attempts(deadline: 30_000)
        var step = attempts.begin(at: Self.start)
        var now = Self.start
        var mayHold = false
        for (index, outcome) in sequence.enumerated() {
            guard case .attempt(_, let isRepeat) = step else {
                unexpected(step, "no attempt for \(sequence)[\(index)]")
                return
            }
            #expect(isRepeat == mayHold, "\(sequence)")
            now = now + Milliseconds(10)
            step = attempts.attemptEnded(outcome, at: now)
            switch outcome {
            case .placed:
                #expect(step == .vote(.yes(authorizationCode: "A")))
                return
            case .declined:
                if mayHold {
                    guard case .vote(.unknown) = step else { return unexpected(step, "\(sequence)") }
                } else {
                    #expect(step == .vote(.no(.declined("d"))))
                }
                return
            case .failed, .lost: mayHold = true
            case .notReached: break
            }
            guard case .pause = step else { break }
            now = now + Milliseconds(100)
            step = attempts.pauseEnded(at: now)
        }
        switch step {
        case .vote(.unknown): #expect(mayHold, "\(sequence)")
        case .vote(.no(.unavailable)): #expect(!mayHold, "\(sequence)")
        default: unexpected(step, "\(sequence)")
        }
    }

    @Test func backoffHasACeiling() throws {
        var attempts = try Self.attempts(deadline: 600_000, retryMax: 10, backoff: 1500)
        #expect(attempts.attemptEnded(.notReached("n"), at: Self.start) == .pause(Milliseconds(1500)))
        for _ in 0..<9 {
            #expect(attempts.attemptEnded(.notReached("n"), at: Self.start) == .pause(ClearingLimits.backoffMax))
        }
        #expect(attempts.attemptEnded(.notReached("n"), at: Self.start) == .vote(.no(.unavailable("n"))))
    }
}
