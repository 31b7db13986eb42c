import Coordinator
import Testing

/// What a running server tells of what it could not finish, and how often.
@Suite struct ConcernTests {
    private static let start = MonotonicTime(nanoseconds: 0)
    private static func at(_ seconds: Int64) -> MonotonicTime { start + .seconds(seconds) }

    @Test("Goal: a concern is told at once, then at growing intervals, and its end is told")
    func intervalsGrow() {
        var schedule = AlarmSchedule()
        let concern = Concern(.parked, count: 1)
        var told: [Int64] = []
        for second in Int64(0)...3600 where !schedule.update([concern], at: Self.at(second)).alarms.isEmpty {
            told.append(second)
        }
        #expect(told.prefix(4) == [0, 10, 30, 70])
        #expect(told.count < 12, "\(told)")
        let gaps = zip(told.dropFirst(), told).map { $0 - $1 }
        #expect(gaps == gaps.sorted())
        #expect(schedule.update([], at: Self.at(3601)).over == [.parked])
        #expect(schedule.update([concern], at: Self.at(3602)).alarms == [concern], "it is new again")
    }

    @Test("Goal: what grows is told at once, what shrinks is not")
    func growthIsNews() {
        var schedule = AlarmSchedule()
        _ = schedule.update([Concern(.orphans, count: 2)], at: Self.at(0))
        #expect(schedule.update([Concern(.orphans, count: 1)], at: Self.at(1)).alarms.isEmpty)
        #expect(schedule.update([Concern(.orphans, count: 3)], at: Self.at(2)).alarms.count == 1)
    }

    @Test("Goal: late deliveries, reversals and what waits for an operator are found, and what is on its way is not")
    func findsWhatIsLate() {
        let begin = Samples.begin()
        let parking = ParkedRecord(
            transaction: Samples.transaction, participant: .clearing, evidence: "the hold had expired")
        let committing = Samples.active(begin, Samples.commit(begin))
        let db1 = Samples.database(1)
        func kinds(_ active: [ActiveTransaction], _ reversals: [ReversalTask] = [], at seconds: Int64) -> [Concern.Kind]
        {
            let plan = Recovery.plan(
                active: active, reversals: reversals, liveEpoch: 1, observations: [db1: Recovery.seen()])
            return Concern.all(in: plan, quarantined: 0, now: WallTime(microseconds: seconds * 1_000_000)).map(\.kind)
        }
        #expect(kinds([committing], at: 10) == [])
        #expect(kinds([committing], at: 31) == [.undelivered])
        #expect(kinds([Samples.active(begin, Samples.commit(begin), parked: parking)], at: 31) == [.parked])
        #expect(kinds([], [Samples.reversal()], at: 59) == [])
        #expect(kinds([], [Samples.reversal()], at: 61) == [.reversalsOpen])
        // The clock was set back by a day since.
        #expect(kinds([committing], at: -86_400) == [.undelivered])
        #expect(kinds([], [Samples.reversal()], at: -86_400) == [.reversalsOpen])
        let away = Recovery.plan(liveEpoch: 1, observations: [db1: .unreachable("refused")])
        #expect(
            Concern.all(in: away, quarantined: 2, now: WallTime(microseconds: 0)).map(\.kind)
                == [.databaseAway(db1), .quarantined])
    }
}
