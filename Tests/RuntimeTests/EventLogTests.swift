import Foundation
import Telemetry
import Testing

/// What log lines look like. Clients grep for them, so they do not change unnoticed.
@Suite struct EventLogTests {
    /// Goal: every event, level and field, whatever is in it, makes the line that it always made, byte for byte.
    ///
    /// With `HOLDFAST_WRITE_GOLDEN=1` the fixture is written if it is missing; an existing one never is.
    @Test func linesAreUnchanged() throws {
        let file = try LineFile()
        Golden.emitAll(to: file)
        let written = try file.bytes()
        let fixture = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("fixtures/lines/lines.jsonl")
        if !FileManager.default.fileExists(atPath: fixture.path) {
            let isToWrite = ProcessInfo.processInfo.environment["HOLDFAST_WRITE_GOLDEN"] == "1"
            try #require(isToWrite, "the fixture is missing")
            try FileManager.default.createDirectory(
                at: fixture.deletingLastPathComponent(), withIntermediateDirectories: true)
            try written.write(to: fixture)
        }
        let lines = written.split(separator: 0x0A)
        let expected = try Data(contentsOf: fixture).split(separator: 0x0A)
        #expect(lines.count == expected.count)
        for (line, expected) in zip(lines, expected) where line != expected {
            let (line, expected) = (String(decoding: line, as: UTF8.self), String(decoding: expected, as: UTF8.self))
            Issue.record("\(line) is not \(expected)")
        }
        #expect(written.count == lines.reduce(0) { $0 + $1.count + 1 }, "each ends with one line feed")
    }

    /// Goal: whatever text is given, a reader of JSON gets it back, and the line has no control character but the one at
    /// its end.
    @Test func textsComeBack() throws {
        let texts = (0..<500).map { _ in Self.randomText() }
        let file = try LineFile()
        for text in texts { file.log(at: 0).emit(.info, .log, .message(text)) }
        let lines = try file.bytes().split(separator: 0x0A)
        try #require(lines.count == texts.count)
        for (line, text) in zip(lines, texts) {
            let fields = try #require(JSONSerialization.jsonObject(with: line) as? [String: Any])
            let read = try #require(fields["message"] as? String)
            #expect(read.unicodeScalars.elementsEqual(text.unicodeScalars), "\(text.debugDescription)")
            #expect(!line.contains { $0 < 0x20 || $0 == 0x7F }, "\(text.debugDescription)")
        }
    }

    /// Goal: a time's text is the one that the C library makes of it, in every year of four digits.
    @Test func timesAreThoseOfTheCLibrary() {
        for _ in 0..<20_000 {
            let time = Int64.random(in: -62_167_219_200_000_000...253_402_300_799_999_999)
            var (seconds, fraction) = Int(time).quotientAndRemainder(dividingBy: 1_000_000)
            if fraction < 0 { (seconds, fraction) = (seconds - 1, fraction + 1_000_000) }
            var parts = tm()
            gmtime_r(&seconds, &parts)
            let expected = String(
                format: "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                parts.tm_hour, parts.tm_min, parts.tm_sec, fraction)
            #expect(Timestamp.text(microseconds: time) == expected)
        }
    }

    private static func randomText() -> String {
        let ranges: [ClosedRange<UInt32>] = [
            0...0x7F, 0x20...0x7E, 0...0x1F, 0x22...0x22, 0x5C...0x5C, 0x80...0xD7FF, 0xE000...0x10FFFF,
        ]
        var text = ""
        for _ in 0..<Int.random(in: 0...60) {
            let value = UInt32.random(in: ranges[Int.random(in: 0..<ranges.count)])
            guard let scalar = Unicode.Scalar(value) else { continue }
            text.unicodeScalars.append(scalar)
        }
        return text
    }
}

/// A log whose lines are written to a file.
private final class LineFile {
    private let path = NSTemporaryDirectory() + "holdfast-lines-\(UInt64.random(in: 0 ... .max))"
    private let descriptor: Int32
    private let sink: LineSink

    init() throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        sink = LineSink(descriptor: descriptor)
    }

    deinit {
        unlink(path)
        close(descriptor)
    }

    /// Lines written at a time, microseconds since 1970.
    func log(at microseconds: Int64) -> EventLog { EventLog(sink: sink, now: { microseconds }) }

    /// All that was written so far.
    func bytes() throws -> Data {
        sink.flush()
        return try Data(contentsOf: URL(fileURLWithPath: path))
    }
}

/// The lines of the fixture.
private enum Golden {
    private static let microsecondsADay: Int64 = 86_400_000_000
    /// Around leap days and turns of years, from year 1 to year 9999; then years before 0 and of more than four digits.
    private static let days: [Int64] = [
        0, -1, 58, 59, 789, -25_509, -25_508, -135_081, 11_015, 11_016, 11_017, 19_782, 20_088, 20_089, 47_540, 47_541,
        -719_162, 2_932_896, -719_163, -719_528, -719_529, -1_000_000, -10_000_000, 2_932_897, 3_000_000, 50_000_000,
        100_000_000,
    ]
    private static let times: [Int64] = [
        1, -1, 999_999, 1_000_000, -999_999, -1_000_000, -1_000_001, 59_999_999, 3_599_999_999, 3_600_000_000, .max,
        .max - 1, .min, .min + 1, 1_767_225_599_123_456,
    ]
    private static let events: [Event] = [
        .transaction, .starting, .ready, .draining, .stopped, .configuration, .database, .clearing, .log, .recovery,
        .heuristic, .reversal, .backInTime, .order, .fencedOut, .fault,
    ]
    private static let numbers: [Int] = [0, 1, -1, 9, 10, -10, 99, 100, 12_345, 1_000_000, -987_654_321, .max, .min]

    private static var texts: [String] {
        let ascii = (0..<0x80).map { String(UnicodeScalar(UInt8($0))) }
        // What is not UTF-8 is replaced when a text is made of it.
        let broken: [[UInt8]] = [
            [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0x22, 0x80, 0x5C], [0xF4, 0x90, 0x80, 0x80],
        ]
        var texts = ascii
        texts.append(ascii.joined())
        texts += broken.map { String(decoding: $0, as: UTF8.self) }
        texts += [
            "", "fifteen letters", "sixteen letters!", "\r\n", "\n\r", "\\n", "\\u0041", #"say "yes" \ "no""#,
            "\"\"\"\\",
            // Marks that make one character with what is escaped.
            "\"\u{301}", "\\\u{301}", "\n\u{301}", "\u{7F}\u{301}", "\u{0}\u{200D}\u{1F}",
            "\u{80}\u{85}\u{9F}\u{A0}\u{AD}", "\u{2028}\u{2029}", "\u{FEFF}", "\u{FFFD}", "\u{FFFF}\u{10FFFF}",
            "\u{D7FF}\u{E000}", "Gr\u{FC}\u{DF}e", "Gru\u{308}\u{DF}e", "10 €", "決済", "👩‍👩‍👧 🇨🇭", "/</script>",
            String(repeating: "0123456789", count: 100), String(repeating: "\"\u{1}é", count: 300),
        ]
        return texts
    }

    static func emitAll(to file: LineFile) {
        for day in days {
            let midnight = day * microsecondsADay
            for time in [midnight, midnight + microsecondsADay - 1] { file.log(at: time).emit(.info, .log) }
        }
        for time in times { file.log(at: time).emit(.info, .log) }
        let log = file.log(at: 1_767_225_599_123_456)
        for event in events {
            for level in [Level.info, .warning, .error] { log.emit(level, event) }
        }
        for number in numbers {
            log.emit(.warning, .recovery, .count("unfinished", number), .latencyMicroseconds(Int64(number)))
        }
        for text in texts { log.emit(.error, .database, .message(text)) }
        log.emit(
            .info, .transaction, .requestID("pay-1"), .transactionID("visa_019aa0b1c2d3e4f50123456789abcdef"),
            .status("DECLINED"), .reason("clearing_declined"), .latencyMicroseconds(3456))
        log.emit(
            .info, .transaction, .requestID(#"a"b"#), .transactionID("\n"), .status("\t"), .reason("\\"),
            .message("\u{7F}"), .count("", 0))
    }
}
