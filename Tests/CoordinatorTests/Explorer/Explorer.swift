@testable import Coordinator

/// Visits every world that can be reached from the first one, depth first, each once.
struct Explorer {
    /// What was wrong, and how it came to it.
    struct Finding: CustomStringConvertible {
        let violation: String
        let path: [World.Choice]

        var description: String {
            violation + "\n" + path.enumerated().map { "  \($0.offset + 1). \($0.element)" }.joined(separator: "\n")
        }
    }

    private(set) var statesCount = 0
    private(set) var stepsCount = 0
    private(set) var restsCount = 0
    private(set) var finding: Finding?
    /// Worlds that had the same key and another machine. Empty, or the key leaves out something that matters.
    private(set) var confused: [Finding] = []

    private let settings: ExplorerSettings
    private let comparesMachines: Bool
    private var seen: Set<WorldKey> = []
    private var machines: [WorldKey: TransactionMachine?] = [:]
    private var path: [World.Choice] = []

    /// - Parameter comparesMachines: checks the key too, which takes several times as long.
    init(_ settings: ExplorerSettings, comparesMachines: Bool = false) {
        self.settings = settings
        self.comparesMachines = comparesMachines
    }

    mutating func run() {
        var first = World(settings)
        visit(&first)
    }

    /// The number of choices is finite and none can be taken for ever (losses, crashes and refusals have budgets), so that this
    /// returns; a world that waits for something that never comes is at rest and judged there.
    private mutating func visit(_ world: inout World) {
        if let violation = world.violation { return report(violation) }
        guard isNew(world) else { return }
        let mandatory = world.mandatoryChoices
        if mandatory.isEmpty {
            restsCount += 1
            var resting = world
            resting.judgeAtRest()
            if let violation = resting.violation { return report(violation) }
        }
        for choice in mandatory + world.optionalChoices {
            stepsCount += 1
            var next = world
            path.append(choice)
            next.take(choice)
            visit(&next)
            path.removeLast()
            if finding != nil { return }
        }
    }

    private mutating func isNew(_ world: World) -> Bool {
        let key = WorldKey(world)
        let isNew = seen.insert(key).inserted
        if isNew { statesCount += 1 }
        guard comparesMachines else { return isNew }
        if isNew {
            machines[key] = .some(world.machine)
        } else if machines[key] != .some(world.machine) {
            confused.append(Finding(violation: "the key leaves something out", path: path))
        }
        return isNew
    }

    private mutating func report(_ violation: String) {
        if finding == nil { finding = Finding(violation: violation, path: path) }
    }
}
