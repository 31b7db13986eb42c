import ArgumentParser
import BenchmarkKit
import Foundation

/// Draws what benchmarks have measured.
struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Draws throughput and latency of the reports in a folder as SVG.",
        discussion: "The same reports always make the same files: performance-BENCHMARK.svg each.")

    @Option(help: "The folder with the reports, JSON files.")
    var input = "Benchmarks/results/reference"

    @Option(help: "The folder for the drawings.")
    var output = "docs/reference"

    @Flag(help: "Writes nothing; fails if a drawing there is another one than its report makes.")
    var check = false

    func run() throws {
        let names = try Self.reports(in: input)
        guard !names.isEmpty else {
            throw BenchmarkFailure(
                "no report is in \(input); make bench writes some, or name another folder with --input")
        }
        var outdated: [String] = []
        for name in names {
            let report = try Report.read(from: "\(input)/\(name)")
            guard let chart = Chart(report) else {
                Progress.note("\(name): nothing in it depends on how many are in flight")
                continue
            }
            let path = "\(output)/\(Self.fileName(of: report.benchmark))"
            let document = ChartDrawing.document(of: chart)
            if check {
                if (try? String(contentsOfFile: path, encoding: .utf8)) != document { outdated.append(path) }
            } else {
                try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
                try document.write(toFile: path, atomically: true, encoding: .utf8)
                print(path)
            }
        }
        guard outdated.isEmpty else {
            throw BenchmarkFailure(
                "not what the reports make: \(outdated.joined(separator: ", ")); run make bench-report")
        }
    }

    static func fileName(of benchmark: String) -> String { "performance-\(benchmark).svg" }

    /// Names of the JSON files of a folder, sorted.
    private static func reports(in folder: String) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".json") }.sorted()
        } catch {
            throw BenchmarkFailure("\(folder) cannot be read: \(error.localizedDescription)")
        }
    }
}
