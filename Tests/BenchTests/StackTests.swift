import ArgumentParser
import BenchmarkKit
import Foundation
import Testing
import WAL

@testable import bench

/// What the benchmarks of the real programs read and compute.
@Suite struct StackTests {
    /// As `loadgen --json` prints it.
    private static let document = """
        {
          "answered" : 300,
          "answered_per_second" : 150.0,
          "connection_failures" : 0,
          "connections" : 4,
          "depth" : 1,
          "latency_by_status_microseconds" : {
            "APPROVED" : { "max" : 9000, "p50" : 400, "p99" : 8000, "p99.9" : 9000 },
            "DECLINED" : { "max" : 90, "p50" : 40, "p99" : 80, "p99.9" : 90 }
          },
          "latency_mean_microseconds" : 412.5,
          "latency_microseconds" : { "max" : 9000, "p50" : 300, "p99" : 7000, "p99.9" : 9000 },
          "lost" : 0,
          "reasons" : { "server_busy" : 100 },
          "repeats" : 0,
          "seconds" : 2.0,
          "sent" : 300,
          "statuses" : { "APPROVED" : 200, "DECLINED" : 100, "PENDING" : 0, "other" : 0 }
        }
        """

    @Test("Goal: of the load generator's report, refusals and payments are told apart")
    func loadResult() throws {
        let result = try LoadResult(json: Self.document)
        #expect(result.sent == 300 && result.approved == 200 && result.approvedPerSecond == 100)
        #expect(result.quantile("p99.9") == 9000 && result.quantile("p99", of: "DECLINED") == 80)
        #expect(result.quantile("p50", of: "PENDING").isNaN)
        #expect { try result.requireAllApproved() } throws: { "\($0)".contains("server_busy") }
    }

    @Test("Goal: a load of which all is approved passes, one without a single payment does not")
    func allApproved() throws {
        let all = Self.document.replacingOccurrences(of: #""sent" : 300"#, with: #""sent" : 200"#)
        try LoadResult(json: all).requireAllApproved()
        let none = all.replacingOccurrences(of: #""sent" : 200"#, with: #""sent" : 0"#)
            .replacingOccurrences(of: #""APPROVED" : 200"#, with: #""APPROVED" : 0"#)
        #expect(throws: BenchmarkFailure.self) { try LoadResult(json: none).requireAllApproved() }
    }

    @Test("Goal: what is no report is shown")
    func noLoadResult() {
        #expect { try LoadResult(json: "no server on 127.0.0.1:1") } throws: { "\($0)".contains("no server on") }
    }

    @Test("Goal: metrics are read as the server writes them; one that is missing is an error and not 0")
    func metrics() throws {
        let metrics = try Metrics(#"{"total":12,"approved":10,"unfinished":0}"#)
        #expect(try metrics.value("approved") == 10 && metrics.value("unfinished") == 0)
        #expect(throws: BenchmarkFailure.self) { try metrics.value("reversals_open") }
        #expect(throws: BenchmarkFailure.self) { try Metrics("NOT_READY") }
    }

    @Test("Goal: what a start takes up is read from its log lines")
    func unfinished() {
        let lines = """
            {"ts":"2026-01-01T00:00:00.000000Z","lvl":"INFO","event":"starting","message":"epoch 3"}
            {"ts":"2026-01-01T00:00:00.000000Z","lvl":"INFO","event":"recovery","unfinished":32,"reversals":1,"strays":0}
            {"ts":"2026-01-01T00:00:00.000000Z","lvl":"INFO","event":"recovery","unfinished":5,"reversals":1,"strays":0}
            """
        #expect(RecoveryTimes.unfinished(in: lines) == 32)
        #expect(RecoveryTimes.unfinished(in: #"{"event":"ready"}"#) == 0)
    }

    @Test("Goal: a long run is judged by its second and last quarters, whatever its beginning was")
    func quarters() {
        let values: [Double] = [90, 91, 10, 12, 50, 60, 20, 24]
        #expect(Quarters.secondAndLast(values) == (11, 22))
        #expect(Quarters.secondAndLast([1, 2, 3]).second.isNaN)
    }

    @Test("Goal: settings are pairs; of two of one name the later one counts")
    func settings() throws {
        #expect(
            Setting(argument: "A=b=c")?.value == "b=c" && Setting(argument: "=1") == nil
                && Setting(argument: "A") == nil)
        let parsed = try #require(
            BenchProgram.parseAsRoot(["overload", "--set", "a=1", "b=2", "--server-set", "X=1", "X=2"])
                as? OverloadBenchmark)
        #expect(parsed.stackOptions.postgresql.dictionary == ["a": "1", "b": "2"])
        #expect(parsed.stackOptions.server.dictionary == ["X": "2"])
        #expect(parsed.stackOptions.notes.count == 2)
    }

    @Test(
        "Goal: arguments that make no sense are refused before anything is started",
        arguments: [
            ["server", "--in-flight", "0"], ["server", "--seconds", "0"], ["server", "--latency-ms", "-1"],
            ["server", "--rounds", "0"], ["server", "--set", "X"], ["server", "--clients", "0"],
            ["overload", "--factor", "0.5"],
            ["overload", "--connections", "0"], ["overload", "--in-flight", "10001"], ["recovery", "--in-doubt", "0"],
            ["recovery", "--payments", "-1"], ["growth", "--payments", "10"], ["growth", "--retention", "0"],
        ])
    func refusals(_ arguments: [String]) {
        #expect(throws: (any Error).self) { try BenchProgram.parseAsRoot(arguments) }
    }

    @Test("Goal: the history that recovery is measured with is one that the log itself finds sound, all of it finished")
    func history() throws {
        let path = "/var/tmp/bench-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try LogHistory(payments: 3000).write(to: path)
        let reader = try LogReader(path: path)
        let report = try reader.verify()
        #expect(report.isSound, "\(report)")
        #expect(report.records >= 15_000 && report.requests == 3000 && report.active == 0)
    }
}
