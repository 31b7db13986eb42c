import ArgumentParser
import Testing

@testable import LoadGenerator

/// How the flags are read.
@Suite struct CommandTests {
    private func plan(_ arguments: String...) throws -> LoadPlan {
        try #require(LoadGeneratorCommand.parseAsRoot(arguments) as? LoadGeneratorCommand).plan()
    }

    @Test("Goal: the three positional arguments mean what they always meant")
    func positional() throws {
        let plan = try plan("50", "200", "9095")
        #expect(plan.connections == 50 && plan.extent == .requests(10_000) && plan.port == 9095)
        #expect(plan.arrival == .closed && plan.depth == 1)
    }

    @Test("Goal: flags describe closed and open loops")
    func flags() throws {
        #expect(try plan().extent == .time(10_000_000_000))
        #expect(try plan("--rate", "2500", "--duration", "0.5").arrival == .open(perSecond: 2500))
        let plan = try plan(
            "--requests", "7", "--replays", "0.25", "--prefix", "x", "--threads", "64", "--connections", "3")
        #expect(plan.extent == .requests(7) && plan.script.replays == 0.25 && plan.script.prefix == "x")
        #expect(plan.threads == 3 && plan.remembersFates)
    }

    @Test(
        "Goal: what makes no sense is refused before anything is sent",
        arguments: [
            ["1"], ["1", "2"], ["0", "2", "9090"], ["1", "2", "70000"], ["1", "2", "9090", "--requests", "5"],
            ["--requests", "0"], ["--requests", "5", "--duration", "1"], ["--duration", "0"], ["--rate", "0"],
            ["--depth", "257"], ["--replays", "1.5"], ["--mix", "auth"], ["--prefix", "a b"], ["--prefix", "a\"b"],
            ["--connections", "0"], ["--threads", "0"], ["--port", "0"], ["--drain", "-1"],
            ["9223372036854775807", "2", "9090"],
        ])
    func refusals(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try LoadGeneratorCommand.parseAsRoot(arguments) }
    }
}
