/// Writes log lines: one JSON object a line.
public struct EventLog: Sendable {
    /// What is reserved for a line; that of a payment takes about 220.
    private static let lineBytesUsual = 256

    private let write: (@Sendable ([UInt8]) -> Void)?
    private let now: @Sendable () -> Int64

    /// - Parameter now: microseconds since 1970.
    public init(sink: LineSink, now: @escaping @Sendable () -> Int64) {
        write = { sink.write($0) }
        self.now = now
    }

    /// - Parameter write: takes each line; with `nil` none is made.
    package init(write: (@Sendable ([UInt8]) -> Void)?, now: @escaping @Sendable () -> Int64) {
        self.write = write
        self.now = now
    }

    public func emit(_ level: Level, _ event: Event, _ fields: Field...) {
        guard let write else { return }
        // Bytes from the beginning: there is a line for every payment.
        var line: [UInt8] = []
        line.reserveCapacity(Self.lineBytesUsual)
        line += #"{"ts":""#.utf8
        Timestamp.append(microseconds: now(), to: &line)
        line += #"","lvl":""#.utf8
        line += level.rawValue.utf8
        line += #"","event":""#.utf8
        line += event.rawValue.utf8
        line += "\"".utf8
        for field in fields {
            line += ",\"".utf8
            line += field.key.utf8
            line += "\":".utf8
            switch field {
            case .requestID(let text), .transactionID(let text), .status(let text), .reason(let text),
                .message(let text):
                JSONText.append(text, to: &line)
            case .latencyMicroseconds(let value): line.append(decimal: value)
            case .count(_, let value): line.append(decimal: Int64(value))
            }
        }
        line += "}\n".utf8
        write(line)
    }
}

/// JSON string literals.
public enum JSONText {
    private static let hexadecimal = Array("0123456789abcdef".utf8)

    /// Appends `text` with its quotes, escaped as RFC 8259 wants it, in UTF-8.
    static func append(_ text: String, to line: inout [UInt8]) {
        var text = text
        line.append(UInt8(ascii: "\""))
        text.withUTF8 { bytes in
            // What is between escapes goes in one piece, which mostly is all of it.
            var start = 0
            for (index, byte) in bytes.enumerated() where isEscaped(byte) {
                line += bytes[start..<index]
                appendEscape(of: byte, to: &line)
                start = index + 1
            }
            line += bytes[start...]
        }
        line.append(UInt8(ascii: "\""))
    }

    /// Appends `text` with its quotes, escaped as RFC 8259 wants it.
    public static func append(_ text: String, to line: inout String) { line += quoted(text) }

    /// The literal alone.
    public static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        append(text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// All of these are characters of one byte; the bytes of longer ones are 0x80 and above.
    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func appendEscape(of byte: UInt8, to line: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""): line += "\\\"".utf8
        case UInt8(ascii: "\\"): line += "\\\\".utf8
        case UInt8(ascii: "\n"): line += "\\n".utf8
        case UInt8(ascii: "\r"): line += "\\r".utf8
        case UInt8(ascii: "\t"): line += "\\t".utf8
        default:
            line += "\\u00".utf8
            line.append(hexadecimal[Int(byte >> 4)])
            line.append(hexadecimal[Int(byte & 0xF)])
        }
    }
}

/// UTC times as people and programs read them (RFC 3339, microseconds).
public enum Timestamp {
    public static func text(microseconds: Int64) -> String {
        var bytes: [UInt8] = []
        append(microseconds: microseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    static func append(microseconds: Int64, to line: inout [UInt8]) {
        let day: Int64 = 86_400_000_000
        // Rounded down, without an overflow at either end of the range.
        var (days, rest) = microseconds.quotientAndRemainder(dividingBy: day)
        if rest < 0 { (days, rest) = (days - 1, rest + day) }
        let (year, month, dayOfMonth) = civil(days: days)
        let seconds = rest / 1_000_000
        func add(_ mark: Unicode.Scalar, _ value: Int64, width: Int = 2) {
            line.append(UInt8(ascii: mark))
            line.append(decimal: value, width: width)
        }
        line.append(decimal: year, width: 4)
        add("-", month)
        add("-", dayOfMonth)
        add("T", seconds / 3600)
        add(":", seconds / 60 % 60)
        add(":", seconds % 60)
        add(".", rest % 1_000_000, width: 6)
        line.append(UInt8(ascii: "Z"))
    }

    /// The proleptic Gregorian date of a day number (1970-01-01 is 0), by counting in eras of 400 years that begin in March.
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }
}

extension [UInt8] {
    /// Digits of the longest number and its sign.
    private static let decimalBytesMax = 20

    /// Appends a number in digits, with zeros before it (and before its sign) up to a width.
    fileprivate mutating func append(decimal value: Int64, width: Int = 1) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.decimalBytesMax) { digits in
            var start = digits.endIndex
            func add(_ byte: UInt8) {
                start -= 1
                digits[start] = byte
            }
            var rest = value.magnitude
            repeat {
                add(UInt8(ascii: "0") + UInt8(rest % 10))
                rest /= 10
            } while rest > 0
            if value < 0 { add(UInt8(ascii: "-")) }
            while digits.endIndex - start < width { add(UInt8(ascii: "0")) }
            self += digits[start...]
        }
    }
}
