import Foundation
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import LoadGenerator

/// Whole loads against a server that does what a test says.
@Suite struct LoadRunTests {
    private let group = MultiThreadedEventLoopGroup.singleton

    private func plan(_ port: Int, _ change: (inout LoadPlan) -> Void) -> LoadPlan {
        var plan = LoadPlan()
        plan.port = port
        plan.connections = 4
        plan.drainMax = 2_000_000_000
        plan.script.prefix = "t"
        change(&plan)
        return plan
    }

    private func requestID(_ line: String) -> String {
        Array(line.utf8).withUnsafeBytes { $0.value(after: #""request_id":""#) } ?? ""
    }

    @Test("Goal: a closed loop sends exactly as many requests as asked for, each with an id of its own, from all loops")
    func closedLoop() async throws {
        let server = try await ScriptedServer(group: group) { _, _ in .answer(#"{"status":"APPROVED","txn_id":"v"}"#) }
        let plan = plan(server.port) {
            $0.extent = .requests(1000)
            $0.depth = 8
            $0.threads = 2
        }
        let report = try await LoadRun(plan, group: group, isWatched: false).run(isChecked: false)
        #expect(report.tally.sent == 1000 && report.tally.answered == 1000 && report.tally.lost == 0)
        #expect(report.tally.count(.approved) == 1000 && report.tally.latencies.totalCount == 1000)
        #expect(Set(server.lines.map(requestID)) == Set((0..<1000).map { "t-\($0)" }))
        #expect(report.summaryLine.hasPrefix("sent_ok=1000, sent_err=0, wall="))
        try await server.close()
    }

    @Test("Goal: in an open loop a latency counts from when the request was due, not from when it was sent")
    func openLoop() async throws {
        // The server stands still once, for 300 ms: whoever was due meanwhile has waited.
        let stall = Mutex<NIODeadline?>(nil)
        let server = try await ScriptedServer(group: group) { _, number in
            let wait: TimeAmount = stall.withLock { until in
                if number == 50 { until = .now() + .milliseconds(300) }
                guard let until, until > .now() else { return .zero }
                return until - .now()
            }
            return .answer(#"{"status":"APPROVED","txn_id":"v"}"#, after: wait)
        }
        let plan = plan(server.port) {
            $0.arrival = .open(perSecond: 500)
            $0.extent = .requests(400)
        }
        let report = try await LoadRun(plan, group: group, isWatched: false).run(isChecked: false)
        #expect(report.tally.answered == 400)
        // At 500 a second 150 requests fall into the stall, more than a third of all; they waited 150 ms in the middle.
        #expect(report.latency(90) > 100_000, "p90 is \(report.latency(90)) µs")
        #expect(report.tally.latencies.max >= 290_000)
        try await server.close()
    }

    @Test("Goal: a connection that breaks loses its open requests and no others, and is made again")
    func brokenConnection() async throws {
        let server = try await ScriptedServer(group: group) { _, number in
            number == 100 ? .close : .answer(#"{"status":"APPROVED","txn_id":"v"}"#)
        }
        let plan = plan(server.port) { $0.extent = .requests(500) }
        let report = try await LoadRun(plan, group: group, isWatched: false).run(isChecked: false)
        #expect(report.tally.sent == 500 && report.tally.lost == 1 && report.tally.answered == 499)
        #expect(report.tally.connectionFailures == 1)
        try await server.close()
    }

    @Test("Goal: a repeat is sent byte for byte, and an answer that changes is a contradiction")
    func changedAnswer() async throws {
        let first = Mutex<Set<String>>([])
        let server = try await ScriptedServer(group: group) { line, _ in
            let isNew = first.withLock { $0.insert(line).inserted }
            return .answer(
                isNew
                    ? #"{"status":"APPROVED","txn_id":"v"}"#
                    : #"{"status":"DECLINED","reason":"db_error","idempotent":true,"txn_id":"v"}"#)
        }
        let plan = plan(server.port) {
            $0.extent = .requests(500)
            $0.script.replays = 0.5
            $0.remembersFates = true
        }
        let report = try await LoadRun(plan, group: group, isWatched: false).run(isChecked: false)
        #expect(report.tally.repeats > 150)
        #expect(report.tally.changedAnswers == report.tally.repeats)
        #expect(report.isContradicted)
        try await server.close()
    }

    @Test("Goal: the check finds an approved payment that the server does not know, and one of another amount")
    func check() async throws {
        let server = try await ScriptedServer(group: group) { line, _ in
            guard line.hasPrefix("GET /tx?request_id=") else { return .answer(#"{"status":"APPROVED","txn_id":"v"}"#) }
            let name = line.dropFirst("GET /tx?request_id=".count).prefix { $0 != "\r" }
            switch name {
            case "t-7": return .answer(#"{"status":"NOT_FOUND"}"#)
            case "t-9": return .answer(#"{"request_id":"t-9","amount":"0.01","status":"APPROVED"}"#)
            default:
                let number = Int(name.dropFirst(2)) ?? 0
                let amount = PaymentScript().amount(number)
                return .answer(#"{"request_id":"\#(name)","amount":"\#(amount)","status":"APPROVED"}"#)
            }
        }
        let plan = plan(server.port) {
            $0.extent = .requests(200)
            $0.remembersFates = true
        }
        let report = try await LoadRun(plan, group: group, isWatched: false).run(isChecked: true)
        let check = try #require(report.check)
        #expect(check.asked == 200 && check.complaintCount == 2)
        #expect(check.complaints.contains { $0.hasPrefix("t-7: answered approved, and now NOT_FOUND") })
        #expect(check.complaints.contains { $0.hasPrefix("t-9: of 1.09, and now of 0.01") })
        #expect(report.isContradicted)
        try await server.close()
    }

    @Test("Goal: in an open loop a refusal does not wait behind a payment while another connection waits for nothing")
    func idleConnectionsFirst() async throws {
        // Every tenth payment takes 200 ms: with two a second and a connection they would stand in the others' way.
        let server = try await ScriptedServer(group: group) { _, number in
            number % 10 == 0
                ? .answer(#"{"status":"APPROVED","txn_id":"v"}"#, after: .milliseconds(200))
                : .answer(#"{"status":"DECLINED","reason":"server_busy"}"#)
        }
        let plan = plan(server.port) {
            $0.connections = 32
            $0.arrival = .open(perSecond: 500)
            $0.extent = .requests(500)
        }
        let report = try await LoadRun(plan, group: group, isWatched: false).run(isChecked: false)
        let (approved, declined) = (report.tally.latencies(of: .approved), report.tally.latencies(of: .declined))
        #expect(approved.totalCount == 50 && declined.totalCount == 450)
        #expect(approved.valueAtPercentile(50) >= 200_000)
        // In turn, a third of them would wait for 100 ms in the middle.
        #expect(declined.valueAtPercentile(80) < 50_000, "p80 is \(declined.valueAtPercentile(80)) µs")
        try await server.close()
    }

    @Test("Goal: the document tells latencies by status apart")
    func latenciesByStatus() throws {
        var tally = Tally()
        let lines = [#"{"status":"APPROVED","txn_id":"v"}"#, #"{"status":"DECLINED","reason":"server_busy"}"#]
        for (line, microseconds) in zip(lines, [40_000, 300] as [UInt64]) {
            tally.add(Array(line.utf8).withUnsafeBytes { ServerAnswer($0) }, nanoseconds: microseconds * 1000)
        }
        let report = LoadReport(plan: LoadPlan(), tally: tally, seconds: 1, check: nil)
        let document = try #require(
            JSONSerialization.jsonObject(with: Data(try report.json().utf8)) as? [String: Any])
        let byStatus = try #require(document["latency_by_status_microseconds"] as? [String: [String: Int]])
        #expect(Set(byStatus.keys) == ["APPROVED", "DECLINED"])
        #expect(byStatus["DECLINED"]?["max"] == 300 && byStatus["DECLINED"]?["p99.9"] == 300)
        // Kept to three digits.
        #expect((39_900...40_100).contains(byStatus["APPROVED"]?["p50"] ?? 0))
        #expect((document["latency_microseconds"] as? [String: Int])?["p50"] == 300)
        #expect(report.table.contains("  DECLINED"))
    }

    @Test("Goal: nothing is sent before every connection is made: a slow one is no latency")
    func connectionsFirst() async throws {
        let server = try await ScriptedServer(group: group) { _, _ in .answer(#"{"status":"APPROVED","txn_id":"v"}"#) }
        let plan = plan(server.port) {
            $0.connections = 300
            $0.extent = .requests(300)
        }
        let shared = LoadLoop.Shared(plan)
        let loop = LoadLoop(0, loop: group.next(), shared: shared)
        try await loop.open().get()
        #expect(server.lines.isEmpty)
        shared.start = NIODeadline.now().uptimeNanoseconds
        try await loop.run().get()
        let tally = try await loop.progress().get()
        #expect(tally.sent == 300 && tally.answered == 300 && server.lines.count == 300)
        try await server.close()
    }

    @Test("Goal: a server that never answers, or is not there, does not keep the load from being stopped")
    func stop() async throws {
        let server = try await ScriptedServer(group: group) { _, _ in .answer("", after: .hours(1)) }
        for port in [server.port, try await freePort()] {
            let plan = plan(port) {
                $0.extent = .requests(1000)
                $0.drainMax = 3_600_000_000_000
            }
            let shared = LoadLoop.Shared(plan)
            let loop = LoadLoop(0, loop: group.next(), shared: shared)
            try await loop.open().get()
            shared.start = NIODeadline.now().uptimeNanoseconds
            let end = loop.run()
            loop.stop()
            loop.stop()
            try await end.get()
            #expect(try await loop.progress().get().answered == 0)
        }
        try await server.close()
    }

    /// A port that nobody listens on.
    private func freePort() async throws -> Int {
        let server = try await ScriptedServer(group: group) { _, _ in .close }
        try await server.close()
        return server.port
    }
}
