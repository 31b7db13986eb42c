import Foundation
import Telemetry
import Testing

@Suite struct LineSinkTests {
    /// Goal: lines that cannot be written, as on a full disk, are counted, and their number is told with the next that can.
    @Test func lostLinesAreTold() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let descriptor = open("/dev/full", O_WRONLY | O_CLOEXEC)
        try #require(descriptor >= 0)
        defer { for end in ends + [descriptor] { close(end) } }
        let sink = LineSink(descriptor: descriptor)
        for line in ["one\n", "two\n"] {
            sink.write(line)
            sink.flush()
        }
        // There is room behind the same descriptor again.
        try #require(dup2(ends[1], descriptor) == descriptor)
        sink.write("three\n")
        sink.flush()
        sink.write("four\n")
        sink.flush()
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(ends[0], &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        #expect(text == #"{"lvl":"WARN","event":"log","lines_dropped":2}"# + "\nthree\nfour\n")
    }
}
