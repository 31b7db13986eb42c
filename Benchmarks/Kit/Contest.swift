/// Measures several contestants in turn, so that what the machine does meanwhile strikes all of them alike.
///
/// Each round measures every contestant once; every other round goes through them backwards, so that none profits from what
/// always runs before it.
public struct Contest {
    /// One measurement: the values of its quantities, by name.
    public typealias Measurement = () throws -> [String: Double]

    private let rounds: Int
    private let note: (String) -> Void
    private var contestants: [(name: String, measure: Measurement)] = []

    /// - Parameter note: is told what is measured, and what came out.
    public init(rounds: Int, note: @escaping (String) -> Void = Progress.note) {
        self.rounds = rounds
        self.note = note
    }

    /// Adds a contestant. Names are unique.
    public mutating func add(_ name: String, _ measure: @escaping Measurement) {
        precondition(!contestants.contains { $0.name == name }, "two contestants are called \(name)")
        contestants.append((name, measure))
    }

    /// Runs all rounds.
    public func run() throws -> Standings {
        var standings = Standings()
        for round in 0..<rounds {
            for (name, measure) in round % 2 == 0 ? contestants : contestants.reversed() {
                let values = try measure()
                standings.add(name, values)
                let text = values.sorted { $0.key < $1.key }.map { "\($0.key) \(Table.number($0.value))" }
                note("round \(round + 1) of \(rounds): \(name): \(text.joined(separator: ", "))")
            }
        }
        return standings
    }
}

/// What the contestants of a ``Contest`` reached, round by round.
public struct Standings: Sendable {
    private var values: [String: [String: [Double]]] = [:]

    mutating func add(_ contestant: String, _ measured: [String: Double]) {
        for (quantity, value) in measured { values[contestant, default: [:]][quantity, default: []].append(value) }
    }

    /// One value a round; empty if there is no such contestant or quantity.
    public func values(_ contestant: String, _ quantity: String) -> [Double] {
        values[contestant]?[quantity] ?? []
    }

    /// The values as a series of a report.
    public func series(
        _ contestant: String, _ quantity: String, label: String, unit: String, parameters: [String: String] = [:]
    ) -> Series {
        Series(label: label, unit: unit, parameters: parameters, values: values(contestant, quantity))
    }
}
