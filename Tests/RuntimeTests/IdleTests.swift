import Coordinator
import Runtime
import Testing

/// When a stopping server, or `recover`, may go.
@Suite struct IdleTests {
    private static func watch(_ world: World, includingReversals: Bool) async throws -> Switch {
        let isIdle = Switch(false)
        world.coordinator.whenIdle(includingReversals: includingReversals) { isIdle.turn(true) }
        try await world.settle()
        return isIdle
    }

    /// Goal: with nothing begun there is nothing to wait for.
    @Test func nothingBegunIsIdle() async throws {
        #expect(try await Self.watch(World(), includingReversals: true).isOn)
    }

    /// Goal: a delivery that goes on is waited for, to its END.
    @Test func aDeliveryIsWaitedFor() async throws {
        let world = World()
        world.clearing.confirmations.hold()
        try await world.pay("r1")
        let isIdle = try await Self.watch(world, includingReversals: false)
        #expect(!isIdle.isOn)
        world.log.hold(\.isEnd)
        world.clearing.confirmations.release(.done(.acknowledgement))
        try await world.settle()
        #expect(!isIdle.isOn)
        world.log.release()
        try await eventually("it is idle") { isIdle.isOn }
    }

    /// Goal: open reversals count only for who asks for them.
    @Test func reversalsCountIfAskedFor() async throws {
        let world = World()
        world.clearing.votes.answer(.unknown("silence"))
        world.clearing.reversals.hold()
        try await world.pay("r1")
        let withReversals = try await Self.watch(world, includingReversals: true)
        let without = try await Self.watch(world, includingReversals: false)
        #expect(!withReversals.isOn && without.isOn)
        world.clearing.reversals.release(.acknowledged)
        try await eventually("it is idle") { withReversals.isOn }
    }

    /// Goal: a queue is waited for, and everybody who watches is told.
    @Test func everyWatcherIsTold() async throws {
        let world = World { $0.inFlightMax = 1 }
        world.clearing.votes.hold()
        let tickets = ["a", "b"].map { world.submit($0) }
        let watchers = [
            try await Self.watch(world, includingReversals: true),
            try await Self.watch(world, includingReversals: false),
        ]
        #expect(watchers.allSatisfy { !$0.isOn })
        world.clearing.votes.answer(.no(.declined("no")))
        world.clearing.votes.release(.no(.declined("no")))
        for watcher in watchers { try await eventually("it is idle") { watcher.isOn } }
        #expect(tickets.allSatisfy { $0.isAnswered })
    }

    /// Goal: draining lets what was begun finish, answers repeats, and takes nothing new.
    @Test func drainingFinishesWhatWasBegun() async throws {
        let world = World()
        world.clearing.votes.hold()
        let begun = world.submit("r1")
        try await world.settle()
        world.coordinator.beginDraining()
        let isIdle = try await Self.watch(world, includingReversals: true)
        #expect(try await world.pay("r2") == Reply(.refused(.shuttingDown)))
        let joined = world.submit("r1")
        try await world.settle()
        #expect(!isIdle.isOn && !joined.isAnswered)

        world.clearing.votes.release(.yes(authorizationCode: "X"))
        #expect(try await begun.reply().answer.text == "APPROVED")
        #expect(try await joined.reply() == begun.reply())
        try await eventually("it is idle") { isIdle.isOn }
    }
}
