import Foundation
import NIOCore
import NIOPosix
import UnixSignals

/// One load from its first request to its last answer.
struct LoadRun {
    private let plan: LoadPlan
    private let group: MultiThreadedEventLoopGroup
    /// Whether a person looks at standard error.
    private let isWatched: Bool

    init(_ plan: LoadPlan, group: MultiThreadedEventLoopGroup, isWatched: Bool) {
        self.plan = plan
        self.group = group
        self.isWatched = isWatched
    }

    func run(isChecked: Bool) async throws -> LoadReport {
        let shared = LoadLoop.Shared(plan)
        let loops = (0..<plan.threads).map { LoadLoop($0, loop: group.next(), shared: shared) }
        for opened in loops.map({ $0.open() }) { try await opened.get() }
        let start = NIODeadline.now().uptimeNanoseconds
        shared.start = start
        let watcher = Task { await watch(loops, since: start) }
        let interrupter = Task { await interrupt(loops) }
        let ends = loops.map { $0.run() }
        for end in ends { try await end.get() }
        let seconds = Double(NIODeadline.now().uptimeNanoseconds - start) / 1e9
        watcher.cancel()
        interrupter.cancel()
        await watcher.value
        let tally = try await Self.sum(loops)
        var check: LoadCheck.Report?
        if isChecked {
            var outcomes: [LoadLoop.Outcome] = []
            for loop in loops { outcomes += try await loop.outcomes().get() }
            check = try await LoadCheck(plan: plan).run(outcomes, group: group)
        }
        return LoadReport(plan: plan, tally: tally, seconds: seconds, check: check)
    }

    private static func sum(_ loops: [LoadLoop]) async throws -> Tally {
        var sum = Tally()
        for loop in loops { sum.add(try await loop.progress().get()) }
        return sum
    }

    /// SIGINT and SIGTERM end the sending; what was measured is still told. The second one ends the waiting for answers too.
    private func interrupt(_ loops: [LoadLoop]) async {
        for await _ in await UnixSignalsSequence(trapping: [.sigint, .sigterm]) { for loop in loops { loop.stop() } }
    }

    /// A line a second that is rewritten in place, for whoever looks.
    private func watch(_ loops: [LoadLoop], since start: UInt64) async {
        guard isWatched else { return }
        var before = 0
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            guard let tally = try? await Self.sum(loops) else { break }
            let seconds = Double(NIODeadline.now().uptimeNanoseconds - start) / 1e9
            let line = String(
                format: "%.0f s, %d answered, %d a second, %d approved, %d lost, p99 %.1f ms", seconds, tally.answered,
                tally.answered - before, tally.count(.approved), tally.lost,
                Double(tally.latencies.valueAtPercentile(99)) / 1000)
            before = tally.answered
            Self.rewrite(line)
        }
        Self.rewrite("")
    }

    private static func rewrite(_ line: String) {
        let text = "\r\(line)\u{1B}[K\r"
        _ = Array(text.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
