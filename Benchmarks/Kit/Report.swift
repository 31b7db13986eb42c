import Foundation

/// What a benchmark measured, where, and how it compares with its references. Written as JSON with names in snake_case.
public struct Report: Codable, Sendable {
    /// Grows when a reader of older reports would misread a newer one.
    public static let schemaNow = 1

    public var schema = Report.schemaNow
    public var benchmark: String
    /// UTC, ISO 8601.
    public var startedAt: String
    public var machine: Machine
    public var rounds: Int
    /// Whether it only showed that the benchmark works; then no ratio is judged.
    public var quick: Bool
    public var series: [Series] = []
    public var ratios: [Ratio] = []
    /// What a reader should know of the figures.
    public var notes: [String] = []

    enum CodingKeys: String, CodingKey {
        case schema, benchmark
        case startedAt = "started_at"
        case machine, rounds, quick, series, ratios, notes
    }

    /// A report of a run that begins now.
    public init(benchmark: String, machine: Machine, rounds: Int, quick: Bool) {
        self.benchmark = benchmark
        startedAt = Date().formatted(.iso8601)
        self.machine = machine
        self.rounds = rounds
        self.quick = quick
    }

    /// Reads a report that ``write(to:)`` wrote.
    ///
    /// - Throws: ``BenchmarkFailure``.
    public static func read(from path: String) throws -> Report {
        do {
            let report = try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
            guard report.schema == schemaNow else {
                throw BenchmarkFailure("\(path) has schema \(report.schema), this program reads \(schemaNow)")
            }
            return report
        } catch let error as BenchmarkFailure {
            throw error
        } catch {
            throw BenchmarkFailure("\(path) is no report of a benchmark: \(error)")
        }
    }

    /// Writes the report as JSON, making the folder if it is missing.
    public func write(to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let url = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try (encoder.encode(self) + Data("\n".utf8)).write(to: url)
    }

    /// The series with a label and, of its parameters, these.
    public func series(_ label: String, _ parameters: [String: String] = [:]) -> Series? {
        series.first { candidate in
            candidate.label == label && parameters.allSatisfy { candidate.parameters[$0.key] == $0.value }
        }
    }
}

/// One quantity, measured once in every round.
public struct Series: Codable, Sendable, Equatable {
    /// Whose quantity it is and which, for instance `holdfast payments`.
    public var label: String
    /// For instance `1/s`, `us`, `bytes`.
    public var unit: String
    /// What it was measured with, for instance `in_flight: 64`.
    public var parameters: [String: String]
    /// One a round.
    public var values: [Double]

    public init(label: String, unit: String, parameters: [String: String] = [:], values: [Double]) {
        self.label = label
        self.unit = unit
        self.parameters = parameters
        self.values = values
    }

    public var median: Double { Statistics.median(values) }
    public var minimum: Double { values.min() ?? .nan }
    public var maximum: Double { values.max() ?? .nan }
    /// The distance from the least to the greatest, as a share of the median.
    public var spread: Double { Statistics.spread(values) }

    /// The one with the greatest median.
    public static func best(of series: [Series]) -> Series? { series.max { $0.median < $1.median } }

    enum CodingKeys: String, CodingKey { case label, unit, parameters, values, median, minimum, maximum, spread }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        label = try container.decode(String.self, forKey: .label)
        unit = try container.decode(String.self, forKey: .unit)
        parameters = try container.decode([String: String].self, forKey: .parameters)
        values = try container.decode([Double].self, forKey: .values)
    }

    /// With what is computed from the values, for readers that do not compute.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(label, forKey: .label)
        try container.encode(unit, forKey: .unit)
        try container.encode(parameters, forKey: .parameters)
        try container.encode(values, forKey: .values)
        guard !values.isEmpty else { return }
        try container.encode(median, forKey: .median)
        try container.encode(minimum, forKey: .minimum)
        try container.encode(maximum, forKey: .maximum)
        if spread.isFinite { try container.encode(spread, forKey: .spread) }
    }
}

/// How one quantity compares with another, with what is wanted of it.
public struct Ratio: Codable, Sendable, Equatable {
    public var name: String
    /// The median of the rounds' ratios.
    public var value: Double
    /// The spread of the rounds' ratios.
    public var spread: Double
    /// The least that is acceptable.
    public var floor: Double?
    /// What is aimed at.
    public var goal: Double?
    /// Whether less is better, as of a latency.
    public var isCeiling: Bool

    /// How it stands to what is wanted.
    public enum Verdict: String, Codable, Sendable {
        case none = ""
        case missed = "below the floor"
        case floor = "floor"
        case goal = "goal"
    }

    /// The ratio of two quantities measured in the same rounds.
    public init(
        _ name: String, of numerator: [Double], to denominator: [Double], floor: Double? = nil, goal: Double? = nil,
        isCeiling: Bool = false
    ) {
        self.init(
            name, values: zip(numerator, denominator).map { $0 / $1 }, floor: floor, goal: goal, isCeiling: isCeiling)
    }

    /// A ratio that was computed in each round, or a quantity that has a floor and a goal of its own.
    public init(
        _ name: String, values: [Double], floor: Double? = nil, goal: Double? = nil, isCeiling: Bool = false
    ) {
        self.name = name
        value = Statistics.median(values)
        spread = Statistics.spread(values)
        self.floor = floor
        self.goal = goal
        self.isCeiling = isCeiling
    }

    public var verdict: Verdict {
        func reaches(_ mark: Double) -> Bool { isCeiling ? value <= mark : value >= mark }
        if let goal, reaches(goal) { return .goal }
        if let floor { return reaches(floor) ? .floor : .missed }
        return goal == nil ? .none : .missed
    }

    enum CodingKeys: String, CodingKey {
        case name, value, spread, floor, goal
        case isCeiling = "is_ceiling"
        case verdict
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        name = try container.decode(String.self, forKey: .name)
        value = try container.decodeIfPresent(Double.self, forKey: .value) ?? .nan
        spread = try container.decodeIfPresent(Double.self, forKey: .spread) ?? .nan
        floor = try container.decodeIfPresent(Double.self, forKey: .floor)
        goal = try container.decodeIfPresent(Double.self, forKey: .goal)
        isCeiling = try container.decodeIfPresent(Bool.self, forKey: .isCeiling) ?? false
    }

    /// With the verdict, for readers that do not compute. JSON has no word for a figure that is none.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        if value.isFinite { try container.encode(value, forKey: .value) }
        if spread.isFinite { try container.encode(spread, forKey: .spread) }
        try container.encodeIfPresent(floor, forKey: .floor)
        try container.encodeIfPresent(goal, forKey: .goal)
        try container.encode(isCeiling, forKey: .isCeiling)
        try container.encode(verdict, forKey: .verdict)
    }
}

/// What is told of the values of several rounds.
public enum Statistics {
    /// The middle value, or the mean of the two in the middle; not a number if there is none.
    public static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// The distance from the least value to the greatest, as a share of the median.
    public static func spread(_ values: [Double]) -> Double {
        guard let least = values.min(), let greatest = values.max() else { return .nan }
        return least == greatest ? 0 : (greatest - least) / median(values)
    }
}

/// What keeps a benchmark from being run. The text says what to do.
public struct BenchmarkFailure: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
