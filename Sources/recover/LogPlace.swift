import ArgumentParser
import Coordinator

/// A place in the history as people name it: an LSN, or a time.
enum LogPlace: Sendable, Equatable, ExpressibleByArgument {
    case lsn(LSN)
    case time(WallTime)

    /// A number, or a time in UTC such as `2026-01-31T10:20:30.123456Z`; the parts from the seconds on may be left out,
    /// the time of day too.
    init?(argument: String) {
        if let number = UInt64(argument) {
            self = .lsn(LSN(rawValue: number))
        } else if let microseconds = Self.microseconds(argument) {
            self = .time(WallTime(microseconds: microseconds))
        } else {
            return nil
        }
    }

    /// Whether a record is not before the place.
    func isReached(by lsn: LSN, _ writtenAt: WallTime) -> Bool {
        switch self {
        case .lsn(let own): lsn >= own
        case .time(let own): writtenAt >= own
        }
    }

    /// Whether a record is behind the place.
    func isPassed(by lsn: LSN, _ writtenAt: WallTime) -> Bool {
        switch self {
        case .lsn(let own): lsn > own
        case .time(let own): writtenAt > own
        }
    }

    private static func microseconds(_ text: String) -> Int64? {
        var text = text[...]
        if text.hasSuffix("Z") { text.removeLast() }
        let parts = text.split(separator: "T", omittingEmptySubsequences: false)
        guard parts.count <= 2 else { return nil }
        let date = parts[0].split(separator: "-", omittingEmptySubsequences: false).map(number)
        guard date.count == 3, let year = date[0], let month = date[1], let day = date[2],
            (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let seconds = days(year, month, day) * 86_400
        guard parts.count == 2 else { return seconds * 1_000_000 }
        return timeOfDay(parts[1]).map { seconds * 1_000_000 + $0 }
    }

    /// Microseconds since midnight.
    private static func timeOfDay(_ text: Substring) -> Int64? {
        let clockAndFraction = text.split(separator: ".", omittingEmptySubsequences: false)
        guard clockAndFraction.count <= 2 else { return nil }
        let clock = clockAndFraction[0].split(separator: ":", omittingEmptySubsequences: false).map(number)
        guard (2...3).contains(clock.count), let hour = clock[0], let minute = clock[1],
            let second = clock.count == 3 ? clock[2] : 0, hour < 24, minute < 60, second < 61
        else { return nil }
        let whole = ((hour * 60 + minute) * 60 + second) * 1_000_000
        guard clockAndFraction.count == 2 else { return whole }
        let fraction = clockAndFraction[1]
        guard clock.count == 3, (1...6).contains(fraction.count), let value = number(fraction) else { return nil }
        return whole + value * (0..<(6 - fraction.count)).reduce(Int64(1)) { power, _ in power * 10 }
    }

    /// Digits alone, without a sign.
    private static func number(_ text: Substring) -> Int64? {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int64(text) : nil
    }

    /// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400 years that begin in March.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
