import ArgumentParser
import BenchmarkKit

/// The log.
struct LogBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Appends and whole BEGINs a second through the log, against plain fdatasync.")

    @OptionGroup var common: CommonOptions

    func run() throws {
        throw BenchmarkFailure("not here yet")
    }
}
