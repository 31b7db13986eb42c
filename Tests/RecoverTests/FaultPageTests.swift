import Foundation
import Runtime
import Testing

/// The table of docs/reference/fault-injection.md is made from the registry of the points.
///
/// `HOLDFAST_WRITE_MAN=1 swift test --filter FaultPageTests` writes it; read the difference before it is committed.
@Suite struct FaultPageTests {
    private static let path = "docs/reference/fault-injection.md"
    private static let variable = "HOLDFAST_WRITE_MAN"
    private static let heading = "## The points\n"

    @Test("Goal: the page has every point as the registry has it, and no other")
    func isCurrent() throws {
        let page = try Repository.text(Self.path)
        let head = try #require(page.range(of: Self.heading)).lowerBound
        let current = page[..<head] + Self.section
        if ProcessInfo.processInfo.environment[Self.variable] == "1" {
            try current.write(
                to: Repository.root().appendingPathComponent(Self.path), atomically: true, encoding: .utf8)
        }
        #expect(
            try Repository.text(Self.path) == current,
            "\(Self.path) is not the registry's; \(Self.variable)=1 swift test --filter FaultPageTests writes it")
    }

    private static var section: String {
        let rows = FaultInjector.points.map { "| `\($0.name)` | \($0.meaning) | \($0.failure ?? "-") |" }
        return heading + "\n| point | how things stand there | `error` |\n|---|---|---|\n"
            + rows.joined(separator: "\n") + "\n"
    }
}
