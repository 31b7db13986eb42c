import Foundation
import Glibc
import Telemetry
import Testing

@Suite struct LineSinkTests {
    /// Goal: lines that cannot be written, as on a full disk, are counted, and their number is told with the next that can.
    @Test func lostLinesAreTold() throws {
        let ends = try Ends(pipe)
        let descriptor = open("/dev/full", O_WRONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let sink = LineSink(descriptor: descriptor)
        for line in ["one\n", "two\n"] {
            sink.write(line)
            sink.flush()
        }
        // There is room behind the same descriptor again.
        try #require(dup2(ends.input, descriptor) == descriptor)
        sink.write("three\n")
        sink.flush()
        sink.write("four\n")
        sink.flush()
        #expect(ends.read() == #"{"lvl":"WARN","event":"log","lines_dropped":2}"# + "\nthree\nfour\n")
    }

    /// Goal: a line comes out without another one after it, whenever it is given: the thread sleeps, is about to, or gathers.
    @Test func noLineIsLeftBehind() throws {
        let ends = try Ends(pipe)
        let sink = LineSink(descriptor: ends.input)
        for number in 0..<300 {
            sink.write("\(number)\n")
            try #require(ends.read() == "\(number)\n")
            usleep(UInt32.random(in: 0...4000))
        }
    }

    /// Goal: lines of several threads come out whole and once, those of a thread in its order.
    @Test func linesOfManyThreads() throws {
        let ends = try Ends(pipe)
        let sink = LineSink(descriptor: ends.input)
        let (threads, count) = (4, 5000)
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            for number in 0..<count {
                sink.write("\(thread) \(number)\n")
                if number % 100 == 0 { usleep(500) }
            }
        }
        var text = ""
        while text.utf8.count(where: { $0 == 0x0A }) < threads * count {
            let more = ends.read()
            try #require(!more.isEmpty)
            text += more
        }
        let lines = text.split(separator: "\n")
        for thread in 0..<threads {
            #expect(lines.filter { $0.hasPrefix("\(thread) ") } == (0..<count).map { "\(thread) \($0)" })
        }
        #expect(lines.count == threads * count)
    }

    /// Goal: lines that follow closely on others share a write, so that few payments have to wake a thread.
    @Test func linesAreGathered() throws {
        // Each write is a message of its own.
        let ends = try Ends { socketpair(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0, $0) }
        let sink = LineSink(descriptor: ends.input)
        let start = ContinuousClock.now
        for number in 0..<200 {
            sink.write("\(number)\n")
            usleep(50)
        }
        sink.flush()
        let passed = ContinuousClock.now - start
        var (writes, text) = (0, "")
        while text.suffix(4) != "199\n" {
            let more = ends.read()
            try #require(!more.isEmpty)
            (writes, text) = (writes + 1, text + more)
        }
        #expect(text == (0..<200).map { "\($0)\n" }.joined())
        #expect(writes <= 2 + Int(passed / .milliseconds(2)))
    }
}

/// A pipe or a pair of sockets.
private final class Ends {
    private static let readBytesMax = 1 << 16
    private static let waitMillisecondsMax: Int32 = 10_000

    private let output: Int32
    let input: Int32

    init(_ make: (UnsafeMutablePointer<Int32>) -> Int32) throws {
        var ends: [Int32] = [0, 0]
        try #require(make(&ends) == 0)
        (output, input) = (ends[0], ends[1])
    }

    deinit { for end in [output, input] { close(end) } }

    /// What there is, as soon as there is something; nothing if that takes too long.
    func read() -> String {
        var waiting = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, Self.waitMillisecondsMax) == 1 else { return "" }
        var buffer = [UInt8](repeating: 0, count: Self.readBytesMax)
        let count = Glibc.read(output, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
}
