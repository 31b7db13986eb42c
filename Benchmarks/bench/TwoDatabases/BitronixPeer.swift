import BenchmarkKit
import Dispatch
import Foundation
import Synchronization

/// Bitronix, a transaction manager in Java, as a peer: a process of its own that is told over its standard input what to do.
///
/// It ends when its input does, so it does not outlive this process, whatever becomes of that.
final class BitronixPeer {
    /// For the compiler, the start and the connections.
    private static let startTimeMax = Duration.seconds(120)
    /// How much longer than asked a run may take.
    private static let overtimeMax = Duration.seconds(60)
    private static let endTimeMax = 10.0

    private let process = Process()
    private let input = Pipe()
    private let lines = LineReader()

    /// Why it cannot be run here, with what to do; `nil` if it can.
    static func obstacle() throws -> String? {
        do {
            _ = try Tool.run(try Tool.checkout() + "/scripts/bitronix", ["check"])
            return nil
        } catch let failure as BenchmarkFailure {
            return failure.description
        }
    }

    /// Compiles and starts it, with its journal in the workspace.
    init(in workspace: Workspace, uris: [String], threadsMax: Int, words: Words) throws {
        process.executableURL = URL(fileURLWithPath: try Tool.checkout() + "/scripts/bitronix")
        process.arguments = [
            "run", try workspace.folder("bitronix-classes"), try workspace.folder("bitronix-journal"), "\(threadsMax)",
            words.next(), uris[0], uris[1],
        ]
        process.standardInput = input
        process.standardOutput = lines.pipe
        // Writing to a program that has ended is an error to be told, not the end of this one.
        signal(SIGPIPE, SIG_IGN)
        do {
            try process.run()
        } catch {
            throw BenchmarkFailure("Bitronix cannot be started: \(error.localizedDescription)")
        }
        let identifier = process.processIdentifier
        Interruption.atEnd("bitronix") { Self.end(identifier) }
        lines.begin()
        let greeting = lines.next(within: Self.startTimeMax)
        guard greeting == "ready" else {
            stop()
            throw BenchmarkFailure("Bitronix did not start: \(greeting ?? "it said nothing"); see its messages above")
        }
    }

    /// Blocks for a little more than the time given.
    func run(threads: Int, seconds: Double) throws -> Throughput {
        do {
            try input.fileHandleForWriting.write(contentsOf: Data("run \(threads) \(seconds)\n".utf8))
        } catch {
            throw BenchmarkFailure("Bitronix has ended: \(error.localizedDescription)")
        }
        guard let line = lines.next(within: .seconds(seconds) + Self.overtimeMax) else {
            throw BenchmarkFailure("Bitronix did not answer within \(Int(seconds)) s and \(Self.overtimeMax)")
        }
        guard let result = Self.read(line) else { throw BenchmarkFailure("Bitronix failed: \(line)") }
        return result
    }

    /// `done COMMITTED SECONDS P50_US P99_US`
    static func read(_ line: String) -> Throughput? {
        let words = line.split(separator: " ")
        guard words.count == 5, words[0] == "done" else { return nil }
        let numbers = words.dropFirst().compactMap { Double($0) }
        guard numbers.count == 4, numbers[1] > 0 else { return nil }
        return Throughput(perSecond: numbers[0] / numbers[1], p50: numbers[2], p99: numbers[3])
    }

    /// Processor time of all of its processes so far.
    var cpuMicroseconds: Double { CPUTime.ofProcess(process.processIdentifier) }

    /// Ends it: by the end of its input, else by a signal.
    func stop() {
        Interruption.forget("bitronix")
        // It may have ended already.
        try? input.fileHandleForWriting.close()
        let limit = Date(timeIntervalSinceNow: Self.endTimeMax)
        while process.isRunning, Date() < limit { usleep(20_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    /// At an interruption: its files are removed next, so its end is waited for.
    private static func end(_ identifier: Int32) {
        kill(identifier, SIGTERM)
        let limit = Date(timeIntervalSinceNow: endTimeMax)
        // Its end is noticed, and its place given back, by the thread of this process that watches it.
        while kill(identifier, 0) == 0, Date() < limit { usleep(20_000) }
        if kill(identifier, 0) == 0 { kill(identifier, SIGKILL) }
    }
}

/// Reads the lines of a pipe, on a thread of its own.
private final class LineReader: Sendable {
    let pipe = Pipe()
    private let waiting = Mutex<[String]>([])
    private let arrived = DispatchSemaphore(value: 0)

    func begin() {
        Thread.detachNewThread { [self] in
            var text = ""
            while true {
                let data = pipe.fileHandleForReading.availableData
                guard !data.isEmpty else { break }
                text += String(decoding: data, as: UTF8.self)
                while let end = text.firstIndex(of: "\n") {
                    let line = String(text[..<end])
                    text = String(text[text.index(after: end)...])
                    waiting.withLock { $0.append(line) }
                    arrived.signal()
                }
            }
            // The end of the pipe is told as no line.
            arrived.signal()
        }
    }

    /// The next line; `nil` if none came in time or none will come.
    func next(within limit: Duration) -> String? {
        guard arrived.wait(timeout: .now() + .milliseconds(Int(limit / .milliseconds(1)))) == .success else {
            return nil
        }
        return waiting.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    }
}
