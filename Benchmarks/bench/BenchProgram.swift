import ArgumentParser

/// The benchmarks of this project, a subcommand each.
@main
struct BenchProgram: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures Holdfast against its references, in turn with them.",
        discussion: """
            Each subcommand prints a table and, with --json, writes a report with the machine, the versions and every round's \
            figures. Figures of one machine say little; ratios to a reference that was measured in turn say more. The machine \
            should do nothing else meanwhile.
            """,
        subcommands: [
            LogBenchmark.self, CoordinatorBenchmark.self, TwoDatabasesBenchmark.self,
            ServerBenchmark.self, OverloadBenchmark.self, RecoveryBenchmark.self, GrowthBenchmark.self,
            ReportCommand.self,
        ])
}
