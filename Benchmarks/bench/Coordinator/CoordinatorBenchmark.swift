import ArgumentParser
import BenchmarkKit

/// The whole protocol in one process.
struct CoordinatorBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "The whole protocol on one database, against pgbench with the same SQL.")

    @OptionGroup var common: CommonOptions

    func run() throws {
        throw BenchmarkFailure("not here yet")
    }
}
