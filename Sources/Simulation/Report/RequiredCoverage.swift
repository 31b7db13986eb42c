/// What a run of the stated number of seeds has to try. What is missing fails it.
public enum RequiredCoverage {
    public struct Item: Sendable, Hashable {
        public let group: Coverage.Group
        public let name: String
    }

    public static let items: [Item] = []

    public static func missing(in coverage: Coverage) -> [Item] {
        items.filter { coverage.hits[$0.group]?[$0.name] == nil }
    }
}
