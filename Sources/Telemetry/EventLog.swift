/// Writes log lines: one JSON object a line.
public struct EventLog: Sendable {
    private let write: (@Sendable (String) -> Void)?
    private let now: @Sendable () -> Int64

    /// - Parameter now: microseconds since 1970.
    public init(sink: LineSink, now: @escaping @Sendable () -> Int64) {
        write = { sink.write($0) }
        self.now = now
    }

    /// - Parameter write: takes each line; with `nil` none is made.
    package init(write: (@Sendable (String) -> Void)?, now: @escaping @Sendable () -> Int64) {
        self.write = write
        self.now = now
    }

    public func emit(_ level: Level, _ event: Event, _ fields: Field...) {
        guard let write else { return }
        var line = #"{"ts":""#
        line += Timestamp.text(microseconds: now())
        line += #"","lvl":""#
        line += level.rawValue
        line += #"","event":""#
        line += event.rawValue
        line += "\""
        for field in fields {
            line += ",\""
            line += field.key
            line += "\":"
            switch field {
            case .requestID(let text), .transactionID(let text), .status(let text), .reason(let text),
                .message(let text):
                JSONText.append(text, to: &line)
            case .latencyMicroseconds(let value): line += String(value)
            case .count(_, let value): line += String(value)
            }
        }
        line += "}\n"
        write(line)
    }
}

/// JSON string literals.
public enum JSONText {
    private static let hexadecimal = Array("0123456789abcdef".unicodeScalars)

    /// Appends `text` with its quotes, escaped as RFC 8259 wants it.
    public static func append(_ text: String, to line: inout String) {
        line.unicodeScalars.append("\"")
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            case let control where control.value < 0x20 || control.value == 0x7F:
                line += "\\u00"
                line.unicodeScalars.append(hexadecimal[Int(control.value >> 4)])
                line.unicodeScalars.append(hexadecimal[Int(control.value & 0xF)])
            default: line.unicodeScalars.append(scalar)
            }
        }
        line.unicodeScalars.append("\"")
    }

    /// The literal alone.
    public static func quoted(_ text: String) -> String {
        var line = ""
        append(text, to: &line)
        return line
    }
}

/// UTC times as people and programs read them (RFC 3339, microseconds).
public enum Timestamp {
    public static func text(microseconds: Int64) -> String {
        let day: Int64 = 86_400_000_000
        // Rounded down, without an overflow at either end of the range.
        var (days, rest) = microseconds.quotientAndRemainder(dividingBy: day)
        if rest < 0 { (days, rest) = (days - 1, rest + day) }
        let (year, month, dayOfMonth) = civil(days: days)
        let seconds = rest / 1_000_000
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))T"
            + "\(padded(seconds / 3600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
            + ".\(padded(rest % 1_000_000, 6))Z"
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

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
