import Coordinator
import Runtime
import Telemetry
import Testing

/// What a database that went back in time has lost, as the coordinator does it again.
@Suite struct LostCommitTests {
    private static let first = DatabaseIndex(rawValue: 1)

    private static func commit(_ begin: BeginRecord, in world: World) throws -> ActiveTransaction {
        _ = try world.log.write(.begin(begin)).get()
        _ = try world.log.write(
            .commit(CommitRecord(transaction: begin.transaction, authorizationCode: "A1"))
        ).get()
        return try #require(world.log.active(begin.transaction))
    }

    @Test("Goal: a commit without branch and row is parked, counted once, and its database not asked")
    func parked() async throws {
        let world = World()
        let begin = Payment("r1").begin(1)
        var ended = try Self.commit(begin, in: world)
        ended.acknowledged = [.database(Self.first): .acknowledgement, .clearing: .acknowledgement]
        let end = EndRecord(
            transaction: begin.transaction, requestID: begin.intent.requestID, outcome: .committed)
        _ = try world.log.write(.end(end)).get()
        let lost = LostCommit(transaction: ended, database: Self.first, isPreparedAgain: false)
        for isFirst in [true, false] {
            let result = await withCheckedContinuation { continuation in
                world.coordinator.reopen(lost.transaction, lost.reopening) { continuation.resume(returning: $0) }
            }
            #expect(result == .success(isFirst))
        }
        try await world.idle()
        #expect(world.database.resolutions.orders.isEmpty && world.clearing.confirmations.orders.isEmpty)
        #expect(await world.gauges().parked == 1)
        #expect(world.count(.lostCommit) == 1 && world.count(.heuristic) == 1)
        #expect(try await world.status("r1")?.state == .heuristic)
    }

    @Test("Goal: an unfinished payment whose commit was lost is told to its database again before it may end")
    func toldAgain() async throws {
        let world = World()
        var active = try Self.commit(Payment("r1").begin(1), in: world)
        let record = AcknowledgedRecord(
            transaction: active.transaction, participant: .database(Self.first), proof: .acknowledgement)
        _ = try world.log.write(.acknowledged(record)).get()
        active = try #require(world.log.active(active.transaction))
        world.clearing.confirmations.hold()
        _ = world.carryOut(try world.plan())
        try await world.settle()
        #expect(world.database.resolutions.orders.isEmpty, "the log counts on the database")
        let lost = LostCommit(transaction: active, database: Self.first, isPreparedAgain: true)
        await withCheckedContinuation { continuation in
            world.coordinator.tellAgain([lost]) { continuation.resume() }
        }
        try await world.settle()
        #expect(world.database.resolutions.orders.map(\.decision) == [.committed])
        #expect(world.count(.lostCommit) == 1)
        world.clearing.confirmations.release(.done(.acknowledgement))
        try await world.idle()
        #expect(world.log.active.isEmpty)
    }
}
