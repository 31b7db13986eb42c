import Foundation
import Testing

@testable import BenchmarkKit
@testable import bench

@Suite struct DrawingTests {
    private static let machine = Machine(
        processor: "p", cores: 2, memoryBytes: 1, kernel: "k", fileSystem: "ext4", postgresql: "15", swift: "6",
        build: "release", commit: "c")

    private static func report(_ series: [Series]) -> Report {
        var report = Report(benchmark: "coordinator", machine: machine, rounds: 3, quick: false)
        report.series = series
        return report
    }

    private static let both = report([
        Series(label: "holdfast payments", unit: "1/s", parameters: ["in_flight": "64"], values: [5000, 5200, 5100]),
        Series(label: "holdfast payments", unit: "1/s", parameters: ["in_flight": "1"], values: [300, 310, 320]),
        Series(label: "holdfast p50", unit: "us", parameters: ["in_flight": "1"], values: [3000, 3100, 3200]),
        Series(label: "holdfast p99", unit: "ms", parameters: ["in_flight": "1"], values: [9, 8, 10]),
        Series(label: "pgbench payments", unit: "1/s", parameters: ["clients": "32"], values: [6000, 6100, 6200]),
        Series(label: "memory", unit: "bytes", parameters: ["in_flight": "1"], values: [1]),
        Series(label: "size", unit: "1/s", values: [1]),
    ])

    @Test("Goal: a report's series become lines by subject, in milliseconds, in the order of the number in flight")
    func chart() throws {
        let chart = try #require(Chart(Self.both))
        #expect(chart.subjects == ["holdfast", "pgbench"])
        #expect(chart.throughput.map(\.subject) == ["holdfast", "pgbench"])
        #expect(chart.throughput[0].points.map(\.inFlight) == [1, 64])
        #expect(chart.throughput[0].points[1] == .init(inFlight: 64, median: 5100, least: 5000, most: 5200))
        #expect(chart.latency.map(\.percentile) == [.p50, .p99])
        #expect(chart.latency.map { $0.points[0].median } == [3.1, 9])
        #expect(chart.throughputName == "payments a second" && chart.loadName == "in flight")
    }

    @Test("Goal: the axes are called what was counted and what was raised")
    func axes() throws {
        let appends = Series(label: "log small appends", unit: "1/s", parameters: ["waiting": "8"], values: [1])
        let chart = try #require(Chart(Self.report([appends])))
        #expect(chart.throughputName == "a second" && chart.loadName == "waiting")
    }

    @Test("Goal: other parameters tell lines apart, and a report without a number in flight is not drawn")
    func parameters() throws {
        let series = ["0", "50"].map { latency in
            Series(
                label: "server payments", unit: "1/s", parameters: ["in_flight": "8", "clearing_ms": latency],
                values: [1])
        }
        #expect(
            try #require(Chart(Self.report(series))).subjects == ["server, clearing ms 0", "server, clearing ms 50"])
        #expect(Chart(Self.report([Series(label: "start", unit: "s", values: [0.2])])) == nil)
    }

    @Test("Goal: axes begin and end at round numbers that hold every value")
    func scales() {
        #expect(Scale.fromZero([5200, 300]).ticks == [0, 2000, 4000, 6000])
        #expect(Scale.fromZero([10_000]).ticks == [0, 2000, 4000, 6000, 8000, 10_000])
        #expect(Scale.fromZero([]).most > 0)
        let latency = Scale.powersOfTen([0.8, 43])
        #expect(latency.least == 0.5 && latency.most == 50)
        #expect(latency.ticks.map(Scale.text) == ["0.5", "1", "2", "5", "10", "20", "50"])
        #expect(Scale.powersOfTen([3, 3]).most > 3)
        let inFlight = Scale.powersOfTwo([64, 1, 8, 64])
        #expect(inFlight.ticks == [1, 8, 64])
        #expect([1, 8, 64].map(inFlight.place) == [0, 0.5, 1])
        #expect(Scale.powersOfTwo([32]).place(32) == 0)
    }

    @Test(
        "Goal: the numbers of an axis have no digits too many",
        arguments: [
            (0, "0"), (0.25, "0.25"), (2, "2"), (2.5, "2.5"), (999, "999"), (2500, "2\u{202F}500"),
            (12_000, "12\u{202F}000"),
        ])
    func tickText(value: Double, text: String) {
        #expect(Scale.text(value) == text)
    }

    @Test("Goal: the same report makes the same drawing, well-formed, with a mark for every point")
    func drawing() throws {
        let chart = try #require(Chart(Self.both))
        let document = ChartDrawing.document(of: chart)
        #expect(document == ChartDrawing.document(of: chart))
        #expect(document.hasPrefix("<svg ") && document.hasSuffix("</svg>\n"))
        #expect(Self.count("<polyline", in: document) == 4)
        // Holdfast has four points, and each subject a mark in the legend.
        #expect(Self.count("<circle", in: document) == 4 + 1)
        #expect(Self.count("<polygon", in: document) == 1 + 1)
        #expect(!document.contains("nan") && !document.contains("inf"))
        let reader = XMLCheck()
        #expect(reader.isWellFormed(document))
    }

    @Test("Goal: what a label says cannot break the drawing")
    func escaping() throws {
        let series = Series(label: #"<a & "b">"#, unit: "1/s", parameters: ["in_flight": "1"], values: [1])
        let document = ChartDrawing.document(of: try #require(Chart(Self.report([series]))))
        #expect(document.contains("&lt;a &amp; &quot;b&quot;&gt;"))
        #expect(XMLCheck().isWellFormed(document))
    }

    private static func count(_ part: String, in text: String) -> Int { text.components(separatedBy: part).count - 1 }
}

/// Whether tags are opened and closed as XML wants it; attributes are not looked at.
private struct XMLCheck {
    func isWellFormed(_ text: String) -> Bool {
        var open: [Substring] = []
        for part in text.split(separator: "<").dropFirst(text.hasPrefix("<") ? 0 : 1) {
            guard let end = part.firstIndex(of: ">"), part.filter({ $0 == ">" }).count == 1 else { return false }
            let tag = part[..<end]
            if tag.hasPrefix("/") {
                guard open.popLast() == tag.dropFirst() else { return false }
            } else if !tag.hasSuffix("/") {
                open.append(tag.prefix { $0 != " " })
            }
        }
        return open.isEmpty
    }
}
