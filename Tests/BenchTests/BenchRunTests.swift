import BenchmarkKit
import Foundation
import Testing

@testable import bench

/// The program `bench` with the programs that it measures, all of this build.
@Suite(.serialized) struct BenchRunTests {
    private let parent = "/var/tmp/bench-run-\(UInt32.random(in: 0 ... .max))"

    private func start(_ arguments: String...) throws -> BenchProcess {
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: false)
        return try BenchProcess(
            "bench", executable: Programs.path("bench"), arguments: arguments + ["--quick", "--directory", parent],
            environment: ProcessInfo.processInfo.environment, output: parent + ".out", errors: parent + ".err")
    }

    private func clean() {
        for path in [parent, parent + ".out", parent + ".err", parent + ".json"] {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    private var said: String { SystemFiles.tail(parent + ".out") + SystemFiles.tail(parent + ".err") }

    /// Nothing in the folder, and no process that was started for it.
    private func expectNothingLeft() throws {
        #expect(try FileManager.default.contentsOfDirectory(atPath: parent).isEmpty)
        let processes = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }
        let left = processes.filter { ((try? SystemFiles.text("/proc/\($0)/cmdline")) ?? "").contains(parent) }
        #expect(left.isEmpty, "\(left)")
    }

    @Test("Goal: servers that were killed are found recovered, the report has every figure, and nothing is left behind")
    func recovery() throws {
        defer { clean() }
        let bench = try start("recovery", "--payments", "2000", "--json", parent + ".json")
        let end = try bench.wait(within: .seconds(240))
        try #require(end.exitCode == 0, "\(end): \(said)")
        let report = try Report.read(from: parent + ".json")
        #expect(report.benchmark == "recovery" && report.quick && report.rounds == 1)
        #expect(report.ratios.count == 8 && report.ratios.allSatisfy { $0.value > 0 && $0.isCeiling })
        for finished in ["0", "2000"] {
            let parameters = ["scene": "50 in doubt", "finished": finished]
            #expect(report.series("unfinished at the start", parameters)?.values == [50])
            let open = try #require(report.series("port open", parameters)).median
            #expect(try open > 0 && open <= #require(report.series("nothing in doubt", parameters)).median)
        }
        try expectNothingLeft()
    }

    @Test("Goal: a benchmark that is interrupted while its programs run leaves neither processes nor files")
    func interrupted() throws {
        defer { clean() }
        let bench = try start("overload")
        try wait("a server takes payments", within: .seconds(120)) {
            try #require(bench.end() == nil, "\(said)")
            let work = try FileManager.default.contentsOfDirectory(atPath: parent).first ?? ""
            return FileManager.default.fileExists(atPath: "\(parent)/\(work)/stack/load-1.json")
        }
        bench.send(SIGINT)
        let end = try bench.wait(within: .seconds(120))
        #expect(end.exitCode == 128 + SIGINT, "\(end): \(said)")
        try expectNothingLeft()
    }
}
