import ArgumentParser
import BenchmarkKit
import Foundation

/// What every benchmark takes.
struct CommonOptions: ParsableArguments {
    @Option(help: "How often everything is measured.")
    var rounds: Int?

    @Option(help: "Writes the report to this file.")
    var json: String?

    @Flag(help: "Shows within seconds that it works; the figures tell nothing.")
    var quick = false

    @Option(help: "Where logs and clusters are made: on a real disk that others may pass through.")
    var directory = "/var/tmp"

    func validate() throws {
        guard (1...1000).contains(rounds ?? 1) else { throw ValidationError("--rounds is from 1 to 1000") }
    }

    /// How many rounds are run.
    var roundCount: Int { rounds ?? (quick ? 1 : 5) }

    /// A report of what is about to be measured.
    func report(_ benchmark: String) -> Report {
        Report(benchmark: benchmark, machine: .detect(directory: directory), rounds: roundCount, quick: quick)
    }

    /// Prints the report and writes it if that was asked for.
    func finish(_ report: Report) throws {
        report.print()
        if let json { try report.write(to: json) }
    }
}
