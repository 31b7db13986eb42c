import Testing

@testable import Coordinator

/// The protocol against a hostile world, every order of events within the budgets; then the same with a driver or a world that
/// is broken, to show that the judgement sees it.
@Suite struct ExplorerTests {
    static let sound: [(name: String, settings: ExplorerSettings)] = [
        ("one database, two crashes, three losses", .init(crashesMax: 2, lossesMax: 3)),
        (
            "one database, two crashes, contended, log full",
            .init(crashesMax: 2, lossesMax: 1, fullsMax: 1, refusals: [.unavailable("no connection"), .contended])
        ),
        ("two databases, two crashes, two losses", .init(databases: 2, crashesMax: 2, lossesMax: 2)),
        ("two databases, one crash, one loss, log full", .init(databases: 2, crashesMax: 1, lossesMax: 1, fullsMax: 1)),
        ("capture, one database, two crashes, two losses", .init(kind: .capture, crashesMax: 2, lossesMax: 2)),
        (
            "capture, two databases, two crashes, one loss",
            .init(kind: .capture, databases: 2, crashesMax: 2, lossesMax: 1)
        ),
    ]

    @Test(arguments: sound.indices) func everyOrderOfEventsEndsWell(_ index: Int) {
        let (name, settings) = Self.sound[index]
        var explorer = Explorer(settings)
        explorer.run()
        print(
            "explorer: \(name): \(explorer.statesCount) states, \(explorer.stepsCount) steps, \(explorer.restsCount) rests"
        )
        let (finding, count) = (explorer.finding?.description, explorer.statesCount)
        #expect(finding == nil, "\(name)")
        #expect(count > 1000, "\(name): too little was explored to mean anything")
    }

    /// Somebody commits or rolls back prepared branches by hand, at any moment: nothing traps, nothing is forgotten, what contradicts
    /// the decision is parked, and what has no decision is not undone.
    @Test(arguments: [1, 2]) func interferenceIsParked(_ databases: Int) {
        var explorer = Explorer(
            .init(databases: databases, crashesMax: 2, lossesMax: 2 - databases, interferencesMax: databases))
        explorer.run()
        print(
            "explorer: interference, \(databases) databases: \(explorer.statesCount) states, \(explorer.restsCount) rests"
        )
        let (finding, count) = (explorer.finding?.description, explorer.statesCount)
        #expect(finding == nil)
        #expect(count > 1000)
    }

    /// Two worlds with one key have the same machine, so that none is passed over by mistake.
    @Test func theKeyLeavesNothingOut() {
        var explorer = Explorer(
            .init(crashesMax: 1, lossesMax: 2, refusals: [.unavailable("no connection"), .contended]),
            comparesMachines: true)
        explorer.run()
        let (finding, confused) = (explorer.finding?.description, explorer.confused.first?.description)
        #expect(finding == nil)
        #expect(confused == nil)
    }

    @Test(arguments: ExplorerSettings.Flaw.allCases.filter { $0 != .none })
    func everyFlawIsFound(_ flaw: ExplorerSettings.Flaw) throws {
        var explorer = Explorer(.init(crashesMax: 1, lossesMax: 2, fullsMax: 1, flaw: flaw))
        explorer.run()
        let (finding, count) = (explorer.finding, explorer.statesCount)
        let violation = try #require(finding?.violation, "not found in \(count) states")
        print("explorer: \(flaw): after \(count) states and \(finding?.path.count ?? 0) events: \(violation)")
    }
}
