import Foundation
import Synchronization
import Testing

@testable import BenchmarkKit

@Suite("What benchmarks measure with")
struct KitTests {
    private let machine = Machine(
        processor: "p", cores: 2, memoryBytes: 3, kernel: "k", fileSystem: "ext4", postgresql: "15", swift: "6",
        build: "release", commit: "c")

    @Test("Goal: a contest measures everybody once a round, and every other round backwards")
    func order() throws {
        var measured: [String] = []
        var contest = Contest(rounds: 3, note: { _ in })
        for name in ["a", "b"] {
            contest.add(name) {
                measured.append(name)
                return ["count": Double(measured.count)]
            }
        }
        let standings = try contest.run()
        #expect(measured == ["a", "b", "b", "a", "a", "b"])
        #expect(standings.values("a", "count") == [1, 4, 5])
        #expect(standings.values("b", "other") == [])
    }

    @Test("Goal: median and spread are those of the values, in whatever order they came")
    func statistics() {
        let series = Series(label: "l", unit: "1/s", values: [30, 10, 20, 40])
        #expect(series.median == 25)
        #expect(series.minimum == 10)
        #expect(series.maximum == 40)
        #expect(series.spread == 1.2)
        #expect(Statistics.median([3, 1, 2]) == 2)
        #expect(Statistics.median([]).isNaN)
        #expect(Series.best(of: [series, Series(label: "m", unit: "1/s", values: [26])])?.label == "m")
    }

    @Test("Goal: a ratio is the median of the rounds' ratios and is judged by its floor and its goal")
    func ratios() {
        let ratio = Ratio("r", of: [8, 9, 5], to: [10, 10, 10], floor: 0.75, goal: 0.9)
        #expect(ratio.value == 0.8)
        #expect(ratio.verdict == .floor)
        #expect(Ratio("r", values: [0.95], floor: 0.75, goal: 0.9).verdict == .goal)
        #expect(Ratio("r", values: [0.7], floor: 0.75, goal: 0.9).verdict == .missed)
        #expect(Ratio("r", values: [0.7]).verdict == .none)
        #expect(Ratio("r", values: [0.7], goal: 0.9).verdict == .missed)
        #expect(Ratio("r", values: [3.5], floor: 4, isCeiling: true).verdict == .floor)
        #expect(Ratio("r", values: [4.5], floor: 4, isCeiling: true).verdict == .missed)
        #expect(Ratio("r", values: [.nan], floor: 4).verdict == .missed)
    }

    @Test("Goal: a report reads back as it was written, and has what is computed of it")
    func reports() throws {
        var report = Report(benchmark: "b", machine: machine, rounds: 2, quick: true)
        report.series = [Series(label: "l", unit: "us", parameters: ["in_flight": "64"], values: [1, 2])]
        report.ratios = [Ratio("r", values: [0.5], floor: 0.4), Ratio("none", values: [])]
        report.notes = ["n"]
        let path = NSTemporaryDirectory() + "/report-\(UInt64.random(in: 0 ... .max))/r.json"
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        try report.write(to: path)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for part in ["\"median\" : 1.5", "\"verdict\" : \"floor\"", "\"in_flight\" : \"64\"", "\"memory_bytes\" : 3"] {
            #expect(text.contains(part), "\(part) is missing in \(text)")
        }
        let read = try Report.read(from: path)
        #expect(read.series == report.series)
        #expect(read.ratios[0] == report.ratios[0])
        #expect(read.ratios[1].value.isNaN)
        #expect(read.machine == machine)
        #expect(read.startedAt == report.startedAt && read.startedAt.hasSuffix("Z"))
        #expect(read.series("l", ["in_flight": "64"]) != nil && read.series("l", ["in_flight": "1"]) == nil)
        try text.replacing("\"schema\" : 1", with: "\"schema\" : 2").write(
            toFile: path, atomically: true, encoding: .utf8)
        #expect(throws: BenchmarkFailure.self) { try Report.read(from: path) }
    }

    @Test("Goal: a table is aligned, its first column to the left and the others to the right")
    func tables() {
        var table = Table(["name", "n"])
        table.add(["a", "100"])
        table.add(["long name", "1"])
        #expect(table.text() == "name         n\na          100\nlong name    1")
        #expect([1234.5, 12.34, 1.234, .nan].map(Table.number) == ["1234", "12.3", "1.23", "-"])
    }

    @Test("Goal: a program's output is read whole, and its failure is told with what it said")
    func tools() throws {
        let long = try Tool.run(
            "/bin/sh", ["-c", "yes x | head -c 300000; echo done >&2; echo \"$A\""], environment: ["A": "b"])
        #expect(long.output.utf8.count == 300_002 && long.text.hasSuffix("b"))
        #expect(long.errors == "done\n")
        let failure = #expect(throws: BenchmarkFailure.self) { try Tool.run("/bin/sh", ["-c", "echo no >&2; exit 3"]) }
        #expect(failure?.description == "sh ended with 3: no\n")
        #expect(throws: BenchmarkFailure.self) { try Tool.run("/bin/sleep", ["20"], timeout: .milliseconds(100)) }
        #expect(throws: BenchmarkFailure.self) { try Tool.find("no-such-program-here") }
    }

    @Test("Goal: the file system of a folder is the one mounted nearest above it")
    func fileSystems() {
        #expect(Machine.fileSystem(of: "/proc/self") == "proc")
        #expect(Machine.fileSystem(of: "/") != nil)
    }

    @Test(
        "Goal: what ends something is done once, whoever comes to it first, and not at all when it is not needed any more"
    )
    func deeds() throws {
        let done = Mutex<[String]>([])
        let names = ["one", "two"].map { "\($0)-\(UInt64.random(in: 0 ... .max))" }
        for name in names { Interruption.atEnd(name) { done.withLock { $0.append(name) } } }
        Interruption.forget(names[1])
        for name in names + names { Interruption.perform(name) }
        #expect(done.withLock { $0 } == [names[0]])
        #expect(try Interruption.begin { 3 } == 3)
    }
}
