import Foundation
import Testing

/// Every story of fixtures/scenarios is played and compared word for word.
///
/// `HOLDFAST_REWRITE_SCENARIOS=1 swift test --filter ScenarioTests` writes what happens into the files instead; read the
/// difference before it is kept.
@Suite struct ScenarioTests {
    static let rewriteVariable = "HOLDFAST_REWRITE_SCENARIOS"

    static let directory = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("fixtures/scenarios")

    static let files: [String] =
        ((try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? [])
        .filter { $0.hasSuffix(".txt") }.sorted()

    /// A renamed directory must not make the suite pass by having nothing to play.
    @Test func everyStoryIsThere() {
        #expect(Self.files.count >= 30, "stories are missing from fixtures/scenarios")
    }

    @Test(arguments: files) func story(_ file: String) throws {
        let url = Self.directory.appendingPathComponent(file)
        let scenario = try ScenarioText(String(contentsOf: url, encoding: .utf8))
        #expect(scenario.blocks.count >= 2, "a story has a beginning and an end")
        var runner = ScenarioRunner()
        var effects: [[String]] = []
        for block in scenario.blocks { effects.append(try block.events.flatMap { try runner.play($0) }) }
        if ProcessInfo.processInfo.environment[Self.rewriteVariable] == "1" {
            try scenario.text(expecting: effects).write(to: url, atomically: true, encoding: .utf8)
            return
        }
        for (block, actual) in zip(scenario.blocks, effects) {
            #expect(
                actual == block.expected,
                "\(file):\(block.line): after '\(block.events.joined(separator: "; "))'")
        }
    }

    /// The reader of the stories itself: what is written back is what was read.
    @Test func aStoryIsWrittenBackAsItWasRead() throws {
        let text = "# Prose.\n\nnew databases=1\n----\nappend BEGIN forced\n\n# End.\n"
        let scenario = try ScenarioText(text)
        #expect(scenario.blocks.map(\.line) == [3])
        #expect(scenario.text(expecting: scenario.blocks.map(\.expected)) == text)
        #expect(scenario.text(expecting: [["other"]]) == text.replacing("append BEGIN forced", with: "other"))
    }

    @Test func aBlockWithoutASeparatorIsRefused() {
        #expect(throws: ScenarioText.Malformed.self) { try ScenarioText("deadline\nnothing\n") }
        #expect(throws: ScenarioText.Malformed.self) { try ScenarioText("----\nnothing\n") }
    }

    /// A story that asks for what cannot happen fails, it does not pass by doing nothing.
    @Test(arguments: [
        ["deadline"], ["new", "vote clearing yes"], ["new", "resolved db1 done"], ["new", "retry db1"],
        ["new", "durable END"], ["new", "restart"], ["new databases=3"], ["new", "durable", "vote db9 yes"],
        ["new", "durable", "vote clearing perhaps"], ["new", "explode"],
    ])
    func nonsenseIsRefused(_ events: [String]) {
        #expect(throws: ScenarioRunner.Nonsense.self) {
            var runner = ScenarioRunner()
            for event in events { _ = try runner.play(event) }
        }
    }
}
