import Coordinator
import Runtime
import Synchronization
import Testing

/// Somebody sets the time of day while payments are made. What waits counts in time that passes.
@Suite struct ClockTests {
    private static let jumps: [Int64] = [120, -120, 25 * 3600, -25 * 3600, 400 * 86_400, -60 * 365 * 86_400]

    /// A wall clock that can be set.
    private final class WallClock: Sendable {
        private let offset = Mutex<Int64>(0)

        func set(ahead seconds: Int64) { offset.withLock { $0 = seconds * 1_000_000 } }

        var source: TimeSource {
            TimeSource(
                wall: { [self] in
                    WallTime(microseconds: SystemClock.wall().microseconds + offset.withLock { $0 })
                }, monotonic: SystemClock.monotonic)
        }
    }

    /// Goal: a payment goes through every step with another time of day, and nothing of it is late.
    @Test(arguments: jumps) func setBetweenAllSteps(seconds: Int64) async throws {
        let clock = WallClock()
        let world = World(time: clock.source)
        world.clearing.votes.hold()
        let payment = world.submit("r1")
        try await world.settle()
        clock.set(ahead: seconds)
        world.database.votes.hold()
        world.clearing.votes.release(.yes(authorizationCode: "X"))
        try await world.settle()
        clock.set(ahead: -seconds)
        world.database.resolutions.hold()
        world.database.votes.release(.yes(authorizationCode: ""))
        try await world.settle()
        #expect(!payment.isAnswered && world.trace.contains("durable COMMIT"))
        clock.set(ahead: seconds)
        world.database.resolutions.release(.done(.acknowledgement))
        #expect(try await payment.reply().answer.text == "APPROVED")
        try await world.idle()
        #expect(world.clearing.reversals.orders.isEmpty && world.clearing.confirmations.orders.count == 1)
        let repeated = try await world.pay("r1")
        #expect(repeated.isRepeat && repeated.answer.text == "APPROVED")
    }

    /// Goal: a reversal that finds no answer is tried again after its pause, not a day later, and never given up.
    @Test(arguments: jumps) func reversalsGoOn(seconds: Int64) async throws {
        let clock = WallClock()
        let world = World(time: clock.source)
        world.database.votes.answer(.no(.unavailable("no connection")))
        world.clearing.reversals.answer(.failed("timeout"))
        try await world.pay("r1")
        try await eventually("it was tried") { world.clearing.reversals.orders.count >= 1 }
        clock.set(ahead: seconds)
        let before = world.clearing.reversals.orders.count
        try await eventually("it is tried again") { world.clearing.reversals.orders.count > before + 2 }
        #expect(world.log.reversals.count == 1)
        world.clearing.reversals.answer(.acknowledged)
        try await world.idle()
        #expect(world.log.reversals.isEmpty && world.count(.reversalSucceeded) == 1)
    }

    /// Goal: neither the card's window nor the breaker's pause ends early, and a deadline comes neither sooner nor later.
    @Test(arguments: jumps) func windowsStay(seconds: Int64) async throws {
        let clock = WallClock()
        let world = World(time: clock.source) {
            $0.velocity = (1, .seconds(60))
            $0.breaker = .init(window: .seconds(60), failuresToOpen: 1, openFor: .seconds(60))
            $0.prepareTimeout = Milliseconds(300)
        }
        try await world.pay("r1")
        clock.set(ahead: seconds)
        #expect(try await world.pay("r2").answer.text == "REFUSED risk_velocity")
        let other = Payment("r3").with { $0.card = 2 }
        world.clearing.votes.hold()
        let began = ContinuousClock.now
        let ticket = world.submit(other)
        try await world.settle()
        clock.set(ahead: -seconds)
        #expect(try await ticket.reply().answer.text == "DECLINED clearing_unavailable")
        #expect(ContinuousClock.now - began >= .milliseconds(290))
        world.clearing.votes.answer(.no(.unavailable("connection refused")))
        try await world.pay(Payment("r4").with { $0.card = 3 })
        // That has opened the breaker.
        clock.set(ahead: seconds)
        #expect(try await world.pay(Payment("r5").with { $0.card = 4 }) == Reply(.refused(.clearingUnavailable)))
    }
}
